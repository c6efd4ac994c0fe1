//! Where fetched rows stand in the order of their table, read off the columns themselves: nothing is kept beside them.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};

use crate::error::{Error, Result};

/// The order columns of a batch, in which nothing is null.
#[derive(Debug)]
pub(super) struct Places<'a>(Vec<Column<'a>>);

#[derive(Debug)]
enum Column<'a> {
    Number(&'a [i64]),
    Text(&'a StringArray),
}

impl<'a> Places<'a> {
    /// The places by `columns`, the last of which is the key.
    pub(super) fn of(columns: impl Iterator<Item = &'a ArrayRef>) -> Result<Self> {
        columns.map(Column::of).collect::<Result<_>>().map(Self)
    }

    /// The first bytes as a number: most comparisons end here, without a visit to the row.
    pub(super) fn prefix(&self, row: usize) -> u128 {
        let mut bytes = [0; 16];
        let mut rest = bytes.as_mut_slice();
        for column in &self.0 {
            let filled = match column {
                Column::Number(values) => fill(rest, &(values[row] ^ i64::MIN).to_be_bytes()),
                // What follows a text has no fixed place.
                Column::Text(texts) => {
                    fill(rest, texts.value(row).as_bytes());
                    break;
                }
            };
            rest = &mut rest[filled..];
        }
        u128::from_be_bytes(bytes)
    }

    /// How `row` stands to `there` in `other`.
    pub(super) fn compare(&self, row: usize, other: &Self, there: usize) -> Ordering {
        let pairs = self.0.iter().zip(&other.0).map(|pair| match pair {
            (Column::Number(a), Column::Number(b)) => a[row].cmp(&b[there]),
            (Column::Text(a), Column::Text(b)) => a.value(row).cmp(b.value(there)),
            // One table has one order.
            _ => Ordering::Equal,
        });
        pairs.fold(Ordering::Equal, Ordering::then)
    }

    /// Stands for the place among those of rows with the same key; the same within one process only.
    pub(super) fn among_equals(&self, row: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        for column in self.0.iter().rev().skip(1) {
            match column {
                Column::Number(values) => hasher.write_i64(values[row]),
                Column::Text(texts) => {
                    hasher.write(texts.value(row).as_bytes());
                    hasher.write_u8(0xFF);
                }
            }
        }
        hasher.finish()
    }
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        if array.null_count() > 0 {
            return Err(Error::internal("a fetched row has no place in the order of its table"));
        }
        match array.data_type() {
            DataType::Utf8 => Ok(Self::Text(array.as_string())),
            DataType::Int64 => Ok(Self::Number(array.as_primitive::<Int64Type>().values())),
            DataType::Timestamp(..) => Ok(Self::Number(array.as_primitive::<TimestampMicrosecondType>().values())),
            other => Err(Error::internal(format!(
                "rows cannot be sorted by a column of type {other}"
            ))),
        }
    }
}

fn fill(bytes: &mut [u8], with: &[u8]) -> usize {
    let length = bytes.len().min(with.len());
    bytes[..length].copy_from_slice(&with[..length]);
    length
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefix_never_contradicts_the_order(rows in proptest::collection::vec((-3..3_i64, "[a-c]{0,12}"), 2)) {
            let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0)));
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1)));
            let places = Places::of([&times, &texts].into_iter()).unwrap();
            let order = rows[0].cmp(&rows[1]);
            prop_assert_eq!(places.compare(0, &places, 1), order);
            let prefixes = places.prefix(0).cmp(&places.prefix(1));
            prop_assert!(prefixes == order || prefixes == Ordering::Equal);
        }
    }

    #[test]
    fn a_row_without_a_place_is_refused() {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1)]));
        assert!(Places::of([&times].into_iter()).is_err());
    }
}
