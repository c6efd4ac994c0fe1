//! One column, several sources: aliases in the JSON that must agree, and values that the request knows better.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::DataType;
use arrow_json::reader::{Tape, TapeElement};

use super::json_text::as_served;
use super::layout::{ColumnLayout, Spread};
use super::notes::Notes;
use super::page::PageContext;
use super::value::{Reading, boolean, integer, integers, object, text, time};
use crate::stream::{Column, ColumnType, Context};

/// A value that the request knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContextValue {
    /// An integer, or the microseconds of a time.
    Number(i64),
    /// A text.
    Text(String),
}

/// The value of `column` when the request knows it.
pub(super) fn context_value(column: &Column, context: &PageContext) -> Option<ContextValue> {
    match column.context? {
        Context::TransactionalId => context.transactional_id.map(ContextValue::Number),
        Context::RequestedAt => Some(ContextValue::Number(context.requested_at.as_microsecond())),
        Context::Period => context.period.clone().map(ContextValue::Text),
        Context::Steps => context.steps.map(ContextValue::Number),
    }
}

impl ContextValue {
    /// The column in which every row has this value.
    pub(super) fn repeat(&self, data_type: &DataType, rows: usize) -> ArrayRef {
        match (self, data_type) {
            (Self::Number(value), DataType::Int64) => Arc::new(Int64Array::from_value(*value, rows)),
            (Self::Number(value), DataType::Timestamp(..)) => {
                Arc::new(TimestampMicrosecondArray::from_value(*value, rows).with_timezone("UTC"))
            }
            (Self::Text(value), DataType::Utf8) => {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
            }
            _ => new_null_array(data_type, rows),
        }
    }

    fn agrees(&self, kind: ColumnType, tape: &Tape<'_>, pos: u32) -> bool {
        match self {
            Self::Number(value) if kind == ColumnType::Time => time(tape, pos) == Reading::Value(*value),
            Self::Number(value) => integer(tape, pos) == Reading::Value(*value),
            Self::Text(value) => text(tape, pos) == Reading::Value(value.as_str()),
        }
    }
}

/// Notes every alias that says something else than the request does.
pub(super) fn note_contradictions(
    tape: &Tape<'_>,
    column: &ColumnLayout,
    value: &ContextValue,
    spread: &Spread,
    notes: &mut Notes,
) {
    for slot in column.slots.clone() {
        let served = spread
            .slot(slot)
            .iter()
            .filter(|&&pos| tape.get(pos) != TapeElement::Null);
        for &pos in served.filter(|&&pos| !value.agrees(column.column.kind, tape, pos)) {
            notes.misfit(pos);
        }
    }
}

/// For each row the position of the first value that fits; every other one that does not say the same is noted.
pub(super) fn choose(
    tape: &Tape<'_>,
    column: &ColumnLayout,
    spread: &Spread,
    rows: usize,
    notes: &mut Notes,
) -> Vec<u32> {
    let kind = column.column.kind;
    let mut chosen = vec![0; rows];
    for slot in column.slots.clone() {
        for (best, &pos) in chosen.iter_mut().zip(spread.slot(slot)) {
            if tape.get(pos) == TapeElement::Null {
                continue;
            }
            if !fits(kind, tape, pos) {
                notes.misfit(pos);
            } else if *best == 0 {
                *best = pos;
            } else if !same(kind, tape, *best, pos) {
                notes.misfit(pos);
            }
        }
    }
    chosen
}

fn fits(kind: ColumnType, tape: &Tape<'_>, pos: u32) -> bool {
    match kind {
        ColumnType::Text => text(tape, pos).value().is_some(),
        ColumnType::Integer => integer(tape, pos).value().is_some(),
        ColumnType::Boolean => boolean(tape, pos).value().is_some(),
        ColumnType::Time => time(tape, pos).value().is_some(),
        ColumnType::Integers => integers(tape, pos, |_| ()).value().is_some(),
        ColumnType::Struct => object(tape, pos).value().is_some(),
        ColumnType::Json => true,
        ColumnType::Extra => false,
    }
}

/// Whether two values that fit mean the same.
fn same(kind: ColumnType, tape: &Tape<'_>, a: u32, b: u32) -> bool {
    match kind {
        ColumnType::Text => text(tape, a) == text(tape, b),
        ColumnType::Integer | ColumnType::Time => integer(tape, a) == integer(tape, b),
        _ => as_served(tape, a) == as_served(tape, b),
    }
}
