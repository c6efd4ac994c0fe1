//! Rows become one Parquet file whose bytes depend on the rows and on nothing else.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;

use super::parquet_layout::options;
use super::row_bytes::row_bytes;
use crate::error::{Error, Result};
use crate::stream::{Stream, arrow_schema};

/// Rows are handed to Parquet in batches of this many, counted from the first row of the file,
pub(super) const BATCH_ROWS: usize = 8192;
/// or of fewer when their values take more than this.
const BATCH_BYTES: usize = 8 << 20;
/// A row group ends before it would hold more rows than this,
const GROUP_ROWS: usize = 131_072;
/// or more bytes of values.
const GROUP_BYTES: usize = 64 << 20;

/// A row group lies behind one byte and at most so many less one, by how many rows it has.
const PADS: usize = 251;
/// Begins no header of a page.
const PAD: u8 = 0xFF;

/// Writes the rows of one partition, in the order pushed.
///
/// Parquet ends pages where a write ends, so rows are cut anew before they are written: how pushes were sliced leaves no trace.
///
/// Some readers open a file for its footer and once more for its columns. When it is replaced in between, the columns are not where
/// the old footer says, and they notice, but for the first column of a row group: it would be at the same place in every version, and read
/// with the wrong number of rows. So a few bytes that no footer names stand before it, and their number follows from the number of rows.
pub struct ParquetEncoder<W: Write + Send> {
    stream: Arc<Stream>,
    schema: SchemaRef,
    /// Where the file goes, until its first batch is known and with it the layout of its columns;
    out: Option<W>,
    /// from then on.
    writer: Option<ArrowWriter<W>>,
    /// The beginning of the next batch.
    pending: Vec<RecordBatch>,
    batch: Extent,
    group: Extent,
}

/// Rows and the bytes of their values.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    rows: usize,
    bytes: usize,
}

impl Extent {
    /// Whether `more` would make it too large; what is empty takes anything.
    fn is_full_for(self, more: Self, rows: usize, bytes: usize) -> bool {
        self.rows > 0 && (self.rows + more.rows > rows || self.bytes + more.bytes > bytes)
    }

    fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.bytes += more.bytes;
    }
}

impl<W: Write + Send> ParquetEncoder<W> {
    /// An encoder for rows of `stream` that writes to `out`.
    pub fn new(stream: Arc<Stream>, out: W) -> Self {
        Self {
            schema: arrow_schema(&stream),
            stream,
            out: Some(out),
            writer: None,
            pending: Vec::new(),
            batch: Extent::default(),
            group: Extent::default(),
        }
    }

    /// Appends rows in the table's schema.
    ///
    /// # Errors
    /// Storage, when the writer fails.
    pub fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut start = 0;
        for (row, bytes) in row_bytes(rows).into_iter().enumerate() {
            let more = Extent { rows: 1, bytes };
            if self.batch.is_full_for(more, BATCH_ROWS, BATCH_BYTES) {
                self.hold(rows, start, row);
                self.write_batch()?;
                start = row;
            }
            self.batch.add(more);
        }
        self.hold(rows, start, rows.num_rows());
        // It would be written before the next row in any case; so its memory is free at once.
        if self.batch.rows == BATCH_ROWS {
            self.write_batch()
        } else {
            Ok(())
        }
    }

    /// Ends the file and gives the writer back.
    ///
    /// # Errors
    /// Storage, when the writer fails.
    pub fn finish(mut self) -> Result<W> {
        self.write_batch()?;
        self.writer(&RecordBatch::new_empty(Arc::clone(&self.schema)))?;
        self.pad()?;
        let writer = self.writer.ok_or_else(lost)?;
        writer.into_inner().map_err(failed)
    }

    /// Bytes held in memory for the row group under way.
    pub fn memory(&self) -> usize {
        self.writer.as_ref().map_or(0, ArrowWriter::memory_size)
    }

    fn hold(&mut self, rows: &RecordBatch, start: usize, end: usize) {
        if start < end {
            self.pending.push(rows.slice(start, end - start));
        }
    }

    fn write_batch(&mut self) -> Result<()> {
        let batch = match self.pending.as_slice() {
            [] => return Ok(()),
            [whole] => whole.clone(),
            parts => concat_batches(&self.schema, parts)
                .map_err(|error| Error::internal("rows cannot be put together").caused_by(error))?,
        };
        if self.group.is_full_for(self.batch, GROUP_ROWS, GROUP_BYTES) {
            self.pad()?;
            self.writer(&batch)?.flush().map_err(failed)?;
            self.group = Extent::default();
        }
        self.writer(&batch)?.write(&batch).map_err(failed)?;
        self.group.add(std::mem::take(&mut self.batch));
        self.pending.clear();
        Ok(())
    }

    /// The writer, which is made for the `first` batch.
    fn writer(&mut self, first: &RecordBatch) -> Result<&mut ArrowWriter<W>> {
        if let Some(out) = self.out.take() {
            let options = options(&self.stream, first)?;
            let writer = ArrowWriter::try_new_with_options(out, Arc::clone(&self.schema), options);
            self.writer = Some(writer.map_err(failed)?);
        }
        self.writer.as_mut().ok_or_else(lost)
    }

    /// To be called before the row group under way is written out.
    fn pad(&mut self) -> Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.group.rows > 0) else {
            return Ok(());
        };
        let written = writer.write_all(&[PAD; PADS][..1 + self.group.rows % PADS]);
        written.map_err(|error| failed(error.into()))
    }
}

fn lost() -> Error {
    Error::internal("a partition is written on after its writer could not be made")
}

fn failed(error: parquet::errors::ParquetError) -> Error {
    Error::storage("cannot write a partition as Parquet").caused_by(error)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::basic::{Compression, Encoding};
    use parquet::file::metadata::ParquetMetaData;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use proptest::prelude::*;

    use super::super::testing::{stream, things};
    use super::super::{PageDecoder, inspect, read_parquet, testing};
    use super::*;

    fn encode<'a>(slices: impl IntoIterator<Item = &'a RecordBatch>) -> Bytes {
        let mut encoder = ParquetEncoder::new(stream(), Vec::new());
        slices.into_iter().for_each(|slice| encoder.push(slice).unwrap());
        encoder.finish().unwrap().into()
    }

    fn metadata(file: &Bytes) -> ParquetMetaData {
        SerializedFileReader::new(file.clone()).unwrap().metadata().clone()
    }

    fn decode(file: Bytes) -> RecordBatch {
        let batches: Vec<_> = read_parquet(&stream(), file).unwrap().map(Result::unwrap).collect();
        concat_batches(&arrow_schema(&stream()), &batches).unwrap()
    }

    /// Rows of very different widths, so that batches end at either limit.
    fn rows(count: usize, wide: usize) -> RecordBatch {
        let row = |at: usize| {
            let data = "x".repeat(if at.is_multiple_of(5) { wide } else { at % 40 });
            let series = if at.is_multiple_of(7) {
                "null".to_owned()
            } else {
                format!("[{at},null]")
            };
            format!(
                r#"{{"id":"k{at:06}","at":{at},"count":{at},"flag":{},"name":"n{}","data":"{data}","series":{series},"person":{{"email":"e{at}"}},"metrics":{{"sent":{at}}}}}"#,
                at.is_multiple_of(2),
                at % 10
            )
        };
        let text: Vec<_> = (0..count).map(row).collect();
        let page = format!(r#"{{"rows":[{}]}}"#, text.join(","));
        PageDecoder::new(stream())
            .decode(page.as_bytes(), &testing::context())
            .unwrap()
            .rows
    }

    fn slices(rows: &RecordBatch, cuts: &[prop::sample::Index]) -> Vec<RecordBatch> {
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(rows.num_rows() + 1)).collect();
        ends.extend([0, rows.num_rows()]);
        ends.sort_unstable();
        ends.windows(2)
            .map(|pair| rows.slice(pair[0], pair[1] - pair[0]))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn how_rows_are_pushed_leaves_no_trace(
            count in prop_oneof![1..50_usize, 8_000..20_000_usize],
            wide in prop_oneof![Just(10_usize), Just(6_000)],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let rows = rows(count, wide);
            let whole = encode([&rows]);
            prop_assert!(encode(&slices(&rows, &cuts)) == whole);
            prop_assert!(decode(whole) == rows);
        }
    }

    #[test]
    fn pieces_that_were_put_together_leave_no_trace_either() {
        let rows = rows(9_000, 10);
        let single: Vec<_> = (0..rows.num_rows()).map(|at| rows.slice(at, 1)).collect();
        let copied = concat_batches(&rows.schema(), &single).unwrap();
        assert!(encode(&single) == encode([&copied]));
    }

    #[test]
    fn row_groups_end_at_a_count_or_at_a_size() {
        let light = rows(1_000, 10);
        let file = encode(std::iter::repeat_n(&light, 270));
        let groups = |file: &Bytes| {
            metadata(file)
                .row_groups()
                .iter()
                .map(|group| group.num_rows())
                .collect::<Vec<_>>()
        };
        assert_eq!(groups(&file), [131_072, 131_072, 7_856]);
        let heavy = rows(100, 1 << 20);
        let file = encode(std::iter::repeat_n(&heavy, 4));
        assert_eq!(groups(&file).iter().sum::<i64>(), 400);
        assert_eq!(groups(&file).len(), 2);
    }

    #[test]
    fn the_first_column_is_elsewhere_in_a_version_of_other_rows() {
        let begins = |count: usize| {
            let file = encode([&rows(count, 10)]);
            let group = metadata(&file).row_group(0).clone();
            (0..group.num_columns())
                .map(|at| group.column(at).byte_range().0)
                .min()
                .unwrap()
        };
        let begins: Vec<u64> = (1..=2 * PADS).map(begins).collect();
        assert!(begins.iter().all(|at| (5..5 + PADS as u64).contains(at)));
        assert!(begins.windows(2).all(|pair| pair[0] != pair[1]));
        let file = encode(std::iter::repeat_n(&rows(1_000, 10), 140));
        let groups = metadata(&file);
        let end_of_first = groups.row_group(0).columns().iter().map(|column| column.byte_range());
        let end_of_first = end_of_first.map(|(start, length)| start + length).max().unwrap();
        assert!(groups.row_group(1).column(0).byte_range().0 > end_of_first);
    }

    #[test]
    fn the_footer_says_what_every_reader_needs_and_nothing_that_varies() {
        let file = encode([&things(&[("a".into(), 1, 1), ("b".into(), 2, 2)])]);
        let metadata = metadata(&file);
        assert_eq!(metadata.file_metadata().created_by(), Some("cio2parquet"));
        assert_eq!(metadata.file_metadata().version(), 1);
        let pairs = metadata.file_metadata().key_value_metadata().unwrap();
        let value = |key: &str| {
            pairs
                .iter()
                .find(|pair| pair.key == key)
                .unwrap()
                .value
                .clone()
                .unwrap()
        };
        assert_eq!(value("cio2parquet.stream"), "things");
        assert_eq!(value("cio2parquet.schema_version"), "3");
        assert_eq!(pairs.len(), 2);

        let group = metadata.row_group(0);
        let sorting: Vec<_> = group
            .sorting_columns()
            .unwrap()
            .iter()
            .map(|by| by.column_idx as usize)
            .collect();
        let leaf = |at: usize| group.column(at).column_path().string();
        assert_eq!(sorting.into_iter().map(leaf).collect::<Vec<_>>(), ["at", "id"]);
        let column = |path: &str| {
            group
                .columns()
                .iter()
                .find(|column| column.column_path().string() == path)
                .unwrap()
        };
        for (path, encoding) in [
            ("id", Encoding::DELTA_LENGTH_BYTE_ARRAY),
            ("at", Encoding::DELTA_BINARY_PACKED),
            ("series.list.element", Encoding::DELTA_BINARY_PACKED),
            ("who.email", Encoding::DELTA_LENGTH_BYTE_ARRAY),
            ("metrics.sent", Encoding::DELTA_BINARY_PACKED),
            ("name", Encoding::RLE_DICTIONARY),
        ] {
            let column = column(path);
            assert!(column.encodings().any(|found| found == encoding), "{path}");
            assert_eq!(column.dictionary_page_offset().is_some(), path == "name", "{path}");
            assert!(matches!(column.compression(), Compression::ZSTD(_)));
            assert!(column.statistics().is_some() && column.bloom_filter_offset().is_none());
            let is_order = ["at", "id"].contains(&path);
            assert_eq!(column.column_index_offset().is_some(), is_order, "{path}");
        }
    }

    #[test]
    fn no_rows_are_a_file_too() {
        let file = encode([]);
        let stats = inspect(&stream(), read_parquet(&stream(), file).unwrap()).unwrap();
        assert_eq!(stats.rows, 0);
        assert_eq!(
            arrow_schema(&stream()),
            Arc::new((*decode(encode([])).schema()).clone())
        );
    }
}
