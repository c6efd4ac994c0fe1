//! Fetched rows in memory, sorted by reference: the pages stay as they came and are gathered when they are read.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::{Array, RecordBatch, new_null_array};
use arrow::compute::{concat_batches, interleave, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::PartitionKey;
use super::order::Order;
use super::place::Places;
use super::stamp::{Stamp, put};
use crate::error::{Error, Result};

/// Rows as they came: those of one request, or of several that brought few.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: RecordBatch,
    /// The first row of each request and its stamp; the others arrived right behind it.
    firsts: Vec<(usize, Stamp)>,
}

impl Page {
    pub(super) fn new(rows: RecordBatch, first: Stamp) -> Self {
        Self {
            rows,
            firsts: vec![(0, first)],
        }
    }

    /// All rows of `pages`, copied into one batch of `schema`.
    pub(super) fn joined(schema: &SchemaRef, pages: &[Self]) -> Result<Self> {
        let rows = concat_batches(schema, pages.iter().map(|page| &page.rows))
            .map_err(|error| Error::internal("pages cannot be put together").caused_by(error))?;
        let mut firsts = Vec::with_capacity(pages.len());
        let mut before = 0;
        for page in pages {
            firsts.extend(page.firsts.iter().map(|(row, first)| (before + row, *first)));
            before += page.rows.num_rows();
        }
        Ok(Self { rows, firsts })
    }

    pub(super) fn stamp(&self, row: usize) -> Stamp {
        let at = self.firsts.partition_point(|(first, _)| *first <= row);
        // The first of all is row 0.
        let (first, stamp) = self.firsts[at - 1];
        Stamp {
            arrival: stamp.arrival + (row - first) as u64,
            ..stamp
        }
    }
}

/// A row of a page.
#[derive(Debug, Clone, Copy)]
struct Place {
    page: u32,
    row: u32,
}

/// Pages and the sequence in which their rows are to be read; of rows with equal order only the latest.
#[derive(Debug)]
pub(super) struct SortedRun {
    pages: Vec<Page>,
    places: Vec<Place>,
    partitions: BTreeMap<PartitionKey, Range<usize>>,
}

impl SortedRun {
    pub(super) fn new(order: &Order, pages: Vec<Page>) -> Result<Self> {
        let mut run = Self {
            places: sort(order, &pages)?,
            pages,
            partitions: BTreeMap::new(),
        };
        run.partition(order)?;
        Ok(run)
    }

    pub(super) fn rows(&self) -> usize {
        self.places.len()
    }

    pub(super) fn pages(&self) -> &[Page] {
        &self.pages
    }

    pub(super) fn partitions(&self) -> &BTreeMap<PartitionKey, Range<usize>> {
        &self.partitions
    }

    /// Takes out every row that `stays` refuses, given its page and its number in it.
    pub(super) fn retain(&mut self, order: &Order, stays: impl Fn(&Page, usize) -> Result<bool>) -> Result<()> {
        let mut kept = Vec::with_capacity(self.places.len());
        for place in std::mem::take(&mut self.places) {
            if stays(&self.pages[place.page as usize], place.row as usize)? {
                kept.push(place);
            }
        }
        self.places = kept;
        self.partition(order)
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
                    pages.push(&self.pages[place.page as usize].rows);
                }
                (*number, place.row as usize)
            })
            .collect();
        gather(&pages, &indices).map_err(|error| Error::internal("sorted rows cannot be gathered").caused_by(error))
    }

    /// The same with their stamps.
    pub(super) fn gather_stamped(&self, part: Range<usize>) -> Result<RecordBatch> {
        let rows = self.gather(part.clone())?;
        let places = self.places[part].iter();
        put(
            &rows,
            places.map(|place| self.pages[place.page as usize].stamp(place.row as usize)),
        )
    }

    fn partition(&mut self, order: &Order) -> Result<()> {
        let micros = |at: usize| {
            let place = self.places[at];
            order.micros(&self.pages[place.page as usize].rows, place.row as usize)
        };
        self.partitions = order.partitions(self.places.len(), micros)?.into_iter().collect();
        Ok(())
    }
}

/// The rows at `indices`; columns without any value, of which tables have many, are not gathered.
fn gather(pages: &[&RecordBatch], indices: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
    let Some(first) = pages.first() else {
        return interleave_record_batch(pages, indices);
    };
    let column = |at: usize| {
        let arrays: Vec<&dyn Array> = pages.iter().map(|page| page.column(at).as_ref()).collect();
        if arrays.iter().all(|array| array.null_count() == array.len()) {
            Ok(new_null_array(first.column(at).data_type(), indices.len()))
        } else {
            interleave(&arrays, indices)
        }
    };
    let columns = (0..first.num_columns()).map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(first.schema(), columns)
}

/// The places of all rows by order, then stamp; of equal order the last one only.
fn sort(order: &Order, pages: &[Page]) -> Result<Vec<Place>> {
    let orders = pages
        .iter()
        .map(|page| order.places(&page.rows))
        .collect::<Result<Vec<Places<'_>>>>()?;
    let by_order = |(a_prefix, a): &(u128, Place), (b_prefix, b): &(u128, Place)| {
        let in_full = || orders[a.page as usize].compare(a.row as usize, &orders[b.page as usize], b.row as usize);
        a_prefix.cmp(b_prefix).then_with(in_full)
    };
    let stamp = |place: &Place| pages[place.page as usize].stamp(place.row as usize);
    let mut rows: Vec<(u128, Place)> = Vec::with_capacity(pages.iter().map(|page| page.rows.num_rows()).sum());
    for ((page, places), number) in pages.iter().zip(&orders).zip(0..) {
        let prefixes = (0..page.rows.num_rows()).map(|row| places.prefix(row));
        rows.extend(
            prefixes
                .zip(0..)
                .map(|(prefix, row)| (prefix, Place { page: number, row })),
        );
    }
    // Pages come sorted, if the other way round: this one finds the sorted stretches and merges them.
    rows.sort_by(|a, b| by_order(a, b).then_with(|| stamp(&a.1).cmp(&stamp(&b.1))));
    let next_differs = |at: usize| {
        rows.get(at + 1)
            .is_none_or(|next| by_order(next, &rows[at]) != Ordering::Equal)
    };
    Ok((0..rows.len())
        .filter(|&at| next_differs(at))
        .map(|at| rows[at].1)
        .collect())
}
