//! The key of a row as text, and its time.

use std::borrow::Cow;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, cast::AsArray};
use arrow::compute;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::stream::Stream;

/// The key column of a batch; integers are told in decimal.
pub enum Keys<'a> {
    /// Text keys.
    Text(&'a StringArray),
    /// Integer keys.
    Integer(&'a Int64Array),
}

impl<'a> Keys<'a> {
    /// The keys of `batch`.
    ///
    /// # Errors
    /// Internal, when the key is neither text nor integer.
    pub fn of(stream: &Stream, batch: &'a RecordBatch) -> Result<Self> {
        let column = batch.column_by_name(&stream.key);
        let text = column.and_then(|column| column.as_string_opt::<i32>()).map(Self::Text);
        let integer = || {
            column
                .and_then(|column| column.as_primitive_opt::<Int64Type>())
                .map(Self::Integer)
        };
        text.or_else(integer)
            .ok_or_else(|| Error::internal(format!("the key {:?} is neither text nor integer", stream.key)))
    }

    /// The key of the row at `row`.
    pub fn at(&self, row: usize) -> Cow<'a, str> {
        match self {
            Self::Text(keys) => Cow::Borrowed(keys.value(row)),
            Self::Integer(keys) => Cow::Owned(keys.value(row).to_string()),
        }
    }
}

/// The least and the greatest key of `batch` and of `before`; integers compare as integers.
pub fn bounds(
    stream: &Stream,
    batch: &RecordBatch,
    before: (Option<String>, Option<String>),
) -> (Option<String>, Option<String>) {
    match Keys::of(stream, batch) {
        Ok(Keys::Text(keys)) => {
            let least = compute::min_string(keys).map(str::to_owned);
            let greatest = compute::max_string(keys).map(str::to_owned);
            ([before.0, least].into_iter().flatten().min(), before.1.max(greatest))
        }
        Ok(Keys::Integer(keys)) => {
            let parsed = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
            let least = [parsed(before.0), compute::min(keys)].into_iter().flatten().min();
            let greatest = parsed(before.1).max(compute::max(keys));
            (least.map(|key| key.to_string()), greatest.map(|key| key.to_string()))
        }
        Err(_) => before,
    }
}

/// The times of `batch` in `column`.
pub fn times<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a TimestampMicrosecondArray> {
    batch
        .column_by_name(column)?
        .as_primitive_opt::<TimestampMicrosecondType>()
}

/// The least and the greatest time of `batch` in `column`.
pub fn time_bounds(batch: &RecordBatch, column: &str) -> (Option<Timestamp>, Option<Timestamp>) {
    let Some(times) = times(batch, column) else {
        return (None, None);
    };
    let at = |micros: i64| Timestamp::from_microsecond(micros).ok();
    (compute::min(times).and_then(at), compute::max(times).and_then(at))
}
