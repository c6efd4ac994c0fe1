//! A partition becomes what is stored, changed by what was fetched: one walk over two sorted sides.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io::Write;

use arrow::array::RecordBatch;
use jiff::Timestamp;

use super::fetched::FetchedKeys;
use super::merge_output::MergeOutput;
use super::merge_side::{Comparison, Head, Side, compare};
use super::order::Order;
use super::{FetchedPartition, ParquetEncoder, Proof};
use crate::error::Result;
use crate::stream::Stream;

/// Both sides of a merge.
pub struct MergeInput<'a> {
    /// The rows of the stored partition as [`read_parquet`](super::read_parquet) gives them; none when nothing is stored.
    pub stored: Box<dyn Iterator<Item = Result<RecordBatch>> + Send + 'a>,
    /// The rows fetched for it.
    pub fetched: Option<FetchedPartition>,
    /// Keys of stored rows that go, integers in decimal; one that was fetched stays.
    pub remove: &'a HashSet<String>,
    /// Makes the merge tell which stored rows should have been fetched and were not.
    pub proof: Option<&'a Proof>,
}

/// What a merge did, and what the partition is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeOutcome {
    /// Fetched rows that were not stored here.
    pub new: u64,
    /// Stored rows replaced by a fetched form of the same key.
    ///
    /// A row that moved in time counts here where it left, and as new where it arrived.
    pub changed: u64,
    /// Fetched rows equal to the stored ones, columns marked volatile aside.
    pub unchanged: u64,
    /// Stored rows taken out.
    pub removed: u64,
    /// Rows in the result.
    pub rows: u64,
    /// The least partition time in the result.
    pub least_time: Option<Timestamp>,
    /// The greatest partition time in the result.
    pub greatest_time: Option<Timestamp>,
    /// The least key in the result.
    pub least_key: Option<String>,
    /// The greatest key in the result.
    pub greatest_key: Option<String>,
    /// The keys of stored rows that were neither fetched nor removed and that the proof is about.
    pub unfetched: Vec<String>,
}

impl MergeOutcome {
    /// Whether the result differs from what is stored.
    pub fn differs(&self) -> bool {
        self.new + self.changed + self.removed > 0
    }
}

/// Merges what is stored with what was fetched and pushes the result, sorted and each key once, into `encoder`.
///
/// A fetched row replaces the stored one of its key, wherever in time that lies; when only volatile columns differ the stored row stays.
///
/// # Errors
/// Storage, when either side cannot be read, the stored side is not sorted, or the encoder fails.
pub fn merge_partition<W: Write + Send>(
    stream: &Stream,
    input: MergeInput<'_>,
    encoder: &mut ParquetEncoder<W>,
) -> Result<MergeOutcome> {
    let order = Order::new(stream)?;
    let MergeInput {
        stored,
        fetched,
        remove,
        proof,
    } = input;
    let merge = Merge {
        stream,
        order: &order,
        keys: fetched.as_ref().map(FetchedPartition::keys),
        remove,
        proof,
        output: MergeOutput::new(&order, encoder),
        comparison: Comparison::default(),
        outcome: MergeOutcome::default(),
    };
    merge.run(
        Side::new("stored", stored),
        Side::new("fetched", fetched.into_iter().flatten()),
    )
}

/// A merge under way.
struct Merge<'a, W: Write + Send> {
    stream: &'a Stream,
    order: &'a Order,
    keys: Option<FetchedKeys>,
    remove: &'a HashSet<String>,
    proof: Option<&'a Proof>,
    output: MergeOutput<'a, W>,
    comparison: Comparison,
    outcome: MergeOutcome,
}

impl<W: Write + Send> Merge<'_, W> {
    fn run(mut self, mut stored: Side<'_>, mut fetched: Side<'_>) -> Result<MergeOutcome> {
        loop {
            let nothing_stored = stored.head(self.order)?.is_none();
            fetched.head(self.order)?;
            let Some(order) = compare(&stored, &fetched) else { break };
            if nothing_stored {
                self.all_new(&mut fetched)?;
                continue;
            }
            match order {
                Ordering::Less => self.only_stored(&mut stored)?,
                Ordering::Greater => {
                    self.outcome.new += 1;
                    self.take(&mut fetched)?;
                }
                Ordering::Equal => self.both(&mut stored, &mut fetched)?,
            }
            if self.output.is_full() {
                self.output.flush()?;
                stored.forget_source();
                fetched.forget_source();
            }
        }
        let stats = self.output.finish()?;
        Ok(MergeOutcome {
            rows: stats.rows,
            least_time: stats.least_time,
            greatest_time: stats.greatest_time,
            least_key: stats.least_key,
            greatest_key: stats.greatest_key,
            ..self.outcome
        })
    }

    /// Nothing stored is left, so the rest of the batch is taken as it is.
    fn all_new(&mut self, fetched: &mut Side<'_>) -> Result<()> {
        if let Some(rows) = fetched.rest()? {
            self.outcome.new += rows.num_rows() as u64;
            self.output.push(&rows)?;
        }
        Ok(())
    }

    /// The key stands here in what is stored, and not in what was fetched.
    fn only_stored(&mut self, stored: &mut Side<'_>) -> Result<()> {
        let Some(head) = stored.head(self.order)? else {
            return Ok(());
        };
        let keys = self.order.keys(&head.batch)?;
        let key = keys.text(head.row);
        if let Some(fetched) = &self.keys
            && fetched.contains(&key)?
        {
            self.outcome.changed += 1;
            return stored.advance();
        }
        if self.remove.contains(key.as_ref()) {
            self.outcome.removed += 1;
            return stored.advance();
        }
        if self
            .proof
            .is_some_and(|proof| proof.matches(self.stream, &head.batch, head.row))
        {
            self.outcome.unfetched.push(key.into_owned());
        }
        self.take(stored)
    }

    /// The key stands on both sides at the same place.
    fn both(&mut self, stored: &mut Side<'_>, fetched: &mut Side<'_>) -> Result<()> {
        if self.comparison.equal(self.stream, stored, fetched)? {
            self.outcome.unchanged += 1;
            fetched.advance()?;
            return self.take(stored);
        }
        self.outcome.changed += 1;
        stored.advance()?;
        self.take(fetched)
    }

    /// Puts the next row of `side` into the result.
    fn take(&mut self, side: &mut Side<'_>) -> Result<()> {
        if let Some(head) = side.head(self.order)? {
            let Head { batch, row, source, .. } = head;
            let source = *source.get_or_insert_with(|| self.output.add_source(batch.clone()));
            self.output.pick(source, *row);
        }
        side.advance()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::testing::{context, decoder, show, stream, things};
    use super::super::{PartitionKey, RowMemory, RunBuffer, SpillDir, read_parquet};
    use super::*;
    use crate::stream::Window;

    type Thing = (String, i64, i64);

    fn fetched(pages: Vec<RecordBatch>, limit: usize) -> (tempfile::TempDir, super::super::Fetched) {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = RunBuffer::new(
            stream(),
            &RowMemory::new(limit, 0),
            SpillDir::new(dir.path().join("spill")),
        )
        .unwrap();
        for (page, request) in pages.into_iter().zip(1..) {
            buffer.push(page, request).unwrap();
        }
        let fetched = buffer.finish().unwrap();
        (dir, fetched)
    }

    const NONE: &[&str] = &[];

    /// Merges the first day of what `pages` hold into the file `stored`.
    fn merge(
        stored: Option<&bytes::Bytes>,
        pages: Vec<RecordBatch>,
        remove: &[&str],
        proof: Option<&Proof>,
    ) -> Result<(MergeOutcome, bytes::Bytes)> {
        let (_dir, fetched) = fetched(pages, if remove.is_empty() { usize::MAX } else { 0 });
        let remove = remove.iter().map(|key| key.to_string()).collect();
        let stored: Box<dyn Iterator<Item = Result<RecordBatch>> + Send> = match stored {
            Some(file) => Box::new(read_parquet(&stream(), file.clone())?),
            None => Box::new(std::iter::empty()),
        };
        let fetched = Some(fetched.partition(&day(0))?);
        let mut encoder = ParquetEncoder::new(stream(), Vec::new());
        let outcome = merge_partition(
            &stream(),
            MergeInput {
                stored,
                fetched,
                remove: &remove,
                proof,
            },
            &mut encoder,
        )?;
        Ok((outcome, encoder.finish()?.into()))
    }

    fn day(number: i64) -> PartitionKey {
        PartitionKey::of(Timestamp::from_second(number * 86_400).unwrap())
    }

    fn thing(key: &str, at: i64, count: i64) -> Thing {
        (key.to_owned(), at, count)
    }

    fn read(file: &bytes::Bytes) -> Vec<Thing> {
        let batches = read_parquet(&stream(), file.clone()).unwrap().map(Result::unwrap);
        let rows = batches.flat_map(|batch| {
            let number = |column: &str, row| show(&batch, column, row).parse::<i64>().unwrap();
            let thing = |row| {
                (
                    show(&batch, "id", row),
                    number("at", row) / 1_000_000,
                    number("count", row),
                )
            };
            (0..batch.num_rows()).map(thing).collect::<Vec<_>>()
        });
        rows.collect()
    }

    fn counts(outcome: &MergeOutcome) -> [u64; 5] {
        [
            outcome.new,
            outcome.changed,
            outcome.unchanged,
            outcome.removed,
            outcome.rows,
        ]
    }

    #[test]
    fn a_first_write_is_what_was_fetched() {
        let page = things(&[thing("b", 5, 1), thing("a", 5, 2), thing("c", 1, 3)]);
        let (outcome, file) = merge(None, vec![page], NONE, None).unwrap();
        assert_eq!(read(&file), [thing("c", 1, 3), thing("a", 5, 2), thing("b", 5, 1)]);
        assert_eq!(counts(&outcome), [3, 0, 0, 0, 3]);
        let second = |second| Some(Timestamp::from_second(second).unwrap());
        assert_eq!((outcome.least_time, outcome.greatest_time), (second(1), second(5)));
        assert_eq!(
            (outcome.least_key.as_deref(), outcome.greatest_key.as_deref()),
            (Some("a"), Some("c"))
        );
        assert!(outcome.differs());
    }

    #[test]
    fn fetched_beats_stored_and_what_was_not_fetched_stays() {
        let stored = things(&[thing("a", 1, 1), thing("b", 2, 1), thing("c", 3, 1)]);
        let (_, stored) = merge(None, vec![stored], NONE, None).unwrap();
        let page = things(&[thing("b", 2, 9), thing("c", 3, 1), thing("d", 4, 1)]);
        let (outcome, file) = merge(Some(&stored), vec![page], NONE, None).unwrap();
        assert_eq!(
            read(&file),
            [thing("a", 1, 1), thing("b", 2, 9), thing("c", 3, 1), thing("d", 4, 1)]
        );
        assert_eq!(counts(&outcome), [1, 1, 1, 0, 4]);
        assert_eq!(outcome.unfetched, NONE, "nobody asked");
    }

    #[test]
    fn a_row_that_moved_leaves_its_old_place() {
        let stored = things(&[thing("a", 1, 1), thing("b", 2, 1), thing("c", 3, 1)]);
        let (_, stored) = merge(None, vec![stored], NONE, None).unwrap();
        // `a` within the partition, `b` out of it.
        let page = things(&[thing("a", 7, 1), thing("b", 86_400, 1)]);
        let (outcome, file) = merge(Some(&stored), vec![page], NONE, None).unwrap();
        assert_eq!(read(&file), [thing("c", 3, 1), thing("a", 7, 1)]);
        assert_eq!(counts(&outcome), [1, 2, 0, 0, 2]);
    }

    #[test]
    fn keys_to_remove_go_unless_they_were_fetched() {
        let stored = things(&[thing("a", 1, 1), thing("b", 2, 1), thing("c", 3, 1)]);
        let (_, stored) = merge(None, vec![stored], NONE, None).unwrap();
        let (outcome, file) = merge(Some(&stored), vec![things(&[thing("b", 2, 1)])], &["a", "b", "x"], None).unwrap();
        assert_eq!(read(&file), [thing("b", 2, 1), thing("c", 3, 1)]);
        assert_eq!(counts(&outcome), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn proof_names_the_rows_that_should_have_come() {
        let stored = things(&[thing("a", 1, 1), thing("b", 2, 1), thing("c", 3, 1), thing("d", 4, 1)]);
        let (_, stored) = merge(None, vec![stored], NONE, None).unwrap();
        let second = |second| Timestamp::from_second(second).unwrap();
        let unfetched = |proof: Proof| {
            let pages = vec![things(&[thing("b", 2, 1)])];
            merge(Some(&stored), pages, NONE, Some(&proof)).unwrap().0.unfetched
        };
        let window = Window::new(second(2), second(4));
        let ids = |id: i64| Some(HashSet::from([id]));
        assert_eq!(
            unfetched(Proof {
                window,
                transactional_ids: None
            }),
            ["c"]
        );
        assert_eq!(
            unfetched(Proof {
                window,
                transactional_ids: ids(7)
            }),
            ["c"]
        );
        assert_eq!(
            unfetched(Proof {
                window,
                transactional_ids: ids(8)
            }),
            NONE
        );
        assert_eq!(unfetched(Proof::default()), ["a", "c", "d"]);
    }

    #[test]
    fn volatile_columns_alone_change_nothing() {
        let page = |second: i64, count: i64| {
            let mut context = context();
            context.requested_at = Timestamp::from_second(second).unwrap();
            let page = format!(r#"{{"rows":[{{"id":"a","at":1,"count":{count}}}]}}"#);
            decoder().decode(page.as_bytes(), &context).unwrap().rows
        };
        let asked = |file: &bytes::Bytes| {
            let batch = read_parquet(&stream(), file.clone()).unwrap().next().unwrap().unwrap();
            show(&batch, "asked", 0)
        };
        let (_, stored) = merge(None, vec![page(1, 1)], NONE, None).unwrap();
        let (outcome, same) = merge(Some(&stored), vec![page(2, 1)], NONE, None).unwrap();
        assert_eq!((counts(&outcome), outcome.differs()), ([0, 0, 1, 0, 1], false));
        assert_eq!((asked(&same), same == stored), ("1000000".into(), true));
        let (outcome, other) = merge(Some(&stored), vec![page(2, 2)], NONE, None).unwrap();
        assert_eq!((counts(&outcome), asked(&other)), ([0, 1, 0, 0, 1], "2000000".into()));
    }

    #[test]
    fn every_kind_of_column_can_change_a_row() {
        let page = |fields: &str| {
            let page = format!(r#"{{"rows":[{{"id":"a","at":1{fields}}}]}}"#);
            vec![decoder().decode(page.as_bytes(), &context()).unwrap().rows]
        };
        let (_, stored) = merge(None, page(""), NONE, None).unwrap();
        let fields = [
            r#""name":"x""#,
            r#""count":0"#,
            r#""flag":false"#,
            r#""seen":0"#,
            r#""data":{}"#,
            r#""series":[]"#,
            r#""metrics":{}"#,
            r#""metrics":{"sent":1}"#,
            r#""new":1"#,
        ];
        for field in fields {
            let (outcome, file) = merge(Some(&stored), page(&format!(",{field}")), NONE, None).unwrap();
            assert_eq!(outcome.changed, 1, "{field}");
            let (again, _) = merge(Some(&file), page(&format!(",{field}")), NONE, None).unwrap();
            assert_eq!(again.unchanged, 1, "{field}");
        }
    }

    #[test]
    fn unsorted_files_are_refused() {
        for rows in [
            [thing("b", 2, 1), thing("a", 1, 1)],
            [thing("a", 1, 1), thing("a", 1, 1)],
        ] {
            let mut encoder = ParquetEncoder::new(stream(), Vec::new());
            encoder.push(&things(&rows)).unwrap();
            let file = encoder.finish().unwrap().into();
            let error = merge(Some(&file), vec![], NONE, None).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("the stored rows of a partition are not in the order"),
                "{error}"
            );
        }
    }

    fn some_things() -> impl Strategy<Value = Vec<Thing>> {
        let thing = (0..3_000_u32, 0..3_i64).prop_map(|(key, count)| (format!("k{key}"), i64::from(key % 50), count));
        proptest::collection::vec(thing, 0..4_000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn merging_is_an_upsert_and_idempotent(stored in some_things(), pages in some_things(), spill in any::<bool>()) {
            let key = |thing: &Thing| (thing.1, thing.0.clone());
            let mut expected: BTreeMap<_, Thing> = stored.iter().map(|thing| (key(thing), thing.clone())).collect();
            let (_, before) = merge(None, vec![things(&stored)], NONE, None).unwrap();
            prop_assert_eq!(read(&before), expected.values().cloned().collect::<Vec<_>>());

            expected.extend(pages.iter().map(|thing| (key(thing), thing.clone())));
            // A key that nothing has: it only makes the runs go to disk.
            let remove: &[&str] = if spill { &["x"] } else { NONE };
            let (outcome, after) = merge(Some(&before), vec![things(&pages)], remove, None).unwrap();
            prop_assert_eq!(read(&after), expected.values().cloned().collect::<Vec<_>>());
            prop_assert_eq!(outcome.rows, expected.len() as u64);

            let (again, same) = merge(Some(&after), vec![things(&pages)], remove, None).unwrap();
            prop_assert!(!again.differs());
            prop_assert_eq!(again.unchanged, outcome.new + outcome.changed + outcome.unchanged);
            prop_assert!(same == after);
        }
    }
}
