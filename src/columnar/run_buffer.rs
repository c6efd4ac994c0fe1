//! Fetched rows on their way to the table: held until they are many, then sorted and put on disk.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::fetched::{Fetched, FetchedRows};
use super::key_index::{KeyEntry, KeyFile, KeySet};
use super::order::Order;
use super::row_memory::{Held, RowMemory};
use super::run_merge::{RunBatches, RunMerge};
use super::small_pages::SmallPages;
use super::sorted_run::{Page, SortedRun};
use super::spill::{RunFile, RunWriter, SpillDir};
use super::stamp::{Stamp, stamped_schema};
use crate::error::{Error, Result};
use crate::stream::{Stream, arrow_schema};

/// Rows of a run on disk are read in batches of at most this many.
const BATCH_ROWS: usize = 4096;
/// And of about this many bytes, so that wide rows do not fill the memory.
const BATCH_BYTES: usize = 1 << 20;
/// This many runs of about one size become one, so that the number of runs that are read at once stays small.
const FAN_IN: usize = 16;
/// Sorting takes this much beside the row itself: the rows' places twice over, then their keys.
const SORT_BYTES: usize = 64;

/// Collects the rows of one stream.
#[derive(Debug)]
pub struct RunBuffer {
    stream: Arc<Stream>,
    schema: SchemaRef,
    order: Order,
    pages: Vec<Page>,
    small: SmallPages,
    held: Held,
    rows: u64,
    /// Of all rows ever pushed.
    pushed_bytes: usize,
    /// By level: a run of level n + 1 was made from runs of level n.
    spilled: Vec<Vec<SpilledRun>>,
    spill: SpillDir,
}

/// A run on disk and its keys.
#[derive(Debug)]
struct SpilledRun {
    rows: RunFile,
    keys: KeyFile,
}

impl RunBuffer {
    /// An empty buffer that sorts its rows and puts them into `spill` when `memory` is full.
    ///
    /// # Errors
    /// Internal, when the stream's order is of a type that cannot be sorted.
    pub fn new(stream: Arc<Stream>, memory: &RowMemory, spill: SpillDir) -> Result<Self> {
        Ok(Self {
            schema: arrow_schema(&stream),
            order: Order::new(&stream)?,
            stream,
            spill,
            pages: Vec::new(),
            small: SmallPages::default(),
            held: memory.account(),
            rows: 0,
            pushed_bytes: 0,
            spilled: Vec::new(),
        })
    }

    /// Takes rows in the table's schema that the request with this sequence number brought.
    ///
    /// Of the forms of one key the one with the greatest `request` wins, within a request the one pushed last.
    ///
    /// # Errors
    /// Storage, when the rows held have to go to disk and cannot.
    pub fn push(&mut self, rows: RecordBatch, request: u64) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if rows.schema_ref().fields() != self.schema.fields() {
            return Err(Error::internal(format!(
                "rows with another schema than {}",
                self.stream.stream
            )));
        }
        let first = Stamp {
            request,
            arrival: self.rows,
        };
        self.rows += rows.num_rows() as u64;
        let bytes = bytes_of(&rows);
        self.held.add(bytes);
        self.pushed_bytes += bytes;
        self.pages.extend(self.small.take_in(Page::new(rows, first), bytes));
        if self.small.are_due() {
            self.join()?;
        }
        if self.held.is_full_with(0) {
            self.spill()
        } else {
            Ok(())
        }
    }

    /// Whether `rows` can be pushed without anything going to disk.
    pub fn has_room_for(&self, rows: &RecordBatch) -> bool {
        !self.held.is_full_with(bytes_of(rows))
    }

    /// Bytes held in memory, what sorting them will take included.
    pub fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// What a row takes in memory on average, what sorting it will take included; 0 when none was pushed.
    pub fn row_bytes(&self) -> usize {
        usize::try_from(self.rows).map_or(0, |rows| self.pushed_bytes / rows.max(1))
    }

    /// Rows pushed, every form of a key counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the collection.
    ///
    /// # Errors
    /// Storage, when runs on disk cannot be read or written.
    pub fn finish(mut self) -> Result<Fetched> {
        if self.spilled.is_empty() {
            return self.finish_in_memory();
        }
        let runs = std::mem::take(&mut self.spilled).into_iter().flatten();
        let (runs, mut keys): (Vec<_>, Vec<_>) = runs.map(|run| (run.rows, run.keys)).unzip();
        let step = self.step();
        let (rest, entries) = self.sort()?;
        keys.push(self.write_keys(entries)?);
        let keys = KeySet::on_disk(&self.spill, &keys)?;
        let rows = FetchedRows::Disk { runs, rest, step };
        Ok(Fetched::new(self.stream, rows, keys, self.held))
    }

    fn finish_in_memory(mut self) -> Result<Fetched> {
        let (mut run, entries) = self.sort()?;
        let keys = KeySet::in_memory(entries);
        if keys.any_moved() {
            run.retain(&self.order, |page, row| {
                let key = self.order.keys(&page.rows)?.text(row);
                Ok(!keys.is_superseded(&key, page.stamp(row)))
            })?;
        }
        let rows = FetchedRows::in_memory(run, self.held.bytes());
        Ok(Fetched::new(self.stream, rows, keys, self.held))
    }

    /// Sorts the rows held and writes them as one run.
    fn spill(&mut self) -> Result<()> {
        if self.held_rows() == 0 {
            return Ok(());
        }
        let step = self.step();
        let (run, entries) = self.sort()?;
        let keys = self.write_keys(entries)?;
        let mut writer = RunWriter::new(&self.spill, &stamped_schema(&self.schema))?;
        for (key, range) in run.partitions() {
            for start in range.clone().step_by(step) {
                writer.push(*key, &run.gather_stamped(start..range.end.min(start + step))?)?;
            }
        }
        let run = SpilledRun {
            rows: writer.finish()?,
            keys,
        };
        self.held.give_back(self.held.bytes());
        self.add(0, run)
    }

    fn join(&mut self) -> Result<()> {
        if let Some((page, weighed)) = self.small.join(&self.schema)? {
            let bytes = bytes_of(&page.rows);
            self.held.give_back(weighed);
            self.held.add(bytes);
            self.pushed_bytes -= weighed.saturating_sub(bytes);
            self.pages.push(page);
        }
        Ok(())
    }

    fn held_rows(&self) -> usize {
        self.small.rows() + self.pages.iter().map(|page| page.rows.num_rows()).sum::<usize>()
    }

    /// How many rows of those held make a batch of a run.
    fn step(&self) -> usize {
        rows_in(BATCH_BYTES, self.held.bytes(), self.held_rows()).min(BATCH_ROWS)
    }

    /// Takes the rows held, sorted, and their keys.
    fn sort(&mut self) -> Result<(SortedRun, Vec<KeyEntry>)> {
        self.join()?;
        let run = SortedRun::new(&self.order, std::mem::take(&mut self.pages))?;
        let entries = KeyEntry::collect(&self.order, run.pages())?;
        Ok((run, entries))
    }

    fn write_keys(&self, mut entries: Vec<KeyEntry>) -> Result<KeyFile> {
        entries.sort_unstable();
        KeyFile::write(&self.spill, entries.into_iter().map(Ok))
    }

    /// Adds a run, and merges its level when that is full.
    fn add(&mut self, level: usize, run: SpilledRun) -> Result<()> {
        if self.spilled.len() == level {
            self.spilled.push(Vec::new());
        }
        self.spilled[level].push(run);
        if self.spilled[level].len() < FAN_IN {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.spilled[level]);
        let merged = self.merge(runs)?;
        self.add(level + 1, merged)
    }

    fn merge(&self, runs: Vec<SpilledRun>) -> Result<SpilledRun> {
        let (runs, keys): (Vec<_>, Vec<_>) = runs.into_iter().map(|run| (run.rows, run.keys)).unzip();
        let mut writer = RunWriter::new(&self.spill, &stamped_schema(&self.schema))?;
        let batches = runs.iter().map(|run| Ok(Box::new(run.read(None)?) as RunBatches));
        let merge = RunMerge::new(
            Order::new(&self.stream)?,
            batches.collect::<Result<_>>()?,
            batch_rows(&runs),
        )?;
        for batch in merge {
            let batch = batch?;
            for (key, range) in self
                .order
                .partitions(batch.num_rows(), |row| self.order.micros(&batch, row))?
            {
                writer.push(key, &batch.slice(range.start, range.len()))?;
            }
        }
        let keys = KeyFile::write(&self.spill, KeyFile::merge(&keys)?)?;
        Ok(SpilledRun {
            rows: writer.finish()?,
            keys,
        })
    }
}

/// What rows take in memory, and sorting them.
fn bytes_of(rows: &RecordBatch) -> usize {
    rows.get_array_memory_size() + rows.num_rows() * SORT_BYTES
}

/// How many rows of these runs a batch should have.
pub(super) fn batch_rows(runs: &[RunFile]) -> usize {
    let bytes = runs.iter().map(|run| run.bytes).sum();
    let rows = runs.iter().map(|run| run.rows).sum();
    rows_in(BATCH_BYTES, bytes, rows).min(BATCH_ROWS)
}

/// How many rows of average size fit into `target` bytes, when `rows` take `bytes`.
pub(super) fn rows_in(target: usize, bytes: usize, rows: usize) -> usize {
    let average = (bytes / rows.max(1)).max(1);
    (target / average).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::super::PartitionKey;
    use super::super::testing::{show, stream, things};
    use super::*;

    /// What a row looks like to these tests: key, time, and a value that tells forms of one key apart.
    type Thing = (String, i64, i64);

    fn read(fetched: &Fetched) -> BTreeMap<PartitionKey, Vec<Thing>> {
        let partition = |key: PartitionKey| {
            let rows: Vec<Thing> = fetched
                .partition(&key)
                .unwrap()
                .flat_map(|batch| things_of(&batch.unwrap()))
                .collect();
            (key, rows)
        };
        fetched
            .partitions()
            .into_iter()
            .map(partition)
            .filter(|(_, rows)| !rows.is_empty())
            .collect()
    }

    fn things_of(batch: &RecordBatch) -> Vec<Thing> {
        let number = |column: &str, row| show(batch, column, row).parse::<i64>().unwrap();
        let thing = |row| {
            (
                show(batch, "id", row),
                number("at", row) / 1_000_000,
                number("count", row),
            )
        };
        (0..batch.num_rows()).map(thing).collect()
    }

    fn buffer(limit: usize, spill: SpillDir) -> RunBuffer {
        RunBuffer::new(stream(), &RowMemory::new(limit, 0), spill).unwrap()
    }

    /// Hands what was collected to `look`, while its folder exists.
    fn collect<T>(pages: &[(u64, Vec<Thing>)], limit: usize, look: impl FnOnce(&Fetched) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = buffer(limit, SpillDir::new(dir.path().join("spill")));
        for (request, rows) in pages {
            buffer.push(things(rows), *request).unwrap();
        }
        look(&buffer.finish().unwrap())
    }

    /// The same by the plainest means.
    fn model(pages: &[(u64, Vec<Thing>)]) -> BTreeMap<PartitionKey, Vec<Thing>> {
        let mut newest: HashMap<String, (u64, Thing)> = HashMap::new();
        for (request, thing) in pages
            .iter()
            .flat_map(|(request, rows)| rows.iter().map(move |row| (*request, row)))
        {
            let known = newest
                .entry(thing.0.clone())
                .or_insert_with(|| (request, thing.clone()));
            if known.0 <= request {
                *known = (request, thing.clone());
            }
        }
        let mut partitions: BTreeMap<_, Vec<Thing>> = BTreeMap::new();
        for (_, thing) in newest.into_values() {
            let day = PartitionKey::of(jiff::Timestamp::from_second(thing.1).unwrap());
            partitions.entry(day).or_default().push(thing);
        }
        partitions
            .values_mut()
            .for_each(|rows| rows.sort_by_key(|(id, at, _)| (*at, id.clone())));
        partitions
    }

    fn pages() -> impl Strategy<Value = Vec<(u64, Vec<Thing>)>> {
        let thing = (0..40_u8, 0..4_i64, any::<i16>());
        let thing = thing.prop_map(|(key, half_day, value)| (format!("k{key}"), half_day * 43_200, i64::from(value)));
        let page = (0..5_u64, proptest::collection::vec(thing, 0..12));
        proptest::collection::vec(page, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_result_depends_on_the_rows_alone(pages in pages(), limit in 1..40_000_usize) {
            let expected = model(&pages);
            let keys: Vec<_> = (0..40).map(|key| format!("k{key}")).collect();
            let known = |key: &String| expected.values().flatten().any(|(id, ..)| id == key);
            let known: Vec<bool> = keys.iter().map(known).collect();
            for limit in [usize::MAX, limit, 0] {
                let (rows, count, contained) = collect(&pages, limit, |fetched| {
                    let contained = keys.iter().map(|key| fetched.contains(key).unwrap());
                    (read(fetched), fetched.rows(), contained.collect::<Vec<_>>())
                });
                prop_assert_eq!(&rows, &expected);
                prop_assert_eq!(count, expected.values().map(|rows| rows.len() as u64).sum::<u64>());
                prop_assert_eq!(&contained, &known);
            }
        }
    }

    #[test]
    fn a_key_that_moves_in_time_stands_once() {
        let thing = |at: i64, value: i64| vec![("k".to_owned(), at, value)];
        let pages = [(2, thing(0, 1)), (1, thing(86_400, 2)), (2, thing(86_399, 3))];
        for limit in [usize::MAX, 0] {
            let found = collect(&pages, limit, read);
            assert_eq!(found.into_values().collect::<Vec<_>>(), [thing(86_399, 3)]);
        }
    }

    #[test]
    fn many_runs_keep_their_order() {
        let page = |number: i64| {
            (
                number as u64,
                (0..50)
                    .map(|row| (format!("k{row:02}"), (row * 7919 + number) % 200_000, number))
                    .collect(),
            )
        };
        let pages: Vec<_> = (0..(FAN_IN as i64 * FAN_IN as i64 + 20)).map(page).collect();
        assert_eq!(collect(&pages, 0, read), model(&pages));
    }

    #[test]
    fn what_is_spilled_has_no_name_and_is_read_by_several_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("spill");
        let mut buffer = buffer(0, SpillDir::new(&folder));
        assert!(!folder.exists());
        for number in 0..3 {
            buffer.push(things(&[(format!("k{number}"), 0, 1)]), 1).unwrap();
        }
        assert_eq!(buffer.bytes(), 0);
        let fetched = buffer.finish().unwrap();
        let [mut one, other] = [(); 2].map(|()| fetched.partition(&fetched.partitions()[0]).unwrap());
        let first = one.next().unwrap().unwrap().num_rows();
        drop(fetched);
        let rows = |partition: &mut dyn Iterator<Item = Result<RecordBatch>>| {
            partition.map(|batch| batch.unwrap().num_rows()).sum::<usize>()
        };
        assert_eq!(rows(&mut { other }), 3);
        assert_eq!(first + rows(&mut one), 3);
        assert_eq!(folder.read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_partition_nothing_was_fetched_for_is_empty() {
        for limit in [usize::MAX, 0] {
            let count = collect(&[(1, vec![("a".to_owned(), 0, 1)])], limit, |fetched| {
                fetched.partition(&PartitionKey::None).unwrap().count()
            });
            assert_eq!(count, 0);
        }
    }
}
