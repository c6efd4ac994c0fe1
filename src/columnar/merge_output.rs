//! The result of a merge on its way to the encoder: rows picked from the batches of both sides.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;

use super::ParquetEncoder;
use super::order::Order;
use super::stats::{PartitionStats, StatsBuilder};
use crate::error::{Error, Result};

/// Picked rows are gathered when they are this many, which is what the encoder takes at once,
const PICKS: usize = 8192;
/// or when they lie in this many batches, so that rows passed over do not fill the memory.
const SOURCES: usize = 24;

/// A batch that rows can be picked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceId(usize);

/// Gathers picked rows and passes them on.
pub(super) struct MergeOutput<'a, W: Write + Send> {
    order: &'a Order,
    encoder: &'a mut ParquetEncoder<W>,
    sources: Vec<RecordBatch>,
    picks: Vec<(usize, usize)>,
    stats: StatsBuilder,
}

impl<'a, W: Write + Send> MergeOutput<'a, W> {
    pub(super) fn new(order: &'a Order, encoder: &'a mut ParquetEncoder<W>) -> Self {
        Self {
            order,
            encoder,
            sources: Vec::new(),
            picks: Vec::new(),
            stats: StatsBuilder::default(),
        }
    }

    /// Whether the sources should be given up with [`flush`](Self::flush) before another one is added.
    pub(super) fn is_full(&self) -> bool {
        self.picks.len() >= PICKS || self.sources.len() >= SOURCES
    }

    /// Makes a batch available.
    pub(super) fn add_source(&mut self, batch: RecordBatch) -> SourceId {
        self.sources.push(batch);
        SourceId(self.sources.len() - 1)
    }

    /// The next row of the result.
    pub(super) fn pick(&mut self, source: SourceId, row: usize) {
        self.picks.push((source.0, row));
    }

    /// Writes the rows picked and forgets every source.
    pub(super) fn flush(&mut self) -> Result<()> {
        if !self.picks.is_empty() {
            let batch = self.gather()?;
            self.write(&batch)?;
        }
        self.picks.clear();
        self.sources.clear();
        Ok(())
    }

    /// Writes whole rows behind those picked.
    pub(super) fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        self.flush()?;
        self.write(rows)
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.stats.see(self.order, rows)?;
        self.encoder.push(rows)
    }

    pub(super) fn finish(mut self) -> Result<PartitionStats> {
        self.flush()?;
        self.stats.finish()
    }

    fn gather(&self) -> Result<RecordBatch> {
        if let Some((source, start)) = self.contiguous() {
            return Ok(self.sources[source].slice(start, self.picks.len()));
        }
        let sources: Vec<_> = self.sources.iter().collect();
        interleave_record_batch(&sources, &self.picks)
            .map_err(|error| Error::internal("merged rows cannot be gathered").caused_by(error))
    }

    /// Where the picks lie when they follow one another in one source.
    fn contiguous(&self) -> Option<(usize, usize)> {
        let &(source, start) = self.picks.first()?;
        let expected = (start..).map(|row| (source, row));
        self.picks
            .iter()
            .copied()
            .zip(expected)
            .all(|(pick, expected)| pick == expected)
            .then_some((source, start))
    }
}
