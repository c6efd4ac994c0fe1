//! The order of a table, its key and its partitions, as they stand in a batch.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::row::{RowConverter, Rows, SortField};
use jiff::Timestamp;

use super::PartitionKey;
use super::place::Places;
use crate::error::{Error, Result};
use crate::stream::{Stream, arrow_schema};

/// Reads order, key and partition off the batches of one stream.
#[derive(Debug)]
pub(super) struct Order {
    converter: RowConverter,
    columns: Vec<usize>,
    key: usize,
    time: Option<usize>,
}

impl Order {
    pub(super) fn new(stream: &Stream) -> Result<Self> {
        let schema = arrow_schema(stream);
        let columns: Vec<usize> = stream
            .order
            .iter()
            .map(|name| position(stream, name))
            .collect::<Result<_>>()?;
        let fields = columns
            .iter()
            .map(|&at| SortField::new(schema.field(at).data_type().clone()));
        let converter = RowConverter::new(fields.collect())
            .map_err(|error| Error::internal(format!("{} cannot be sorted", stream.stream)).caused_by(error))?;
        let time = stream.time_column().map(|name| position(stream, name)).transpose()?;
        Ok(Self {
            converter,
            columns,
            key: position(stream, &stream.key)?,
            time,
        })
    }

    /// The order columns of each row as bytes that compare as the rows do.
    pub(super) fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        let columns: Vec<_> = self.columns.iter().map(|&at| batch.column(at).clone()).collect();
        self.converter
            .convert_columns(&columns)
            .map_err(|error| Error::internal("rows have another order than their table").caused_by(error))
    }

    /// The place of each fetched row.
    pub(super) fn places<'a>(&self, batch: &'a RecordBatch) -> Result<Places<'a>> {
        Places::of(self.columns.iter().map(|&at| batch.column(at)))
    }

    /// The key of each row.
    pub(super) fn keys<'a>(&self, batch: &'a RecordBatch) -> Result<Keys<'a>> {
        Keys::of(batch.column(self.key))
    }

    /// The partition times; `None` for a table without partitions by time.
    pub(super) fn times<'a>(&self, batch: &'a RecordBatch) -> Option<&'a ArrayRef> {
        self.time.map(|at| batch.column(at))
    }

    /// The partition time of `row` in microseconds.
    pub(super) fn micros(&self, batch: &RecordBatch, row: usize) -> Option<i64> {
        self.time
            .map(|at| batch.column(at).as_primitive::<TimestampMicrosecondType>().value(row))
    }

    /// Cuts rows given in the table's order into partitions; `micros` answers for the row at an index.
    pub(super) fn partitions(
        &self,
        rows: usize,
        micros: impl Fn(usize) -> Option<i64>,
    ) -> Result<Vec<(PartitionKey, Range<usize>)>> {
        let day = |row| micros(row).map(|micros| micros.div_euclid(MICROS_A_DAY));
        let mut partitions = Vec::new();
        let mut start = 0;
        for end in 1..=rows {
            if end == rows || day(end) != day(start) {
                let key = match micros(start) {
                    Some(micros) => PartitionKey::of(timestamp(micros)?),
                    None => PartitionKey::None,
                };
                partitions.push((key, start..end));
                start = end;
            }
        }
        Ok(partitions)
    }
}

const MICROS_A_DAY: i64 = 86_400_000_000;

fn position(stream: &Stream, name: &str) -> Result<usize> {
    let unknown = || Error::internal(format!("{} has no column {name:?}", stream.stream));
    stream.position(name).ok_or_else(unknown)
}

pub(super) fn timestamp(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros)
        .map_err(|error| Error::internal(format!("a time of {micros} microseconds has no day")).caused_by(error))
}

/// The keys of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
}

impl<'a> Keys<'a> {
    /// The values of a key column.
    pub(super) fn of(array: &'a ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::Utf8 => Ok(Self::Text(array.as_string())),
            DataType::Int64 => Ok(Self::Integer(array.as_primitive())),
            other => Err(Error::internal(format!("a key of type {other} is not supported"))),
        }
    }

    /// The key of `row` as text: integers in decimal.
    pub(super) fn text(&self, row: usize) -> Cow<'a, str> {
        match self {
            Self::Text(keys) => Cow::Borrowed(keys.value(row)),
            Self::Integer(keys) => Cow::Owned(keys.value(row).to_string()),
        }
    }
}

/// Stands for a key where keys are counted rather than shown; of 128 bits, so that two never share one.
/// The same within one process only.
pub fn key_hash(key: &str) -> u128 {
    u128::from(hash(0, key.as_bytes())) << 64 | u128::from(hash(1, key.as_bytes()))
}

/// The same for the same bytes within one process; another `salt` gives an independent value.
fn hash(salt: u8, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(salt);
    hasher.write(bytes);
    hasher.finish()
}
