//! Which stored rows a run has proof about: had they still been served, they would have been fetched.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use jiff::Timestamp;

use crate::stream::{Context, Stream, Window};

/// What was completely read. A row matches when every part that is given holds for it.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// The row's partition time lies inside.
    pub window: Option<Window>,
    /// The transactional message that the row belongs to is one of these.
    pub transactional_ids: Option<HashSet<i64>>,
}

impl Proof {
    /// Whether the proof says something about `row`; where a column is missing or null it does not.
    pub(super) fn matches(&self, stream: &Stream, batch: &RecordBatch, row: usize) -> bool {
        let column = |name: &str| batch.column_by_name(name).filter(|column| column.is_valid(row));
        let inside = |window: &Window| {
            let times = stream
                .time_column()
                .and_then(column)?
                .as_primitive_opt::<TimestampMicrosecondType>()?;
            Some(window.contains(Timestamp::from_microsecond(times.value(row)).ok()?))
        };
        let among = |ids: &HashSet<i64>| {
            let from_path = stream
                .columns
                .iter()
                .find(|column| column.context == Some(Context::TransactionalId))?;
            let values = column(&from_path.name)?.as_primitive_opt::<Int64Type>()?;
            Some(ids.contains(&values.value(row)))
        };
        self.window.as_ref().is_none_or(|window| inside(window) == Some(true))
            && self
                .transactional_ids
                .as_ref()
                .is_none_or(|ids| among(ids) == Some(true))
    }
}
