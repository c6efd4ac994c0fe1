//! Sorted runs become one: rows in the table's order, of equal order the latest only.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::Rows;

use super::order::Order;
use super::stamp::{Stamp, Stamps};
use crate::error::{Error, Result};

/// The stamped batches of one run, in order.
pub(super) type RunBatches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Merges stamped runs; an iterator over stamped batches of at most `limit` rows.
pub(super) struct RunMerge {
    order: Order,
    runs: Vec<RunBatches>,
    /// What the runs stand at, the row to be read next at the end.
    heads: Vec<Head>,
    /// The batches that heads and picked rows are in.
    sources: Vec<Source>,
    limit: usize,
}

#[derive(Debug)]
struct Source {
    batch: RecordBatch,
    order: Rows,
}

/// The next row of a run.
#[derive(Debug, Clone, Copy)]
struct Head {
    run: usize,
    source: usize,
    row: usize,
}

impl RunMerge {
    pub(super) fn new(order: Order, runs: Vec<RunBatches>, limit: usize) -> Result<Self> {
        let mut merge = Self {
            order,
            runs,
            heads: Vec::new(),
            sources: Vec::new(),
            limit,
        };
        for run in 0..merge.runs.len() {
            merge.load(run)?;
        }
        Ok(merge)
    }

    /// The order of the table.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    /// Puts the head of `run` at the beginning of its next batch, if there is one.
    fn load(&mut self, run: usize) -> Result<()> {
        let Some(batch) = self.runs[run].next().transpose()? else {
            return Ok(());
        };
        let order = self.order.rows(&batch)?;
        self.sources.push(Source { batch, order });
        self.insert(Head {
            run,
            source: self.sources.len() - 1,
            row: 0,
        });
        Ok(())
    }

    fn insert(&mut self, head: Head) {
        let at = self
            .heads
            .partition_point(|other| self.compare(other, &head) == Ordering::Greater);
        self.heads.insert(at, head);
    }

    /// By order, then by stamp.
    fn compare(&self, a: &Head, b: &Head) -> Ordering {
        let order = |head: &Head| self.sources[head.source].order.row(head.row);
        order(a).cmp(&order(b)).then_with(|| self.stamp(a).cmp(&self.stamp(b)))
    }

    fn stamp(&self, head: &Head) -> Stamp {
        Stamps::of(&self.sources[head.source].batch).get(head.row)
    }

    fn same_place(&self, a: &Head, b: &Head) -> bool {
        self.sources[a.source].order.row(a.row) == self.sources[b.source].order.row(b.row)
    }

    fn advance(&mut self, head: Head) -> Result<()> {
        let row = head.row + 1;
        if row < self.sources[head.source].batch.num_rows() {
            self.insert(Head { row, ..head });
            return Ok(());
        }
        self.load(head.run)
    }

    /// The rest of the first batch, when all of it comes before every other run: then there is nothing to gather.
    fn undisputed(&mut self) -> Result<Option<RecordBatch>> {
        let Some((&head, others)) = self.heads.split_last() else {
            return Ok(None);
        };
        let source = &self.sources[head.source];
        let end = source.batch.num_rows();
        let last = source.order.row(end - 1);
        let before = |next: &Head| last < self.sources[next.source].order.row(next.row);
        if !others.last().is_none_or(before) {
            return Ok(None);
        }
        let rest = source.batch.slice(head.row, end - head.row);
        self.heads.pop();
        self.load(head.run)?;
        self.release();
        Ok(Some(rest))
    }

    fn pick(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(rest) = self.undisputed()? {
            return Ok(Some(rest));
        }
        let mut picked: Vec<Head> = Vec::with_capacity(self.limit);
        while let Some(&head) = self.heads.last() {
            if picked.last().is_some_and(|last| self.same_place(last, &head)) {
                picked.pop();
            } else if picked.len() == self.limit {
                break;
            }
            picked.push(head);
            self.heads.pop();
            self.advance(head)?;
        }
        if picked.is_empty() {
            return Ok(None);
        }
        let batch = self.gather(&picked)?;
        self.release();
        Ok(Some(batch))
    }

    fn gather(&self, picked: &[Head]) -> Result<RecordBatch> {
        let sources: Vec<_> = self.sources.iter().map(|source| &source.batch).collect();
        let indices: Vec<_> = picked.iter().map(|head| (head.source, head.row)).collect();
        interleave_record_batch(&sources, &indices)
            .map_err(|error| Error::internal("sorted runs cannot be merged").caused_by(error))
    }

    /// Lets go of the batches that no head stands in.
    fn release(&mut self) {
        let mut sources: Vec<_> = std::mem::take(&mut self.sources).into_iter().map(Some).collect();
        for head in &mut self.heads {
            if let Some(source) = sources[head.source].take() {
                self.sources.push(source);
                head.source = self.sources.len() - 1;
            }
        }
    }
}

impl Iterator for RunMerge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pick().transpose()
    }
}
