//! A stored partition as rows of the table, whichever version of the schema it was written with.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchReader, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::parquet_layout::is_under_rules;
use crate::error::{Error, Result};
use crate::stream::{Stream, arrow_schema};

const BATCH_ROWS: usize = 1024;

/// Reads a Parquet file in small batches of the table's schema.
///
/// Columns are matched by name: one that the file lacks is null.
///
/// # Errors
/// Storage, when the file cannot be read, or holds columns or types that the table does not know.
pub fn read_parquet<R: ChunkReader + 'static>(
    stream: &Stream,
    object: R,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<R>> {
    rows_of(stream, open(stream, object)?)
}

/// Reads the footer.
pub(super) fn open<R: ChunkReader + 'static>(stream: &Stream, object: R) -> Result<ParquetRecordBatchReaderBuilder<R>> {
    ParquetRecordBatchReaderBuilder::try_new(object).map_err(|error| unreadable(stream, error))
}

/// The rows behind a footer, as [`read_parquet`] gives them.
pub(super) fn rows_of<R: ChunkReader + 'static>(
    stream: &Stream,
    file: ParquetRecordBatchReaderBuilder<R>,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<R>> {
    if !is_under_rules(stream, file.metadata().file_metadata())? {
        return Err(Error::storage(format!(
            "a stored partition of {} has other columns left out or hashed than its table; move it away, its rows are asked for again",
            stream.stream
        )));
    }
    let reader = file.with_batch_size(BATCH_ROWS).build();
    let reader = reader.map_err(|error| unreadable(stream, error))?;
    let schema = arrow_schema(stream);
    check(schema.fields(), reader.schema().fields(), "")
        .map_err(|fault| Error::storage(format!("a stored partition of {} {fault}", stream.stream)))?;
    let name = stream.stream.clone();
    Ok(reader.map(move |batch| {
        let batch = batch
            .map_err(|error| Error::storage(format!("cannot read a stored partition of {name}")).caused_by(error))?;
        fit_batch(&schema, &batch)
    }))
}

fn unreadable(stream: &Stream, error: ParquetError) -> Error {
    let message = format!(
        "a stored partition of {} is no Parquet file that can be read",
        stream.stream
    );
    Error::storage(message).caused_by(error)
}

/// Whether every field of the file has a place in the table; `path` is what they are inside of.
fn check(table: &Fields, file: &Fields, path: &str) -> Result<(), String> {
    for field in file {
        let name = format!("{path}{}", field.name());
        let Some((_, known)) = table.find(field.name()) else {
            return Err(format!(
                "has the unknown column {name}: a newer version wrote it, use that one or a later one"
            ));
        };
        match (known.data_type(), field.data_type()) {
            (DataType::Struct(known), DataType::Struct(found)) => check(known, found, &format!("{name}."))?,
            (DataType::List(known), DataType::List(found)) if known.data_type() == found.data_type() => {}
            (known, found) if known == found => {}
            (known, found) => return Err(format!("has the column {name} as {found}, not as {known}")),
        }
    }
    let required = table
        .iter()
        .find(|field| !field.is_nullable() && file.find(field.name()).is_none());
    required.map_or(Ok(()), |field| Err(format!("lacks the column {path}{}", field.name())))
}

fn fit_batch(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let find = |field: &FieldRef| batch.column_by_name(field.name());
    let columns = schema
        .fields()
        .iter()
        .map(|field| fit(field, find(field), batch.num_rows()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
        .map_err(|error| Error::storage("a stored partition contradicts its schema").caused_by(error))
}

fn fit(field: &Field, found: Option<&ArrayRef>, rows: usize) -> ArrayRef {
    let Some(array) = found else {
        return new_null_array(field.data_type(), rows);
    };
    if array.data_type() == field.data_type() {
        return Arc::clone(array);
    }
    match field.data_type() {
        DataType::Struct(fields) => {
            let object = array.as_struct();
            let children = fields
                .iter()
                .map(|field| fit(field, object.column_by_name(field.name()), rows));
            Arc::new(StructArray::new(
                fields.clone(),
                children.collect(),
                object.nulls().cloned(),
            ))
        }
        DataType::List(element) => {
            // Lists differ in the name of their element only.
            let (_, offsets, values, nulls) = array.as_list::<i32>().clone().into_parts();
            Arc::new(ListArray::new(Arc::clone(element), offsets, values, nulls))
        }
        data_type => new_null_array(data_type, rows),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{show, stream, things};
    use super::super::{ParquetEncoder, read_parquet};
    use super::*;
    use crate::stream::Column;

    fn file(stream: &Stream, rows: &RecordBatch) -> bytes::Bytes {
        let mut encoder = ParquetEncoder::new(Arc::new(stream.clone()), Vec::new());
        encoder.push(rows).unwrap();
        encoder.finish().unwrap().into()
    }

    fn read(stream: &Stream, file: bytes::Bytes) -> RecordBatch {
        let batches: Vec<_> = read_parquet(stream, file).unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.len(), 1);
        batches[0].clone()
    }

    /// The stream without `name` and without `metrics.opened`.
    fn older(name: &str) -> Stream {
        let mut older = (*stream()).clone();
        older.columns.retain(|column| column.name != name);
        let is_struct = |column: &&mut Column| column.name == "metrics";
        older
            .columns
            .iter_mut()
            .find(is_struct)
            .unwrap()
            .fields
            .retain(|field| field.name != "opened");
        older
    }

    fn rows_of(stream: &Stream) -> RecordBatch {
        let decoder = crate::columnar::PageDecoder::new(Arc::new(stream.clone()));
        let page = br#"{"rows":[{"id":"a","at":1,"count":5,"series":[1,null],"metrics":{"sent":60}}]}"#;
        decoder.decode(page, &super::super::testing::context()).unwrap().rows
    }

    #[test]
    fn a_file_with_fewer_columns_has_nulls_in_the_others() {
        let older = older("name");
        let rows = read(&stream(), file(&older, &rows_of(&older)));
        assert_eq!(rows.schema(), arrow_schema(&stream()));
        assert_eq!(show(&rows, "name", 0), "null");
        assert_eq!(show(&rows, "series", 0), "[1,null]");
        assert_eq!(show(&rows, "metrics", 0), "{sent:60000000,opened:null}");
    }

    #[test]
    fn a_file_with_more_columns_was_written_by_a_newer_version() {
        let newer = file(&stream(), &things(&[("a".into(), 1, 1)]));
        let error = |stream: &Stream| read_parquet(stream, newer.clone()).err().unwrap().to_string();
        assert!(error(&older("name")).contains("unknown column name: a newer version wrote it"));
        assert!(error(&older("")).contains("unknown column metrics.opened"));
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let mut other = (*stream()).clone();
        other
            .columns
            .iter_mut()
            .find(|column| column.name == "count")
            .unwrap()
            .kind = crate::stream::ColumnType::Text;
        let text = file(&other, &rows_of(&other));
        let error = read_parquet(&stream(), text).err().unwrap();
        assert_eq!(
            error.to_string(),
            "a stored partition of things has the column count as Utf8, not as Int64"
        );
        let keyless = older("id");
        let error = read_parquet(&stream(), file(&keyless, &rows_of(&keyless).clone()))
            .err()
            .unwrap();
        assert_eq!(error.to_string(), "a stored partition of things lacks the column id");
        assert!(read_parquet(&stream(), bytes::Bytes::from_static(b"no")).is_err());
    }
}
