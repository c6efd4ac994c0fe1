//! How many bytes of values some rows hold, computed from the values alone and additive over rows.

use arrow::array::{Array, RecordBatch, cast::AsArray};
use arrow::datatypes::DataType;

/// The bytes of the values of `rows` rows from `from` on.
pub fn batch(batch: &RecordBatch, from: usize, rows: usize) -> usize {
    batch.columns().iter().map(|column| array(column, from, rows)).sum()
}

fn array(array_ref: &dyn Array, from: usize, rows: usize) -> usize {
    match array_ref.data_type() {
        DataType::Utf8 => {
            let offsets = array_ref.as_string::<i32>().value_offsets();
            span(offsets, from, rows).1 + 4 * rows
        }
        DataType::List(_) => {
            let list = array_ref.as_list::<i32>();
            let (start, length) = span(list.value_offsets(), from, rows);
            array(list.values(), start, length) + 4 * rows
        }
        DataType::Struct(_) => {
            let columns = array_ref.as_struct().columns();
            columns.iter().map(|column| array(column, from, rows)).sum()
        }
        DataType::Boolean => rows,
        _ => 8 * rows,
    }
}

/// Where the values of some slots begin, and how many there are.
fn span(offsets: &[i32], from: usize, rows: usize) -> (usize, usize) {
    let at = |slot: usize| {
        offsets
            .get(slot)
            .map_or(0, |offset| usize::try_from(*offset).unwrap_or(0))
    };
    (at(from), at(from + rows) - at(from))
}
