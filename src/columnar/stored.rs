//! A stored partition back as record batches of the table's schema.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StructArray, cast::AsArray, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use jiff::Timestamp;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::key;
use crate::error::{Error, Result};
use crate::stream::{Stream, arrow_schema};

/// Rows that are read at once.
const BATCH_ROWS: usize = 2048;

/// The rows of a Parquet object, in its order, with the columns of `stream`'s table; a column that the file lacks is null.
///
/// # Errors
/// Storage, when it is not a Parquet file, or was written with columns that this version does not know.
pub fn read_parquet<R: ChunkReader + 'static>(
    stream: &Stream,
    object: R,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<R>> {
    let schema = arrow_schema(stream);
    let builder = ParquetRecordBatchReaderBuilder::try_new(object);
    let builder = builder.map_err(|e| Error::storage("not a readable Parquet file").caused_by(e))?;
    let reader = builder.with_batch_size(BATCH_ROWS).build();
    let reader = reader.map_err(|e| Error::storage("not a readable Parquet file").caused_by(e))?;
    Ok(reader.map(move |batch| {
        let batch = batch.map_err(|e| Error::storage("a Parquet file is damaged").caused_by(e))?;
        align(&schema, &batch)
    }))
}

fn align(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let found = batch.schema();
    let columns = aligned(schema.fields(), found.fields(), batch.columns(), batch.num_rows())?;
    let aligned = RecordBatch::try_new(Arc::clone(schema), columns);
    aligned.map_err(|e| Error::storage("a Parquet file does not have the table's schema").caused_by(e))
}

fn aligned(wanted: &Fields, found: &Fields, columns: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>> {
    if let Some(newer) = found.iter().find(|field| wanted.find(field.name()).is_none()) {
        return Err(Error::storage(format!(
            "a Parquet file has a column {:?} that this version does not know; use the newer version that wrote it",
            newer.name()
        )));
    }
    let column = |field: &FieldRef| match found.find(field.name()) {
        None => Ok(new_null_array(field.data_type(), rows)),
        Some((position, _)) => adapted(field, &columns[position]),
    };
    wanted.iter().map(column).collect()
}

fn adapted(wanted: &Field, array: &ArrayRef) -> Result<ArrayRef> {
    let (DataType::Struct(fields), DataType::Struct(found)) = (wanted.data_type(), array.data_type()) else {
        return Ok(Arc::clone(array));
    };
    if fields == found {
        return Ok(Arc::clone(array));
    }
    let parts = array.as_struct();
    let columns = aligned(fields, found, parts.columns(), array.len())?;
    let adapted = StructArray::try_new(fields.clone(), columns, array.nulls().cloned());
    let adapted =
        adapted.map_err(|e| Error::storage("a Parquet file does not have the table's schema").caused_by(e))?;
    Ok(Arc::new(adapted))
}

/// What can be said of a partition without knowing where its rows came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionStats {
    /// Rows in it.
    pub rows: u64,
    /// The time of the earliest row.
    pub least_time: Option<Timestamp>,
    /// The time of the latest row.
    pub greatest_time: Option<Timestamp>,
    /// The least key, as text.
    pub least_key: Option<String>,
    /// The greatest key, as text.
    pub greatest_key: Option<String>,
}

impl PartitionStats {
    /// Counts the rows of `batch`.
    pub fn add(&mut self, stream: &Stream, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        if let Some(column) = stream.time_column() {
            let (least, greatest) = key::time_bounds(batch, column);
            self.least_time = [self.least_time, least].into_iter().flatten().min();
            self.greatest_time = self.greatest_time.max(greatest);
        }
        let (least, greatest) = key::bounds(stream, batch, (self.least_key.take(), self.greatest_key.take()));
        (self.least_key, self.greatest_key) = (least, greatest);
    }
}

/// Reads all of a partition and tells what is in it.
///
/// # Errors
/// What `rows` answers.
pub fn inspect(stream: &Stream, rows: impl Iterator<Item = Result<RecordBatch>>) -> Result<PartitionStats> {
    let mut stats = PartitionStats::default();
    for batch in rows {
        stats.add(stream, &batch?);
    }
    Ok(stats)
}
