//! What was fetched, partition by partition: sorted, each key once.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

use super::PartitionKey;
use super::key_index::KeySet;
use super::order::Order;
use super::row_memory::Held;
use super::run_buffer::{batch_rows, rows_in};
use super::run_merge::{RunBatches, RunMerge};
use super::sorted_run::SortedRun;
use super::spill::RunFile;
use super::stamp::{Stamps, take_off};
use crate::error::{Error, Result};
use crate::stream::Stream;

/// Rows in memory are handed out in batches of the encoder's own size, so that it need not cut them again.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 8 << 20;

/// Everything a [`RunBuffer`](super::RunBuffer) collected.
#[derive(Debug)]
pub struct Fetched {
    stream: Arc<Stream>,
    collected: Arc<Collected>,
}

#[derive(Debug)]
struct Collected {
    rows: FetchedRows,
    keys: KeySet,
    _held: Held,
}

#[derive(Debug)]
pub(super) enum FetchedRows {
    /// Without superseded rows; and how many of them make a batch.
    Memory(SortedRun, usize),
    /// Stamped runs that are merged when they are read.
    Disk {
        /// Those in files.
        runs: Vec<RunFile>,
        /// What came after the last of them,
        rest: SortedRun,
        /// and how many of its rows make a batch.
        step: usize,
    },
}

impl FetchedRows {
    /// Rows in memory that take `bytes`.
    pub(super) fn in_memory(run: SortedRun, bytes: usize) -> Self {
        let step = rows_in(BATCH_BYTES, bytes, run.rows()).min(BATCH_ROWS);
        Self::Memory(run, step)
    }
}

impl Fetched {
    pub(super) fn new(stream: Arc<Stream>, rows: FetchedRows, keys: KeySet, held: Held) -> Self {
        Self {
            stream,
            collected: Arc::new(Collected {
                rows,
                keys,
                _held: held,
            }),
        }
    }

    /// Rows, each key counted once.
    pub fn rows(&self) -> u64 {
        self.collected.keys.len() as u64
    }

    /// The partitions that rows were fetched for, ascending.
    ///
    /// One of them is empty when everything in it was fetched again later with a time in another.
    pub fn partitions(&self) -> Vec<PartitionKey> {
        let keys: BTreeSet<PartitionKey> = match &self.collected.rows {
            FetchedRows::Memory(run, _) => run.partitions().keys().copied().collect(),
            FetchedRows::Disk { runs, rest, .. } => {
                let spilled = runs.iter().flat_map(RunFile::partitions);
                spilled.chain(rest.partitions().keys()).copied().collect()
            }
        };
        keys.into_iter().collect()
    }

    /// The rows of one partition; none when nothing was fetched for it.
    ///
    /// # Errors
    /// Storage, when runs on disk cannot be read.
    pub fn partition(&self, key: &PartitionKey) -> Result<FetchedPartition> {
        let source = match &self.collected.rows {
            FetchedRows::Memory(run, step) => Source::Memory {
                left: run.partitions().get(key).cloned().unwrap_or_default(),
                step: *step,
            },
            FetchedRows::Disk { runs, rest, .. } => {
                let spilled = runs.iter().map(|run| Ok(Box::new(run.read(Some(key))?) as RunBatches));
                let rest = Rest {
                    left: rest.partitions().get(key).cloned().unwrap_or_default(),
                    collected: Arc::clone(&self.collected),
                };
                let batches = spilled
                    .chain([Ok(Box::new(rest) as RunBatches)])
                    .collect::<Result<_>>()?;
                Source::Disk(RunMerge::new(Order::new(&self.stream)?, batches, batch_rows(runs))?)
            }
        };
        Ok(FetchedPartition {
            source,
            collected: Arc::clone(&self.collected),
        })
    }

    /// The keys of one partition's rows as text, integers in decimal.
    ///
    /// # Errors
    /// Storage, when runs on disk cannot be read.
    pub fn keys(&self, key: &PartitionKey) -> Result<Vec<String>> {
        let order = Order::new(&self.stream)?;
        let mut texts = Vec::new();
        for batch in self.partition(key)? {
            let batch = batch?;
            let keys = order.keys(&batch)?;
            texts.extend((0..batch.num_rows()).map(|row| keys.text(row).into_owned()));
        }
        Ok(texts)
    }

    /// Whether `key` was fetched, in whatever partition; integers in decimal.
    ///
    /// # Errors
    /// Storage, when the keys on disk cannot be read.
    pub fn contains(&self, key: &str) -> Result<bool> {
        self.collected.keys.contains(key)
    }
}

/// The rows of one partition in the table's order, each key once: an iterator over batches in the table's schema.
pub struct FetchedPartition {
    // Before what it reads from, as in `Collected`.
    source: Source,
    collected: Arc<Collected>,
}

/// The keys of everything that was fetched.
#[derive(Debug)]
pub(super) struct FetchedKeys(Arc<Collected>);

impl FetchedKeys {
    pub(super) fn contains(&self, key: &str) -> Result<bool> {
        self.0.keys.contains(key)
    }
}

enum Source {
    Memory { left: Range<usize>, step: usize },
    Disk(RunMerge),
}

/// The rows of one partition that are in memory while others are on disk, with their stamps.
struct Rest {
    left: Range<usize>,
    collected: Arc<Collected>,
}

impl Iterator for Rest {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let FetchedRows::Disk { rest, step, .. } = &self.collected.rows else {
            return None;
        };
        let part = self.left.start..self.left.end.min(self.left.start + *step);
        self.left.start = part.end;
        (!part.is_empty()).then(|| rest.gather_stamped(part))
    }
}

impl FetchedPartition {
    /// Whether `key` was fetched, in this partition or any other; integers in decimal.
    ///
    /// # Errors
    /// Storage, when the keys on disk cannot be read.
    pub fn contains(&self, key: &str) -> Result<bool> {
        self.collected.keys.contains(key)
    }

    /// Answers [`contains`](Self::contains) while the rows are read.
    pub(super) fn keys(&self) -> FetchedKeys {
        FetchedKeys(Arc::clone(&self.collected))
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        match (&mut self.source, &self.collected.rows) {
            (Source::Memory { left, step }, FetchedRows::Memory(run, _)) if left.start < left.end => {
                let part = left.start..left.end.min(left.start + *step);
                left.start = part.end;
                run.gather(part).map(Some)
            }
            (Source::Disk(merge), _) => newest(merge, &self.collected.keys),
            _ => Ok(None),
        }
    }
}

impl Iterator for FetchedPartition {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The next merged batch without rows that came again later elsewhere, and without stamps.
fn newest(merge: &mut RunMerge, keys: &KeySet) -> Result<Option<RecordBatch>> {
    let Some(batch) = merge.next().transpose()? else {
        return Ok(None);
    };
    if !keys.any_moved() {
        return take_off(&batch).map(Some);
    }
    let (names, stamps) = (merge.order().keys(&batch)?, Stamps::of(&batch));
    let stays: BooleanArray = (0..batch.num_rows())
        .map(|row| Some(!keys.is_superseded(&names.text(row), stamps.get(row))))
        .collect();
    let rows = filter_record_batch(&batch, &stays)
        .map_err(|error| Error::internal("superseded rows cannot be taken out").caused_by(error))?;
    take_off(&rows).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_threads_may_share_it() {
        fn shared<T: Send + Sync>() {}
        fn sent<T: Send>() {}
        shared::<Fetched>();
        sent::<FetchedPartition>();
        shared::<super::super::PageDecoder>();
        sent::<super::super::RunBuffer>();
        sent::<super::super::ParquetEncoder<Vec<u8>>>();
    }
}
