//! A lake's rows in the form in which the sandbox tells the truth: times as unix seconds, structs as objects.

use std::collections::BTreeMap;
use std::fs::File;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use crate::support::{Door, key_of, text};

/// Rows by their key.
pub type Rows = BTreeMap<String, Value>;

/// What is stored of a stream in the table of its name; no key twice.
pub fn stored(door: &Door, stream: &str) -> Rows {
    stored_in(door, stream, stream)
}

/// What is stored of a stream in `table`; no key twice.
pub fn stored_in(door: &Door, stream: &str, table: &str) -> Rows {
    let mut rows = Rows::new();
    for path in door.data().keys().filter(|path| path.contains(&format!("/{table}/"))) {
        let file = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        for batch in file.build().unwrap() {
            let batch = batch.unwrap();
            let columns: Vec<(String, &ArrayRef)> = batch
                .schema_ref()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .zip(batch.columns())
                .filter(|(name, _)| name != "requested_at")
                .collect();
            for place in 0..batch.num_rows() {
                let row: Map<String, Value> = columns
                    .iter()
                    .map(|(name, array)| (name.clone(), cell(array, place)))
                    .collect();
                let key = text(&row[key_of(stream)]);
                assert!(
                    rows.insert(key.clone(), row.into()).is_none(),
                    "{key} twice in {stream}"
                );
            }
        }
    }
    rows
}

/// What must be stored of a stream: what is served, but for the last minute, which is left to settle where it can be.
pub fn truth(door: &Door, stream: &str) -> Rows {
    let settled = door.sandbox.now().as_second() - 60;
    let is_due = |row: &Value| stream != "transactional_message_details" || row["created"].as_i64() < Some(settled);
    let rows = door.truth(stream).into_iter().filter(is_due);
    rows.map(|row| (text(&row[key_of(stream)]), row)).collect()
}

/// Every true row is stored, field by field, and no other.
pub fn assert_whole(door: &Door, stream: &str) {
    let (stored, truth) = (stored(door, stream), truth(door, stream));
    let missing: Vec<&String> = truth.keys().filter(|key| !stored.contains_key(*key)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} rows are missing",
        missing.len(),
        truth.len()
    );
    assert_true(&stored, &truth);
}

/// Every stored row is a true one, field by field; some may be missing.
pub fn assert_true(stored: &Rows, truth: &Rows) {
    for (key, row) in stored {
        assert_eq!(Some(row), truth.get(key), "{key}");
    }
}

fn cell(array: &dyn Array, place: usize) -> Value {
    if array.is_null(place) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(place).into(),
        DataType::Boolean => array.as_boolean().value(place).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(place).into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            assert_eq!(&**zone, "UTC");
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(place);
            assert_eq!(micros % 1_000_000, 0, "a time with a fraction of a second");
            (micros / 1_000_000).into()
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(place);
            (0..items.len()).map(|item| cell(&items, item)).collect()
        }
        DataType::Struct(_) => {
            let nested = array.as_struct();
            let names = nested.column_names().into_iter().map(str::to_owned);
            let cells = nested.columns().iter().map(|column| cell(column, place));
            Value::Object(names.zip(cells).collect())
        }
        other => unreachable!("no table has a column of {other}"),
    }
}
