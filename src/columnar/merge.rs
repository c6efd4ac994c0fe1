//! One partition: what is stored and what was fetched become one sorted sequence in which every key stands once.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io::Write;

use arrow::array::{Array, RecordBatch, cast::AsArray};
use arrow::datatypes::Int64Type;
use jiff::Timestamp;

use super::FetchedPartition;
use super::encoder::ParquetEncoder;
use super::fetched::AllKeys;
use super::key::{Keys, times};
use super::side::{Comparison, Output, Side};
use super::stored::PartitionStats;
use crate::error::Result;
use crate::stream::{Column, Context, Stream, Window};

/// What is merged.
pub struct MergeInput<'a> {
    /// What the partition holds, in the table's order.
    pub stored: Box<dyn Iterator<Item = Result<RecordBatch>> + Send + 'a>,
    /// What was read from the API, in the table's order, each key once.
    pub fetched: Option<FetchedPartition>,
    /// Keys of stored rows that are to go.
    pub remove: &'a HashSet<String>,
    /// When given, stored rows inside it that were not fetched are told.
    pub proof: Option<&'a Proof>,
}

/// Which rows a run is proven to have asked for: a stored row inside that was not fetched is not served any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The time that was completely read; everything when absent.
    pub window: Option<Window>,
    /// The transactional messages that answered; all when absent.
    pub transactional_ids: Option<HashSet<i64>>,
}

/// What became of the rows of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeOutcome {
    /// Fetched rows whose key was not stored.
    pub new: u64,
    /// Stored rows that were replaced by a fetched form with other values.
    pub changed: u64,
    /// Fetched rows that are stored already.
    pub unchanged: u64,
    /// Stored rows that were taken away.
    pub removed: u64,
    /// Rows in the result.
    pub rows: u64,
    /// The time of the earliest row.
    pub least_time: Option<Timestamp>,
    /// The time of the latest row.
    pub greatest_time: Option<Timestamp>,
    /// The least key, as text.
    pub least_key: Option<String>,
    /// The greatest key, as text.
    pub greatest_key: Option<String>,
    /// The keys of stored rows inside the proof that were not fetched.
    pub unfetched: Vec<String>,
}

impl MergeOutcome {
    /// Whether the result holds other rows than what is stored.
    pub fn differs(&self) -> bool {
        self.new + self.changed + self.removed > 0
    }
}

/// Merges `input` into `encoder`.
///
/// A fetched row replaces the stored row of its key, also when its time is another. A row in which nothing but volatile columns
/// changed keeps its stored form.
///
/// # Errors
/// Storage and Internal errors of either side or of the encoder.
pub fn merge_partition<W: Write + Send>(
    stream: &Stream,
    input: MergeInput<'_>,
    encoder: &mut ParquetEncoder<W>,
) -> Result<MergeOutcome> {
    let comparison = Comparison::new(stream)?;
    let everything = input.fetched.as_ref().map(FetchedPartition::all_keys);
    let fetched = input.fetched.into_iter().flatten();
    let mut merge = Merge {
        stream,
        stored: Side::new(input.stored, &comparison)?,
        fetched: Side::new(fetched, &comparison)?,
        comparison: &comparison,
        // A key can only stand at another place in the order when the order is more than the key.
        moved: everything.filter(|_| stream.order.len() > 1),
        remove: input.remove,
        proof: input.proof,
        outcome: MergeOutcome::default(),
        output: Output::new(stream, encoder),
    };
    merge.run()?;
    let Merge {
        output, mut outcome, ..
    } = merge;
    outcome.describe(output.finish()?);
    Ok(outcome)
}

impl MergeOutcome {
    fn describe(&mut self, stats: PartitionStats) {
        self.rows = stats.rows;
        self.least_time = stats.least_time;
        self.greatest_time = stats.greatest_time;
        self.least_key = stats.least_key;
        self.greatest_key = stats.greatest_key;
    }
}

/// A merge under way.
struct Merge<'a, S, F, W: Write + Send> {
    stream: &'a Stream,
    stored: Side<S>,
    fetched: Side<F>,
    comparison: &'a Comparison,
    moved: Option<AllKeys>,
    remove: &'a HashSet<String>,
    proof: Option<&'a Proof>,
    outcome: MergeOutcome,
    output: Output<'a, W>,
}

impl<S, F, W> Merge<'_, S, F, W>
where
    S: Iterator<Item = Result<RecordBatch>>,
    F: Iterator<Item = Result<RecordBatch>>,
    W: Write + Send,
{
    fn run(&mut self) -> Result<()> {
        loop {
            let order = match (self.stored.order(), self.fetched.order()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(stored), Some(fetched)) => stored.cmp(&fetched),
            };
            match order {
                Ordering::Less => self.keep_stored()?,
                Ordering::Greater => self.take_new()?,
                Ordering::Equal => self.match_up()?,
            }
        }
    }

    /// A stored row of which no fetched form stands at this place.
    fn keep_stored(&mut self) -> Result<()> {
        if let Some((batch, row)) = self.stored.current() {
            let key = Keys::of(self.stream, batch)?.at(row);
            if self.remove.contains(key.as_ref()) {
                self.outcome.removed += 1;
            } else if self.has_moved(&key)? {
                self.outcome.changed += 1;
            } else {
                if self.proof.is_some_and(|proof| proof.covers(self.stream, batch, row)) {
                    self.outcome.unfetched.push(key.into_owned());
                }
                self.output.take(&mut self.stored)?;
            }
        }
        self.stored.step(self.comparison)
    }

    /// Whether the row of `key` was fetched with another time: its place is no longer here.
    fn has_moved(&self, key: &str) -> Result<bool> {
        self.moved.as_ref().map_or(Ok(false), |keys| keys.contains(key))
    }

    fn take_new(&mut self) -> Result<()> {
        self.outcome.new += 1;
        self.output.take(&mut self.fetched)?;
        self.fetched.step(self.comparison)
    }

    /// Both forms of one key at one place: the fetched one wins if it says anything else.
    fn match_up(&mut self) -> Result<()> {
        if self.stored.values(self.comparison)? == self.fetched.values(self.comparison)? {
            self.outcome.unchanged += 1;
            self.output.take(&mut self.stored)?;
        } else {
            self.outcome.changed += 1;
            self.output.take(&mut self.fetched)?;
        }
        self.stored.step(self.comparison)?;
        self.fetched.step(self.comparison)
    }
}

impl Proof {
    /// Whether the row lies in what was proven to be read.
    fn covers(&self, stream: &Stream, batch: &RecordBatch, row: usize) -> bool {
        let in_window = self.window.is_none_or(|window| {
            let time = stream
                .time_column()
                .and_then(|column| times(batch, column))
                .map(|times| times.value(row));
            let time = time.and_then(|micros| Timestamp::from_microsecond(micros).ok());
            time.is_some_and(|time| window.contains(time))
        });
        in_window
            && self
                .transactional_ids
                .as_ref()
                .is_none_or(|ids| parent(stream, batch, row).is_some_and(|id| ids.contains(&id)))
    }
}

/// The transactional message of a row.
fn parent(stream: &Stream, batch: &RecordBatch, row: usize) -> Option<i64> {
    let from_path = |column: &&Column| column.context == Some(Context::TransactionalId);
    let name = &stream.columns.iter().find(from_path)?.name;
    let ids = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
    ids.is_valid(row).then(|| ids.value(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columnar::testing::{context, decoder, show, stream};
    use crate::columnar::{PartitionKey, RunBuffer, SpillDir, read_parquet};

    fn rows(rows: &[&str]) -> RecordBatch {
        let page = format!(r#"{{"rows":[{}]}}"#, rows.join(","));
        decoder().decode(page.as_bytes(), &context()).unwrap().rows
    }

    fn fetched(page: &[&str]) -> Option<FetchedPartition> {
        let folder = tempfile::tempdir().unwrap();
        let mut buffer = RunBuffer::new(stream(), 1 << 20, SpillDir::new(folder.path())).unwrap();
        buffer.push(rows(page), 1).unwrap();
        let fetched = buffer.finish().unwrap();
        let day = PartitionKey::of(Timestamp::from_second(86_400).unwrap());
        Some(fetched.partition(&day).unwrap())
    }

    /// The outcome, and `id:name` of every row of the result.
    fn merge(
        stored: &[&str],
        fetched: Option<FetchedPartition>,
        remove: &[&str],
        proof: Option<&Proof>,
    ) -> (MergeOutcome, Vec<String>) {
        let stored: Vec<Result<RecordBatch>> = if stored.is_empty() {
            vec![]
        } else {
            vec![Ok(rows(stored))]
        };
        let input = MergeInput {
            stored: Box::new(stored.into_iter()),
            fetched,
            remove: &remove.iter().map(ToString::to_string).collect(),
            proof,
        };
        let mut encoder = ParquetEncoder::new(&stream(), Vec::new()).unwrap();
        let outcome = merge_partition(&stream(), input, &mut encoder).unwrap();
        let bytes = bytes::Bytes::from(encoder.finish().unwrap());
        let mut seen = Vec::new();
        for batch in read_parquet(&stream(), bytes).unwrap() {
            let batch = batch.unwrap();
            seen.extend(
                (0..batch.num_rows()).map(|row| format!("{}:{}", show(&batch, "id", row), show(&batch, "name", row))),
            );
        }
        (outcome, seen)
    }

    #[test]
    fn fetched_beats_stored_and_the_rest_stays() {
        let (outcome, seen) = merge(
            &[
                r#"{"id":"a","at":86401,"name":"1"}"#,
                r#"{"id":"b","at":86402,"name":"1"}"#,
                r#"{"id":"d","at":86404,"name":"1"}"#,
            ],
            fetched(&[
                r#"{"id":"b","at":86402,"name":"2"}"#,
                r#"{"id":"c","at":86403,"name":"2"}"#,
                r#"{"id":"d","at":86404,"name":"1"}"#,
            ]),
            &[],
            None,
        );
        assert_eq!(seen, ["a:1", "b:2", "c:2", "d:1"]);
        assert_eq!(
            (outcome.new, outcome.changed, outcome.unchanged, outcome.removed),
            (1, 1, 1, 0)
        );
        assert_eq!(outcome.rows, 4);
        assert_eq!(outcome.least_key.as_deref(), Some("a"));
        assert_eq!(outcome.greatest_time, Timestamp::from_second(86404).ok());
    }

    #[test]
    fn a_row_whose_time_moved_stands_once() {
        let (outcome, seen) = merge(
            &[
                r#"{"id":"a","at":86401,"name":"1"}"#,
                r#"{"id":"b","at":86402,"name":"1"}"#,
            ],
            fetched(&[r#"{"id":"a","at":86409,"name":"2"}"#]),
            &[],
            None,
        );
        assert_eq!(seen, ["b:1", "a:2"]);
        assert!(outcome.differs());
    }

    #[test]
    fn the_same_rows_again_differ_in_nothing() {
        let page = [r#"{"id":"a","at":86401,"series":[1,null],"metrics":{"sent":5}}"#];
        let (outcome, _) = merge(&page, fetched(&page), &[], None);
        assert!(!outcome.differs());
        assert_eq!(outcome.unchanged, 1);
    }

    #[test]
    fn keys_to_remove_go_and_proof_tells_what_was_not_served() {
        let stored = [
            r#"{"id":"a","at":86401}"#,
            r#"{"id":"b","at":86402}"#,
            r#"{"id":"c","at":86500}"#,
        ];
        let (outcome, seen) = merge(&stored, None, &["a"], None);
        assert_eq!(seen, ["b:null", "c:null"]);
        assert_eq!(outcome.removed, 1);
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut proof = Proof {
            window: Window::new(at(86_400), at(86_450)),
            transactional_ids: Some(HashSet::from([7])),
        };
        let (outcome, _) = merge(&stored, fetched(&[r#"{"id":"a","at":86401}"#]), &[], Some(&proof));
        assert_eq!(outcome.unfetched, ["b"], "c lies outside of the window");
        proof.transactional_ids = Some(HashSet::from([8]));
        let (outcome, _) = merge(&stored, None, &[], Some(&proof));
        assert_eq!(outcome.unfetched, [] as [&str; 0], "message 7 did not answer");
    }
}
