//! One side of a merge: a sorted stream of batches, read row by row.

use std::cmp::Ordering;

use arrow::array::{DynComparator, RecordBatch, make_comparator};
use arrow::compute::SortOptions;
use arrow::row::{OwnedRow, Row, Rows};

use super::merge_output::SourceId;
use super::order::Order;
use crate::error::{Error, Result};
use crate::stream::Stream;

/// Sorted batches, and the row that is next.
pub(super) struct Side<'a> {
    name: &'static str,
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send + 'a>,
    /// How many batches were taken: tells the present one from every other.
    taken: usize,
    head: Option<Head>,
    last: Option<OwnedRow>,
}

/// The next row and the batch it is in.
pub(super) struct Head {
    pub(super) batch: RecordBatch,
    pub(super) row: usize,
    /// The batch as the output knows it, once a row was picked from it.
    pub(super) source: Option<SourceId>,
    order: Rows,
}

impl Head {
    fn order(&self) -> Row<'_> {
        self.order.row(self.row)
    }
}

impl<'a> Side<'a> {
    /// `name` says in errors which side it is.
    pub(super) fn new(name: &'static str, batches: impl Iterator<Item = Result<RecordBatch>> + Send + 'a) -> Self {
        Self {
            name,
            batches: Box::new(batches),
            taken: 0,
            head: None,
            last: None,
        }
    }

    /// The next row, `None` at the end; takes batches as needed.
    pub(super) fn head(&mut self, order: &Order) -> Result<Option<&mut Head>> {
        while self.head.is_none() {
            let Some(batch) = self.batches.next().transpose()? else {
                return Ok(None);
            };
            self.taken += 1;
            if batch.num_rows() > 0 {
                let order = order.rows(&batch)?;
                self.head = Some(Head {
                    batch,
                    row: 0,
                    source: None,
                    order,
                });
                self.check()?;
            }
        }
        Ok(self.head.as_mut())
    }

    /// Goes on to the next row.
    pub(super) fn advance(&mut self) -> Result<()> {
        let Some(head) = &mut self.head else { return Ok(()) };
        if head.row + 1 == head.batch.num_rows() {
            self.last = Some(head.order().owned());
            self.head = None;
            return Ok(());
        }
        head.row += 1;
        self.check()
    }

    /// The rest of the present batch at once; goes on behind it.
    pub(super) fn rest(&mut self) -> Result<Option<RecordBatch>> {
        let Some(head) = self.head.take() else { return Ok(None) };
        let (from, count) = (head.row, head.batch.num_rows());
        let ascends = (from + 1..count).all(|row| head.order.row(row - 1) < head.order.row(row));
        self.last = count.checked_sub(1).map(|row| head.order.row(row).owned());
        if ascends {
            Ok(Some(head.batch.slice(from, count - from)))
        } else {
            Err(self.disorder())
        }
    }

    /// Forgets that the output knows the present batch.
    pub(super) fn forget_source(&mut self) {
        if let Some(head) = &mut self.head {
            head.source = None;
        }
    }

    /// A walk over unsorted rows would quietly write a key twice.
    fn check(&self) -> Result<()> {
        let Some(head) = &self.head else { return Ok(()) };
        let before = match head.row.checked_sub(1) {
            Some(row) => Some(head.order.row(row)),
            None => self.last.as_ref().map(OwnedRow::row),
        };
        if before.is_none_or(|before| before < head.order()) {
            return Ok(());
        }
        Err(self.disorder())
    }

    fn disorder(&self) -> Error {
        let name = self.name;
        Error::storage(format!(
            "the {name} rows of a partition are not in the order of their table; if another program wrote the file, move it away"
        ))
    }
}

/// Which of two sides is next; `None` when both have ended.
pub(super) fn compare(stored: &Side<'_>, fetched: &Side<'_>) -> Option<Ordering> {
    match (&stored.head, &fetched.head) {
        (Some(stored), Some(fetched)) => Some(stored.order().cmp(&fetched.order())),
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (None, None) => None,
    }
}

/// Compares the values of rows that stand at the same place.
#[derive(Default)]
pub(super) struct Comparison {
    /// The batches that the columns were prepared for.
    batches: (usize, usize),
    columns: Vec<DynComparator>,
}

impl Comparison {
    /// Whether the next rows of both sides are equal in every column that is not volatile.
    pub(super) fn equal(&mut self, stream: &Stream, stored: &Side<'_>, fetched: &Side<'_>) -> Result<bool> {
        let (Some(a), Some(b)) = (&stored.head, &fetched.head) else {
            return Ok(false);
        };
        let batches = (stored.taken, fetched.taken);
        if self.batches != batches {
            self.columns = prepare(stream, &a.batch, &b.batch)?;
            self.batches = batches;
        }
        Ok(self
            .columns
            .iter()
            .all(|compare| compare(a.row, b.row) == Ordering::Equal))
    }
}

fn prepare(stream: &Stream, a: &RecordBatch, b: &RecordBatch) -> Result<Vec<DynComparator>> {
    let compared = stream.columns.iter().zip(a.columns().iter().zip(b.columns()));
    compared
        .filter(|(column, _)| !column.volatile && !stream.order.contains(&column.name))
        .map(|(_, (a, b))| make_comparator(a, b, SortOptions::default()))
        .collect::<Result<_, _>>()
        .map_err(|error| Error::internal("stored and fetched rows cannot be compared").caused_by(error))
}
