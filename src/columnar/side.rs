//! The two sides of a merge, and what comes out of it.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::{Row, RowConverter, Rows, SortField};

use super::encoder::ParquetEncoder;
use super::stored::PartitionStats;
use crate::error::{Error, Result};
use crate::stream::{Stream, arrow_schema};

/// Rows that are handed to the encoder at once.
const OUTPUT_ROWS: usize = 4096;

/// How rows are compared: by the table's order, and by everything that is not volatile.
pub struct Comparison {
    order: Columns,
    values: Columns,
}

/// Some columns of a batch in a form that compares as bytes.
struct Columns {
    positions: Vec<usize>,
    converter: RowConverter,
}

impl Comparison {
    /// The comparison of `stream`'s rows.
    ///
    /// # Errors
    /// Internal, when a column's type cannot be compared.
    pub fn new(stream: &Stream) -> Result<Self> {
        let order = stream.order.iter().filter_map(|name| stream.position(name)).collect();
        let lasting = stream.columns.iter().enumerate().filter(|(_, column)| !column.volatile);
        let lasting = lasting.map(|(position, _)| position).collect();
        Ok(Self {
            order: Columns::new(stream, order)?,
            values: Columns::new(stream, lasting)?,
        })
    }
}

impl Columns {
    fn new(stream: &Stream, positions: Vec<usize>) -> Result<Self> {
        let schema = arrow_schema(stream);
        let fields = positions
            .iter()
            .map(|position| SortField::new(schema.field(*position).data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(incomparable)?;
        Ok(Self { positions, converter })
    }

    fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        let columns: Vec<_> = self
            .positions
            .iter()
            .map(|position| batch.column(*position).clone())
            .collect();
        self.converter.convert_columns(&columns).map_err(incomparable)
    }
}

fn incomparable(error: arrow::error::ArrowError) -> Error {
    Error::internal("cannot compare rows").caused_by(error)
}

/// One side of a merge: a cursor over sorted batches.
pub struct Side<I> {
    batches: I,
    loaded: Option<Loaded>,
}

/// The batch under the cursor.
struct Loaded {
    batch: RecordBatch,
    order: Rows,
    /// Made when two forms of a row are compared for the first time.
    values: Option<Rows>,
    row: usize,
    /// Where the output keeps this batch, if it does.
    place: Option<Place>,
}

/// A batch in the output's list, as long as the list is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    filling: u64,
    slot: usize,
}

impl<I: Iterator<Item = Result<RecordBatch>>> Side<I> {
    /// A cursor at the first row of `batches`.
    ///
    /// # Errors
    /// What the first batch answers.
    pub fn new(batches: I, comparison: &Comparison) -> Result<Self> {
        let mut side = Self { batches, loaded: None };
        side.load(comparison)?;
        Ok(side)
    }

    fn load(&mut self, comparison: &Comparison) -> Result<()> {
        self.loaded = None;
        for batch in self.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.loaded = Some(Loaded {
                    order: comparison.order.rows(&batch)?,
                    batch,
                    values: None,
                    row: 0,
                    place: None,
                });
                return Ok(());
            }
        }
        Ok(())
    }

    /// Moves to the next row.
    ///
    /// # Errors
    /// What the next batch answers.
    pub fn step(&mut self, comparison: &Comparison) -> Result<()> {
        match &mut self.loaded {
            Some(loaded) if loaded.row + 1 < loaded.batch.num_rows() => {
                loaded.row += 1;
                Ok(())
            }
            _ => self.load(comparison),
        }
    }

    /// The row under the cursor; `None` after the last.
    pub fn current(&self) -> Option<(&RecordBatch, usize)> {
        self.loaded.as_ref().map(|loaded| (&loaded.batch, loaded.row))
    }

    /// Where the row under the cursor stands in the table's order.
    pub fn order(&self) -> Option<Row<'_>> {
        self.loaded.as_ref().map(|loaded| loaded.order.row(loaded.row))
    }

    /// Everything that the row under the cursor says.
    ///
    /// # Errors
    /// Internal, when it cannot be compared.
    pub fn values(&mut self, comparison: &Comparison) -> Result<Option<Row<'_>>> {
        let Some(loaded) = &mut self.loaded else {
            return Ok(None);
        };
        if loaded.values.is_none() {
            loaded.values = Some(comparison.values.rows(&loaded.batch)?);
        }
        let row = loaded.row;
        Ok(loaded.values.as_ref().map(|values| values.row(row)))
    }
}

/// Collects the rows that win, and hands them to the encoder in order.
pub struct Output<'a, W: Write + Send> {
    stream: &'a Stream,
    encoder: &'a mut ParquetEncoder<W>,
    batches: Vec<RecordBatch>,
    /// The batch in the list and the row in it.
    rows: Vec<(usize, usize)>,
    filling: u64,
    stats: PartitionStats,
}

impl<'a, W: Write + Send> Output<'a, W> {
    /// An output that has taken nothing yet.
    pub fn new(stream: &'a Stream, encoder: &'a mut ParquetEncoder<W>) -> Self {
        Self {
            stream,
            encoder,
            batches: Vec::new(),
            rows: Vec::with_capacity(OUTPUT_ROWS),
            filling: 0,
            stats: PartitionStats::default(),
        }
    }

    /// Appends the row under the cursor of `side`.
    ///
    /// # Errors
    /// What the encoder answers.
    pub fn take<I>(&mut self, side: &mut Side<I>) -> Result<()> {
        let Some(loaded) = &mut side.loaded else { return Ok(()) };
        let slot = match loaded.place {
            Some(place) if place.filling == self.filling => place.slot,
            _ => {
                self.batches.push(loaded.batch.clone());
                self.batches.len() - 1
            }
        };
        loaded.place = Some(Place {
            filling: self.filling,
            slot,
        });
        self.rows.push((slot, loaded.row));
        if self.rows.len() >= OUTPUT_ROWS {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &self.rows);
        let rows = rows.map_err(|e| Error::internal("cannot put rows in order").caused_by(e))?;
        self.batches.clear();
        self.rows.clear();
        self.filling += 1;
        self.stats.add(self.stream, &rows);
        self.encoder.push(&rows)
    }

    /// Hands over what is left; answers what was handed over in all.
    ///
    /// # Errors
    /// What the encoder answers.
    pub fn finish(mut self) -> Result<PartitionStats> {
        self.flush()?;
        Ok(self.stats)
    }
}
