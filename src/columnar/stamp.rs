//! When a fetched row came: on disk two columns behind the table's own, taken off before rows leave the room.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;

use crate::error::{Error, Result};

/// The later of two forms of one key is the greater: a later-started request wins, within a request the row that came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    /// The sequence number of the request.
    pub(super) request: u64,
    /// The number of rows that came before.
    pub(super) arrival: u64,
}

const COLUMNS: [&str; 2] = ["request", "arrival"];

/// The schema of stamped batches of `schema`.
pub(super) fn stamped_schema(schema: &Schema) -> SchemaRef {
    let stamp = COLUMNS.map(|name| Arc::new(Field::new(name, DataType::UInt64, false)));
    Arc::new(Schema::new(
        schema.fields().iter().cloned().chain(stamp).collect::<Vec<_>>(),
    ))
}

/// Puts a stamp on each row.
pub(super) fn put(rows: &RecordBatch, stamps: impl Iterator<Item = Stamp>) -> Result<RecordBatch> {
    let (requests, arrivals): (Vec<u64>, Vec<u64>) = stamps.map(|stamp| (stamp.request, stamp.arrival)).unzip();
    let stamps: [ArrayRef; 2] = [
        Arc::new(UInt64Array::from(requests)),
        Arc::new(UInt64Array::from(arrivals)),
    ];
    let columns = rows.columns().iter().cloned().chain(stamps).collect();
    RecordBatch::try_new(stamped_schema(rows.schema_ref()), columns).map_err(broken)
}

/// Takes the stamps off.
pub(super) fn take_off(rows: &RecordBatch) -> Result<RecordBatch> {
    let own: Vec<usize> = (0..rows.num_columns().saturating_sub(COLUMNS.len())).collect();
    rows.project(&own).map_err(broken)
}

/// The stamps of a stamped batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamps<'a> {
    request: &'a UInt64Array,
    arrival: &'a UInt64Array,
}

impl<'a> Stamps<'a> {
    pub(super) fn of(rows: &'a RecordBatch) -> Self {
        let own = rows.num_columns() - COLUMNS.len();
        let column = |at: usize| rows.column(own + at).as_primitive::<UInt64Type>();
        Self {
            request: column(0),
            arrival: column(1),
        }
    }

    pub(super) fn get(&self, row: usize) -> Stamp {
        Stamp {
            request: self.request.value(row),
            arrival: self.arrival.value(row),
        }
    }
}

fn broken(error: ArrowError) -> Error {
    Error::internal("fetched rows cannot be stamped").caused_by(error)
}
