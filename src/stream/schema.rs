//! The Arrow schema of a stream's table.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::{Column, ColumnType, Stream};

/// The columns of the table in order, as they stand in every data file.
pub fn arrow_schema(stream: &Stream) -> SchemaRef {
    Arc::new(Schema::new(fields(&stream.columns)))
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(field).collect()
}

fn field(column: &Column) -> FieldRef {
    let data_type = match column.kind {
        ColumnType::Text | ColumnType::Json | ColumnType::Extra => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Integers => DataType::List(Arc::new(Field::new("element", DataType::Int64, true))),
        ColumnType::Struct => DataType::Struct(fields(&column.fields)),
    };
    Arc::new(Field::new(&column.name, data_type, column.nullable))
}
