//! A stream with a column of every kind, and ways to look at rows, for the tests of this room.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use jiff::Timestamp;

use super::{Drift, DriftKind, PageContext, PageDecoder};
use crate::stream::{ColumnRules, KeyedHash, Stream};

/// Sorted by `at`, partitioned by its day, key `id`.
pub(super) fn stream() -> Arc<Stream> {
    let text = r#"{
        "stream": "things", "doc": "", "version": 3,
        "fetch": {"method": "GET", "path": "/things", "rows": ["rows"]},
        "key": "id", "order": ["at", "id"], "partition": {"by": "day", "column": "at"},
        "sync": {"shape": "list"},
        "columns": [
            {"name": "id", "type": "text", "nullable": false, "encoding": "delta_length", "doc": ""},
            {"name": "message", "type": "integer", "context": "transactional_id", "from": ["message_id"], "encoding": "delta_packed", "doc": ""},
            {"name": "period", "type": "text", "context": "period", "doc": ""},
            {"name": "asked", "type": "time", "context": "requested_at", "volatile": true, "encoding": "delta_packed", "doc": ""},
            {"name": "name", "type": "text", "doc": ""},
            {"name": "count", "type": "integer", "encoding": "delta_packed", "doc": ""},
            {"name": "flag", "type": "boolean", "doc": ""},
            {"name": "at", "type": "time", "encoding": "delta_packed", "doc": ""},
            {"name": "seen", "type": "time", "doc": ""},
            {"name": "data", "type": "json", "encoding": "delta_length", "doc": ""},
            {"name": "series", "type": "integers", "encoding": "delta_packed", "doc": ""},
            {"name": "template_id", "type": "integer", "from": ["template", "old_template"], "doc": ""},
            {"name": "who", "type": "struct", "from": ["person", "who"], "doc": "", "fields": [
                {"name": "email", "type": "text", "encoding": "delta_length", "doc": ""}
            ]},
            {"name": "metrics", "type": "struct", "doc": "", "fields": [
                {"name": "sent", "type": "time", "encoding": "delta_packed", "doc": ""},
                {"name": "opened", "type": "integer", "doc": ""}
            ]},
            {"name": "_extra", "type": "extra", "encoding": "delta_length", "doc": ""}
        ]
    }"#;
    Arc::new(serde_json::from_str(text).unwrap())
}

pub(super) fn decoder() -> PageDecoder {
    PageDecoder::new(stream())
}

/// The same under rules, with the key `k`.
pub(super) fn ruled(exclude: &[&str], hash: &[&str]) -> PageDecoder {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    let rules = ColumnRules {
        exclude: owned(exclude),
        hash: owned(hash),
        key: None,
    };
    PageDecoder::new(Arc::new(stream().under(&rules, Some(&key())).unwrap()))
}

pub(super) fn key() -> KeyedHash {
    KeyedHash::new("k").unwrap()
}

pub(super) fn context() -> PageContext {
    PageContext {
        transactional_id: Some(7),
        requested_at: Timestamp::from_second(1_800_000_000).unwrap(),
        period: Some("days".into()),
        steps: Some(45),
    }
}

/// A row that can stand in the table, with further fields.
pub(super) fn row(fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!(r#"{{"id":"a","at":86400{comma}{fields}}}"#)
}

pub(super) fn drift(path: &str, kind: DriftKind, count: u64) -> Drift {
    Drift {
        path: path.into(),
        kind,
        count,
    }
}

/// One value as text; times in microseconds.
pub(super) fn show(rows: &RecordBatch, column: &str, row: usize) -> String {
    show_value(rows.column_by_name(column).unwrap(), row)
}

fn show_value(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".into();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            let values: Vec<_> = (0..list.len()).map(|at| show_value(&list, at)).collect();
            format!("[{}]", values.join(","))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let values: Vec<_> = columns
                .map(|(field, values)| format!("{}:{}", field.name(), show_value(values, row)))
                .collect();
            format!("{{{}}}", values.join(","))
        }
        other => panic!("{other}"),
    }
}

/// Rows of the stream, each from key, time in seconds and `count`.
pub(super) fn things(rows: &[(String, i64, i64)]) -> RecordBatch {
    let rows: Vec<_> = rows
        .iter()
        .map(|(id, at, count)| format!(r#"{{"id":"{id}","at":{at},"count":{count},"data":{{"v":{count}}}}}"#))
        .collect();
    let page = format!(r#"{{"rows":[{}]}}"#, rows.join(","));
    decoder().decode(page.as_bytes(), &context()).unwrap().rows
}
