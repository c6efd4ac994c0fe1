//! How many bytes the values of each row take, computed from the values alone: never from buffers, which depend on how rows were cut.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

/// What a number, a time or a boolean counts, null or not; and an element of a list.
const FIXED: usize = 8;

/// The bytes of each row.
pub(super) fn row_bytes(batch: &RecordBatch) -> Vec<usize> {
    let mut bytes = vec![0; batch.num_rows()];
    for column in batch.columns() {
        add(column, None, &mut bytes);
    }
    bytes
}

/// Adds a column that counts only where `inside`, the struct around it, is not null.
fn add(column: &ArrayRef, inside: Option<&NullBuffer>, bytes: &mut [usize]) {
    let nulls = NullBuffer::union(column.nulls(), inside);
    match column.data_type() {
        DataType::Utf8 => add_lengths(column.as_string::<i32>().value_offsets(), 1, nulls.as_ref(), bytes),
        DataType::List(_) => add_lengths(column.as_list::<i32>().value_offsets(), FIXED, nulls.as_ref(), bytes),
        DataType::Struct(_) => {
            for child in column.as_struct().columns() {
                add(child, nulls.as_ref(), bytes);
            }
        }
        _ => bytes.iter_mut().for_each(|bytes| *bytes += FIXED),
    }
}

fn add_lengths(offsets: &[i32], width: usize, nulls: Option<&NullBuffer>, bytes: &mut [usize]) {
    let lengths = offsets
        .windows(2)
        .map(|pair| usize::try_from(pair[1] - pair[0]).unwrap_or_default() * width);
    for (row, (bytes, length)) in bytes.iter_mut().zip(lengths).enumerate() {
        // What lies under a null is no value.
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            *bytes += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, StructArray};
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn only_values_count() {
        let hidden: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), Some("hidden"), None]));
        let fields = vec![Field::new("a", DataType::Utf8, true)].into();
        let nulls = NullBuffer::from(vec![true, false, true]);
        let object: ArrayRef = Arc::new(StructArray::new(fields, vec![hidden], Some(nulls)));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let batch = RecordBatch::try_from_iter([("object", object), ("number", number)]).unwrap();
        assert_eq!(row_bytes(&batch), [3 + FIXED, FIXED, FIXED]);
        assert_eq!(row_bytes(&batch.slice(1, 2)), [FIXED, FIXED]);
    }
}
