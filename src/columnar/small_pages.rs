//! Pages of few rows, that become one before they are sorted: what is then looked at and freed page by page is a fraction, and takes no
//! more memory than its rows need.

use arrow::datatypes::SchemaRef;

use super::sorted_run::Page;
use crate::error::Result;

/// Pages of fewer rows than this are small,
const SMALL: usize = 512;
/// and are joined when they have so many together.
const JOINED: usize = 4096;

/// Small pages that wait to be joined.
#[derive(Debug, Default)]
pub(super) struct SmallPages {
    pages: Vec<Page>,
    rows: usize,
    bytes: usize,
}

impl SmallPages {
    /// Takes `page`, which weighs `bytes`, unless it is large.
    pub(super) fn take_in(&mut self, page: Page, bytes: usize) -> Option<Page> {
        if page.rows.num_rows() >= SMALL {
            return Some(page);
        }
        self.rows += page.rows.num_rows();
        self.bytes += bytes;
        self.pages.push(page);
        None
    }

    /// How many rows wait.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether they are enough to be joined.
    pub(super) fn are_due(&self) -> bool {
        self.rows >= JOINED
    }

    /// All of them as one page, and what they weighed; `None` when there are none.
    pub(super) fn join(&mut self, schema: &SchemaRef) -> Result<Option<(Page, usize)>> {
        let Self { pages, bytes, .. } = std::mem::take(self);
        if pages.is_empty() {
            return Ok(None);
        }
        Ok(Some((Page::joined(schema, &pages)?, bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::Stamp;
    use super::super::testing::{show, stream, things};
    use super::*;
    use crate::stream::arrow_schema;

    fn page(request: u64, arrival: u64, rows: u64) -> Page {
        let things: Vec<_> = (arrival..arrival + rows)
            .map(|row| (format!("k{row}"), 1, request as i64))
            .collect();
        Page::new(self::things(&things), Stamp { request, arrival })
    }

    #[test]
    fn joined_rows_keep_when_they_came() {
        let mut small = SmallPages::default();
        // A large page came in between, so arrivals have a gap.
        for (request, arrival, rows) in [(7, 0, 3), (5, 3, 1), (9, 1000, 2)] {
            assert!(small.take_in(page(request, arrival, rows), 10).is_none());
        }
        assert_eq!(small.rows(), 6);
        let (page, bytes) = small.join(&arrow_schema(&stream())).unwrap().unwrap();
        assert_eq!((page.rows.num_rows(), bytes), (6, 30));
        let arrivals = [0, 1, 2, 3, 1000, 1001];
        for (row, (arrival, request)) in arrivals.into_iter().zip([7, 7, 7, 5, 9, 9]).enumerate() {
            assert_eq!(page.stamp(row), Stamp { request, arrival });
            assert_eq!(show(&page.rows, "id", row), format!("k{arrival}"));
        }
        assert!(small.join(&arrow_schema(&stream())).unwrap().is_none());
    }

    #[test]
    fn a_large_page_stays_alone() {
        let mut small = SmallPages::default();
        assert!(small.take_in(page(1, 0, SMALL as u64), 10).is_some());
        for number in 0..9 {
            assert!(!small.are_due());
            assert!(small.take_in(page(number, 0, SMALL as u64 - 1), 10).is_none());
        }
        assert!(small.are_due());
    }
}
