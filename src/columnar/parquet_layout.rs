//! How a table's columns are laid out in Parquet: a pure function of the stream.

use parquet::basic::{Compression, Encoding as ParquetEncoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::stream::{Column, ColumnType, Encoding, Stream};

/// Where a footer names the stream,
pub(super) const STREAM: &str = "cio2parquet.stream";
/// and where the version of its schema.
pub(super) const SCHEMA_VERSION: &str = "cio2parquet.schema_version";

/// The settings of every file of the stream's table; nothing in them varies from run to run or from machine to machine.
pub(super) fn properties(stream: &Stream) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|error| Error::internal("zstd has no such level").caused_by(error))?;
    let entry = |name: &str, value: String| KeyValue::new(name.to_owned(), value);
    let about = vec![
        entry(STREAM, stream.stream.clone()),
        entry(SCHEMA_VERSION, stream.version.to_string()),
    ];
    let builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("cio2parquet".into())
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_bloom_filter_enabled(false)
        .set_sorting_columns(Some(sorting(stream)))
        .set_key_value_metadata(Some(about))
        // The encoder ends row groups itself.
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None);
    Ok(encodings(builder, &[], &stream.columns).build())
}

fn encodings(builder: WriterPropertiesBuilder, parents: &[String], columns: &[Column]) -> WriterPropertiesBuilder {
    columns.iter().fold(builder, |builder, column| {
        let mut path = [parents, std::slice::from_ref(&column.name)].concat();
        match column.kind {
            ColumnType::Struct => return encodings(builder, &path, &column.fields),
            ColumnType::Integers => path.extend(["list".into(), "element".into()]),
            _ => {}
        }
        match parquet_encoding(column) {
            Some(encoding) => {
                let path = ColumnPath::new(path);
                builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, encoding)
            }
            None => builder,
        }
    })
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
