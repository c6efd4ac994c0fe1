//! How many rows a partition has, and what lies at its ends.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;

use super::order::{Keys, Order, timestamp};
use crate::error::Result;
use crate::stream::Stream;

/// What the manifest says about a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionStats {
    /// Rows.
    pub rows: u64,
    /// The least partition time; `None` without rows, or where partitions are not made by time.
    pub least_time: Option<Timestamp>,
    /// The greatest partition time.
    pub greatest_time: Option<Timestamp>,
    /// The least key as text; keys that are integers are compared as such.
    pub least_key: Option<String>,
    /// The greatest key as text.
    pub greatest_key: Option<String>,
}

/// Counts the rows of a partition and finds its ends, whatever their order.
///
/// # Errors
/// The first error among `rows`.
pub fn inspect(stream: &Stream, rows: impl Iterator<Item = Result<RecordBatch>>) -> Result<PartitionStats> {
    let order = Order::new(stream)?;
    let mut stats = StatsBuilder::default();
    for batch in rows {
        stats.see(&order, &batch?)?;
    }
    stats.finish()
}

/// Adds batches up.
#[derive(Debug, Default)]
pub(super) struct StatsBuilder {
    rows: u64,
    times: Option<(i64, i64)>,
    keys: Option<Ends>,
}

#[derive(Debug)]
enum Ends {
    Text(String, String),
    Integer(i64, i64),
}

impl StatsBuilder {
    pub(super) fn see(&mut self, order: &Order, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        if let Some(times) = order
            .times(batch)
            .map(|times| times.as_primitive::<TimestampMicrosecondType>())
            && let (Some(least), Some(greatest)) = (min(times), max(times))
        {
            let (a, b) = self.times.unwrap_or((least, greatest));
            self.times = Some((a.min(least), b.max(greatest)));
        }
        match order.keys(batch)? {
            Keys::Integer(keys) => {
                if let (Some(least), Some(greatest)) = (min(keys), max(keys)) {
                    self.see_integers(least, greatest);
                }
            }
            Keys::Text(keys) => {
                if let (Some(least), Some(greatest)) = (keys.iter().flatten().min(), keys.iter().flatten().max()) {
                    self.see_texts(least, greatest);
                }
            }
        }
        Ok(())
    }

    fn see_integers(&mut self, least: i64, greatest: i64) {
        match &mut self.keys {
            Some(Ends::Integer(a, b)) => (*a, *b) = ((*a).min(least), (*b).max(greatest)),
            keys => *keys = Some(Ends::Integer(least, greatest)),
        }
    }

    fn see_texts(&mut self, least: &str, greatest: &str) {
        match &mut self.keys {
            Some(Ends::Text(a, b)) => {
                if least < a.as_str() {
                    *a = least.to_owned();
                }
                if greatest > b.as_str() {
                    *b = greatest.to_owned();
                }
            }
            keys => *keys = Some(Ends::Text(least.to_owned(), greatest.to_owned())),
        }
    }

    pub(super) fn finish(self) -> Result<PartitionStats> {
        let (least_key, greatest_key) = match self.keys {
            Some(Ends::Text(a, b)) => (Some(a), Some(b)),
            Some(Ends::Integer(a, b)) => (Some(a.to_string()), Some(b.to_string())),
            None => (None, None),
        };
        Ok(PartitionStats {
            rows: self.rows,
            least_time: self.times.map(|(least, _)| timestamp(least)).transpose()?,
            greatest_time: self.times.map(|(_, greatest)| timestamp(greatest)).transpose()?,
            least_key,
            greatest_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{stream, things};
    use super::*;

    #[test]
    fn the_ends_are_found_across_batches() {
        let batches = [
            things(&[("b".into(), 9, 0), ("c".into(), 3, 0)]),
            things(&[("a".into(), 5, 0)]),
            things(&[]),
        ];
        let stats = inspect(&stream(), batches.into_iter().map(Ok)).unwrap();
        let time = |second| Some(Timestamp::from_second(second).unwrap());
        assert_eq!(
            (stats.rows, stats.least_time, stats.greatest_time),
            (3, time(3), time(9))
        );
        assert_eq!(
            (stats.least_key.as_deref(), stats.greatest_key.as_deref()),
            (Some("a"), Some("c"))
        );
        assert_eq!(
            inspect(&stream(), std::iter::empty()).unwrap(),
            PartitionStats::default()
        );
    }
}
