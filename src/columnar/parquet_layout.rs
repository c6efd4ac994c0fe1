//! How a table's columns are laid out in Parquet: a pure function of the stream and of the first rows of the file.

use std::collections::HashSet;

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding as ParquetEncoding, ZstdLevel};
use parquet::file::metadata::{FileMetaData, KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::encoder::BATCH_ROWS;
use crate::error::{Error, Result};
use crate::stream::{Column, ColumnType, Encoding, Stream};

/// Where a footer names the stream,
pub(super) const STREAM: &str = "cio2parquet.stream";
/// and where the version of its schema.
pub(super) const SCHEMA_VERSION: &str = "cio2parquet.schema_version";
/// Where it says what of the rows was left out or hashed, if anything was.
const COLUMNS: &str = "cio2parquet.columns";

/// What a dictionary is not worth being tried for is known after so many values.
const GLANCE: usize = 1024;
/// Text that stood shortly before takes about this many bits with `DELTA_LENGTH_BYTE_ARRAY`: zstd refers back to it.
const REFERENCE_BITS: usize = 24;

/// The settings of a file of the stream's table that begins with `first`; nothing in them varies from run to run or from machine to machine.
pub(super) fn options(stream: &Stream, first: &RecordBatch) -> Result<ArrowWriterOptions> {
    let properties = properties(stream, first)?;
    // The types of Parquet say all that the same schema of Arrow would, in several times the bytes of a small column.
    Ok(ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true))
}

fn properties(stream: &Stream, first: &RecordBatch) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|error| Error::internal("zstd has no such level").caused_by(error))?;
    let entry = |name: &str, value: String| KeyValue::new(name.to_owned(), value);
    let mut about = vec![
        entry(STREAM, stream.stream.clone()),
        entry(SCHEMA_VERSION, stream.version.to_string()),
    ];
    about.extend(stamp(stream)?.map(|rules| entry(COLUMNS, rules)));
    let builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("cio2parquet".into())
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_bloom_filter_enabled(false)
        .set_sorting_columns(Some(sorting(stream)))
        .set_key_value_metadata(Some(about))
        // The encoder ends row groups itself.
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None);
    let builder = stream.order.iter().fold(builder, |builder, column| {
        builder.set_column_statistics_enabled(column.as_str().into(), EnabledStatistics::Page)
    });
    let mut seen = Texts::with_capacity_and_hasher(2 * GLANCE, RandomState::default());
    Ok(encodings(builder, &[], &stream.columns, first.columns(), &mut seen).build())
}

/// What the footer says of the rules that the stream is under.
fn stamp(stream: &Stream) -> Result<Option<String>> {
    if stream.rules.is_none() {
        return Ok(None);
    }
    let text = serde_json::to_string(&stream.rules);
    text.map(Some)
        .map_err(|error| Error::internal("rules for columns cannot be written as JSON").caused_by(error))
}

/// Whether a file was written under the rules that the stream is under: rows of others must not meet.
pub(super) fn is_under_rules(stream: &Stream, file: &FileMetaData) -> Result<bool> {
    let mut pairs = file.key_value_metadata().into_iter().flatten();
    let said = pairs
        .find(|pair| pair.key == COLUMNS)
        .and_then(|pair| pair.value.as_ref());
    Ok(said == stamp(stream)?.as_ref())
}

/// Texts of one column.
type Texts<'a> = HashSet<&'a str, RandomState>;

/// `arrays` are the values of `columns` in the first rows.
fn encodings<'a>(
    builder: WriterPropertiesBuilder,
    parents: &[String],
    columns: &[Column],
    arrays: &'a [ArrayRef],
    seen: &mut Texts<'a>,
) -> WriterPropertiesBuilder {
    columns.iter().zip(arrays).fold(builder, |builder, (column, array)| {
        let mut path = [parents, std::slice::from_ref(&column.name)].concat();
        match column.kind {
            ColumnType::Struct => return encodings(builder, &path, &column.fields, array.as_struct().columns(), seen),
            ColumnType::Integers => path.extend(["list".into(), "element".into()]),
            _ => {}
        }
        let Some(encoding) = parquet_encoding(column) else {
            return builder;
        };
        let dictionary = column.kind == ColumnType::Text && repeats(array.as_string(), seen);
        let path = ColumnPath::new(path);
        builder
            .set_column_dictionary_enabled(path.clone(), dictionary)
            .set_column_encoding(path, encoding)
    })
}

/// Whether text takes fewer bytes as numbers in a dictionary than where it stands.
///
/// Either way each distinct text is written once. A number takes as many bits as the dictionary asks for, in every row; a text that
/// is written again takes a reference back.
fn repeats<'a>(texts: &'a StringArray, distinct: &mut Texts<'a>) -> bool {
    distinct.clear();
    let mut values = 0;
    for text in texts.iter().flatten() {
        values += 1;
        distinct.insert(text);
        if values == GLANCE && distinct.len() > GLANCE - GLANCE / 50 {
            return false;
        }
    }
    let bits = distinct.len().next_power_of_two().trailing_zeros() as usize;
    // In a file that goes on, the distinct texts become fewer and fewer: twice as many rows repeat about twice as often.
    let growth = if texts.len() < BATCH_ROWS { 1 } else { 2 };
    values * bits < (values - distinct.len()) * growth * REFERENCE_BITS
}

/// `None` is the dictionary, which is also what an encoding that does not suit the type becomes.
fn parquet_encoding(column: &Column) -> Option<ParquetEncoding> {
    use ColumnType::{Extra, Integer, Integers, Json, Text, Time};
    match (column.encoding, column.kind) {
        (Encoding::DeltaLength, Text | Json | Extra) => Some(ParquetEncoding::DELTA_LENGTH_BYTE_ARRAY),
        (Encoding::DeltaPacked, Integer | Integers | Time) => Some(ParquetEncoding::DELTA_BINARY_PACKED),
        _ => None,
    }
}

/// Parquet counts leaves, not columns.
fn sorting(stream: &Stream) -> Vec<SortingColumn> {
    let first_leaf = |name: &String| {
        let before = stream.columns.iter().take_while(|column| column.name != *name);
        i32::try_from(before.map(leaves).sum::<usize>()).unwrap_or_default()
    };
    let ascending = |column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: true,
    };
    stream.order.iter().map(first_leaf).map(ascending).collect()
}

fn leaves(column: &Column) -> usize {
    match column.kind {
        ColumnType::Struct => column.fields.iter().map(leaves).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StructArray;
    use arrow::compute::concat_batches;
    use arrow::datatypes::DataType;
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::super::testing::{stream, things};
    use super::super::{ParquetEncoder, read_parquet};
    use super::*;

    /// Whether a dictionary was taken for the e-mail addresses of so many rows, of so many people in no order.
    fn takes_a_dictionary(count: usize, people: u64) -> bool {
        let mut rows = things(&(0..count).map(|at| (format!("{at:09}"), 1, 1)).collect::<Vec<_>>());
        // Knuth's linear congruential generator: the upper bits are random enough.
        let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        let random = std::iter::successors(Some(1_u64), next).map(|state| state >> 33);
        let emails = random.map(|number| number % people).take(count);
        let emails: ArrayRef = Arc::new(StringArray::from_iter_values(
            emails.map(|person| format!("{person}@example.com")),
        ));
        let (at, who) = rows
            .schema()
            .column_with_name("who")
            .map(|(at, field)| (at, field.clone()))
            .unwrap();
        let DataType::Struct(fields) = who.data_type() else {
            unreachable!("an object is a struct")
        };
        let mut columns = rows.columns().to_vec();
        columns[at] = Arc::new(StructArray::new(fields.clone(), vec![emails], None));
        rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
        let mut encoder = ParquetEncoder::new(stream(), Vec::new());
        encoder.push(&rows).unwrap();
        let file = Bytes::from(encoder.finish().unwrap());
        let read = read_parquet(&stream(), file.clone()).unwrap().map(Result::unwrap);
        let read: Vec<_> = read.collect();
        assert_eq!(concat_batches(&rows.schema(), &read).unwrap(), rows);
        let group = SerializedFileReader::new(file).unwrap().metadata().row_group(0).clone();
        let column = group
            .columns()
            .iter()
            .find(|column| column.column_path().string() == "who.email");
        column.unwrap().dictionary_page_offset().is_some()
    }

    #[test]
    fn text_that_repeats_takes_a_dictionary() {
        for (count, people, expected) in [
            (3_000, 500, true),
            (3_000, 3_000, false),
            (3_000, 1, true),
            (1, 1, false),
            (40_000, 10_000, true),
            (40_000, 40_000, false),
            // Were the file to end after its first batch, a third of whose rows repeat, it would not be worth it.
            (8_191, 10_000, false),
        ] {
            assert_eq!(
                takes_a_dictionary(count, people),
                expected,
                "{count} rows of {people} people"
            );
        }
    }
}
