//! Fetched rows in memory, sorted by reference: the pages stay as they came and are gathered when they are read.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::Rows;

use super::PartitionKey;
use super::order::Order;
use super::stamp::Stamps;
use crate::error::{Error, Result};

/// A stamped batch and its order, in the sequence in which rows came.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) batch: RecordBatch,
    pub(super) order: Rows,
}

/// A row of a page.
#[derive(Debug, Clone, Copy)]
struct Place {
    page: u32,
    row: u32,
}

/// Stamped pages and the sequence in which their rows are to be read; of rows with equal order only the latest.
#[derive(Debug)]
pub(super) struct SortedRun {
    pages: Vec<RecordBatch>,
    places: Vec<Place>,
    partitions: BTreeMap<PartitionKey, Range<usize>>,
}

impl SortedRun {
    pub(super) fn new(order: &Order, pages: Vec<Page>) -> Result<Self> {
        let places = sort(&pages);
        let pages = pages.into_iter().map(|page| page.batch).collect();
        let mut run = Self {
            pages,
            places,
            partitions: BTreeMap::new(),
        };
        run.partition(order)?;
        Ok(run)
    }

    pub(super) fn rows(&self) -> usize {
        self.places.len()
    }

    pub(super) fn partitions(&self) -> &BTreeMap<PartitionKey, Range<usize>> {
        &self.partitions
    }

    /// Takes out every row that `stays` refuses, given its stamped page and its number in it.
    pub(super) fn retain(&mut self, order: &Order, stays: impl Fn(&RecordBatch, usize) -> Result<bool>) -> Result<()> {
        let mut kept = Vec::with_capacity(self.places.len());
        for place in std::mem::take(&mut self.places) {
            if stays(&self.pages[place.page as usize], place.row as usize)? {
                kept.push(place);
            }
        }
        self.places = kept;
        self.partition(order)
    }

    /// Changes every page, rows excepted.
    pub(super) fn map_pages(&mut self, change: impl Fn(&RecordBatch) -> Result<RecordBatch>) -> Result<()> {
        self.pages = self.pages.iter().map(change).collect::<Result<_>>()?;
        Ok(())
    }

    /// Gathers the rows of a part of the run.
    pub(super) fn gather(&self, part: Range<usize>) -> Result<RecordBatch> {
        // Only the pages that take part: a run may have thousands, and gathering looks at every column of each.
        let mut numbers = vec![usize::MAX; self.pages.len()];
        let mut pages = Vec::new();
        let indices: Vec<(usize, usize)> = self.places[part]
            .iter()
            .map(|place| {
                let number = &mut numbers[place.page as usize];
                if *number == usize::MAX {
                    *number = pages.len();
                    pages.push(&self.pages[place.page as usize]);
                }
                (*number, place.row as usize)
            })
            .collect();
        interleave_record_batch(&pages, &indices)
            .map_err(|error| Error::internal("sorted rows cannot be gathered").caused_by(error))
    }

    fn partition(&mut self, order: &Order) -> Result<()> {
        let micros = |at: usize| {
            let place = self.places[at];
            order.micros(&self.pages[place.page as usize], place.row as usize)
        };
        self.partitions = order.partitions(self.places.len(), micros)?.into_iter().collect();
        Ok(())
    }
}

/// The places of all rows by order, then stamp; of equal order the last one only.
fn sort(pages: &[Page]) -> Vec<Place> {
    let stamps: Vec<_> = pages.iter().map(|page| Stamps::of(&page.batch)).collect();
    let order = |place: &Place| pages[place.page as usize].order.row(place.row as usize);
    let stamp = |place: &Place| stamps[place.page as usize].get(place.row as usize);
    let mut rows: Vec<(u128, Place)> = Vec::with_capacity(pages.iter().map(|page| page.order.num_rows()).sum());
    for (page, number) in pages.iter().zip(0..) {
        let places = (0..).take(page.order.num_rows()).map(|row| Place { page: number, row });
        rows.extend(places.map(|place| (prefix(order(&place).data()), place)));
    }
    rows.sort_unstable_by(|(a_prefix, a), (b_prefix, b)| {
        let by_order = a_prefix.cmp(b_prefix).then_with(|| order(a).cmp(&order(b)));
        by_order.then_with(|| stamp(a).cmp(&stamp(b)))
    });
    let next_differs = |at: usize| {
        rows.get(at + 1)
            .is_none_or(|(prefix, next)| *prefix != rows[at].0 || order(next) != order(&rows[at].1))
    };
    (0..rows.len())
        .filter(|&at| next_differs(at))
        .map(|at| rows[at].1)
        .collect()
}

/// The first bytes as a number: most comparisons end here, without a visit to the row.
fn prefix(order: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = order.len().min(bytes.len());
    bytes[..length].copy_from_slice(&order[..length]);
    u128::from_be_bytes(bytes)
}
