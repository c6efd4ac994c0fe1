//! Rows to Parquet, as a pure function of their values.
//!
//! However the rows are pushed, they reach the Parquet writer in batches counted from the partition's first row, and row groups
//! end at a count or at a size computed from the values. No clock, run id or machine name gets into the file.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding as ParquetEncoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::weight;
use crate::error::{Error, Result};
use crate::stream::{Column, ColumnType, Encoding, Stream, arrow_schema};

/// Rows that reach the Parquet writer at once.
const BATCH_ROWS: usize = 8192;
/// Bytes of values at which such a batch ends early.
const BATCH_BYTES: usize = 8 << 20;
/// Rows at which a row group ends.
const GROUP_ROWS: usize = 131_072;
/// Bytes of values at which a row group ends.
const GROUP_BYTES: usize = 64 << 20;

/// Writes one partition.
pub struct ParquetEncoder<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
    /// Slices that wait for their batch to be full.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    pending_bytes: usize,
    group_rows: usize,
    group_bytes: usize,
}

impl<W: Write + Send> ParquetEncoder<W> {
    /// An encoder that writes the table of `stream` into `out`.
    ///
    /// # Errors
    /// Internal, when the schema cannot be written as Parquet.
    pub fn new(stream: &Stream, out: W) -> Result<Self> {
        let schema = arrow_schema(stream);
        let options = ArrowWriterOptions::new().with_properties(properties(stream));
        let writer = ArrowWriter::try_new_with_options(out, Arc::clone(&schema), options);
        let writer = writer.map_err(|e| Error::internal("cannot begin a Parquet file").caused_by(e))?;
        Ok(Self {
            writer,
            schema,
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            group_rows: 0,
            group_bytes: 0,
        })
    }

    /// Appends rows; `rows` has the table's schema and follows what was pushed before in the table's order.
    ///
    /// # Errors
    /// Storage, when the bytes cannot be written.
    pub fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < rows.num_rows() {
            let count = self.room(rows, from);
            let bytes = weight::batch(rows, from, count);
            self.pending.push(rows.slice(from, count));
            self.pending_rows += count;
            self.pending_bytes += bytes;
            from += count;
            if self.pending_rows >= BATCH_ROWS || self.pending_bytes >= BATCH_BYTES {
                self.write()?;
            }
        }
        Ok(())
    }

    /// How many rows from `from` on still belong into the batch under way: up to the row that fills it.
    fn room(&self, rows: &RecordBatch, from: usize) -> usize {
        let most = (rows.num_rows() - from).min(BATCH_ROWS - self.pending_rows);
        let fills = |count: usize| self.pending_bytes + weight::batch(rows, from, count) >= BATCH_BYTES;
        if !fills(most) {
            return most;
        }
        let (mut under, mut enough) = (0, most);
        while under + 1 < enough {
            let middle = usize::midpoint(under, enough);
            if fills(middle) {
                enough = middle;
            } else {
                under = middle;
            }
        }
        enough
    }

    fn write(&mut self) -> Result<()> {
        let batch = match self.pending.as_slice() {
            [only] => only.clone(),
            pieces => {
                let joined = concat_batches(&self.schema, pieces);
                joined.map_err(|e| Error::internal("cannot join record batches").caused_by(e))?
            }
        };
        self.pending.clear();
        self.group_rows += self.pending_rows;
        self.group_bytes += self.pending_bytes;
        (self.pending_rows, self.pending_bytes) = (0, 0);
        self.writer.write(&batch).map_err(unwritten)?;
        if self.group_rows >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES {
            self.writer.flush().map_err(unwritten)?;
            (self.group_rows, self.group_bytes) = (0, 0);
        }
        Ok(())
    }

    /// Writes what is left and the footer; gives the writer back.
    ///
    /// # Errors
    /// Storage, when the bytes cannot be written.
    pub fn finish(mut self) -> Result<W> {
        if self.pending_rows > 0 {
            self.write()?;
        }
        self.writer.into_inner().map_err(unwritten)
    }
}

fn unwritten(error: parquet::errors::ParquetError) -> Error {
    Error::storage("cannot write a Parquet file; is the disk full?").caused_by(error)
}

fn properties(stream: &Stream) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("cio2parquet".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(None)
        .set_sorting_columns(Some(sorting(stream)))
        .set_key_value_metadata(Some(vec![
            KeyValue::new("cio2parquet.stream".to_owned(), stream.stream.clone()),
            KeyValue::new("cio2parquet.schema_version".to_owned(), stream.version.to_string()),
        ]));
    for column in &stream.columns {
        builder = encode(builder, column, &[]);
    }
    builder.build()
}

/// The settings of the leaves under `column`.
fn encode(mut builder: WriterPropertiesBuilder, column: &Column, above: &[String]) -> WriterPropertiesBuilder {
    let mut path = above.to_vec();
    path.push(column.name.clone());
    match column.kind {
        ColumnType::Struct => {
            for field in &column.fields {
                builder = encode(builder, field, &path);
            }
            return builder;
        }
        ColumnType::Integers => path.extend(["list".to_owned(), "element".to_owned()]),
        _ => {}
    }
    let path = ColumnPath::new(path);
    let encoding = match column.encoding {
        Encoding::Dictionary => return builder,
        Encoding::DeltaLength => ParquetEncoding::DELTA_LENGTH_BYTE_ARRAY,
        Encoding::DeltaPacked => ParquetEncoding::DELTA_BINARY_PACKED,
    };
    builder
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_encoding(path, encoding)
}

/// The order as Parquet states it: by the position of the leaf column.
fn sorting(stream: &Stream) -> Vec<SortingColumn> {
    let leaf = |name: &String| {
        let before = stream.columns.iter().take_while(|column| column.name != *name);
        let leaves: usize = before.map(leaves).sum();
        i32::try_from(leaves).ok()
    };
    let columns = stream.order.iter().filter_map(leaf);
    columns
        .map(|column_idx| SortingColumn {
            column_idx,
            descending: false,
            nulls_first: false,
        })
        .collect()
}

fn leaves(column: &Column) -> usize {
    match column.kind {
        ColumnType::Struct => column.fields.iter().map(leaves).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::columnar::read_parquet;
    use crate::columnar::testing::{context, decoder, stream};

    /// `count` rows, every seventh with a long text.
    fn rows(count: usize) -> RecordBatch {
        let row = |n: usize| {
            let name = "x".repeat(if n.is_multiple_of(7) { 3000 } else { n % 11 });
            format!(
                r#"{{"id":"k{n:06}","at":{},"name":"{name}","series":[{n},null],"metrics":{{"sent":{n}}},"data":{{"n":{n}}}}}"#,
                86_400 + n
            )
        };
        let rows: Vec<String> = (0..count).map(row).collect();
        let page = format!(r#"{{"rows":[{}]}}"#, rows.join(","));
        decoder().decode(page.as_bytes(), &context()).unwrap().rows
    }

    fn encode(batch: &RecordBatch, cuts: &[usize]) -> Vec<u8> {
        let mut encoder = ParquetEncoder::new(&stream(), Vec::new()).unwrap();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([batch.num_rows()]) {
            encoder.push(&batch.slice(from, cut - from)).unwrap();
            from = cut;
        }
        encoder.finish().unwrap()
    }

    fn decode(bytes: Vec<u8>) -> RecordBatch {
        let stream = stream();
        let batches: Vec<RecordBatch> = read_parquet(&stream, bytes::Bytes::from(bytes))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        concat_batches(&arrow_schema(&stream), &batches).unwrap()
    }

    #[test]
    fn what_is_read_back_is_what_was_written() {
        let batch = rows(20_000);
        assert_eq!(decode(encode(&batch, &[])), batch);
    }

    #[test]
    fn a_batch_ends_at_the_row_that_fills_it() {
        // Four thousand rows of 3 KB each fill 8 MiB before they are 8192 in number.
        let batch = rows(30_000);
        let mut encoder = ParquetEncoder::new(&stream(), Vec::new()).unwrap();
        let room = encoder.room(&batch, 0);
        assert!(weight::batch(&batch, 0, room) >= BATCH_BYTES || room == BATCH_ROWS);
        assert!(weight::batch(&batch, 0, room - 1) < BATCH_BYTES);
        encoder.push(&batch).unwrap();
        encoder.finish().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn slicing_changes_no_byte(mut cuts in prop::collection::vec(0usize..12_000, 0..20)) {
            let batch = rows(12_000);
            cuts.sort_unstable();
            prop_assert!(encode(&batch, &[]) == encode(&batch, &cuts));
        }
    }
}
