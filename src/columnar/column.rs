//! One column of a page: from positions on the tape to an Arrow array, in one tight loop for each type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, StructArray, TimestampMicrosecondBuilder,
    new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use arrow_json::reader::{Tape, TapeElement};

use super::alias;
use super::json_text::write_value;
use super::layout::{ColumnLayout, Layout, Spread};
use super::notes::Notes;
use super::page::PageContext;
use super::value::{Reading, boolean, integer, integers, object, text, time};
use crate::stream::{ColumnType, KeyedHash, Treatment};

/// Decodes the columns of one page; what does not fit is noted and never fails.
pub(super) struct Columns<'a, 't> {
    pub(super) tape: &'a Tape<'t>,
    pub(super) context: &'a PageContext,
    pub(super) notes: Notes,
}

impl Columns<'_, '_> {
    /// The columns of `layout`, a row for each object (start and end on the tape); `fields` are their Arrow types.
    pub(super) fn decode(&mut self, layout: &Layout, fields: &Fields, objects: &[Option<(u32, u32)>]) -> Vec<ArrayRef> {
        let spread = layout.spread(self.tape, objects, &mut self.notes);
        let columns = layout.columns.iter().zip(fields);
        columns
            .map(|(column, field)| self.column(column, field, &spread, objects.len()))
            .collect()
    }

    fn column(&mut self, column: &ColumnLayout, field: &Field, spread: &Spread, rows: usize) -> ArrayRef {
        if let Some(value) = alias::context_value(&column.column, self.context) {
            alias::note_contradictions(self.tape, column, &value, spread, &mut self.notes);
            return value.repeat(field.data_type(), rows);
        }
        match column.slots.len() {
            0 => new_null_array(field.data_type(), rows),
            1 => self.array(column, field, spread.slot(column.slots.start)),
            _ => {
                let chosen = alias::choose(self.tape, column, spread, rows, &mut self.notes);
                self.array(column, field, &chosen)
            }
        }
    }

    fn array(&mut self, column: &ColumnLayout, field: &Field, positions: &[u32]) -> ArrayRef {
        match (column.column.kind, &column.fields, field.data_type()) {
            (ColumnType::Struct, Some(layout), DataType::Struct(fields)) => self.object(layout, fields, positions),
            (ColumnType::Text, ..) => match &column.treatment {
                Some(Treatment::Hash(hash)) => self.hashes(positions, hash),
                _ => self.text(positions),
            },
            (ColumnType::Integer, ..) => {
                let mut values = Int64Builder::with_capacity(positions.len());
                self.each(positions, integer, |value| values.append_option(value));
                Arc::new(values.finish())
            }
            (ColumnType::Time, ..) => {
                let mut values = TimestampMicrosecondBuilder::with_capacity(positions.len());
                self.each(positions, time, |value| values.append_option(value));
                Arc::new(values.finish().with_timezone("UTC"))
            }
            (ColumnType::Boolean, ..) => {
                let mut values = BooleanBuilder::with_capacity(positions.len());
                self.each(positions, boolean, |value| values.append_option(value));
                Arc::new(values.finish())
            }
            (ColumnType::Json, ..) => self.json(positions, column.treatment.as_ref()),
            (ColumnType::Integers, _, DataType::List(element)) => self.integers(positions, element),
            (_, _, data_type) => new_null_array(data_type, positions.len()),
        }
    }

    /// Reads each position and hands the value on, or null in place of a misfit.
    fn each<T>(
        &mut self,
        positions: &[u32],
        read: impl Fn(&Tape<'_>, u32) -> Reading<T>,
        mut append: impl FnMut(Option<T>),
    ) {
        for &pos in positions {
            append(match read(self.tape, pos) {
                Reading::Value(value) => Some(value),
                Reading::Null => None,
                Reading::Misfit => {
                    self.notes.misfit(pos);
                    None
                }
            });
        }
    }

    fn text(&mut self, positions: &[u32]) -> ArrayRef {
        let length = |&pos: &u32| text(self.tape, pos).value().map_or(0, str::len);
        let bytes = positions.iter().map(length).sum();
        let mut values = StringBuilder::with_capacity(positions.len(), bytes);
        for &pos in positions {
            match text(self.tape, pos) {
                Reading::Value(value) => values.append_value(value),
                Reading::Null => values.append_null(),
                Reading::Misfit => {
                    self.notes.misfit(pos);
                    values.append_null();
                }
            }
        }
        Arc::new(values.finish())
    }

    fn hashes(&mut self, positions: &[u32], hash: &KeyedHash) -> ArrayRef {
        let mut values = StringBuilder::with_capacity(positions.len(), 64 * positions.len());
        self.each(
            positions,
            |tape, pos| text(tape, pos).map(|text| hash.of(text)),
            |value| values.append_option(value),
        );
        Arc::new(values.finish())
    }

    fn json(&mut self, positions: &[u32], treatment: Option<&Treatment>) -> ArrayRef {
        let mut values = StringBuilder::with_capacity(positions.len(), 0);
        let mut out = String::new();
        for (row, &pos) in positions.iter().enumerate() {
            if self.tape.get(pos) == TapeElement::Null {
                values.append_null();
                continue;
            }
            out.clear();
            if let Err(unwritable) = write_value(self.tape, pos, 0, treatment, &mut out) {
                self.notes.reject(row, || unwritable.to_string());
            }
            values.append_value(&out);
        }
        Arc::new(values.finish())
    }

    fn integers(&mut self, positions: &[u32], element: &Arc<Field>) -> ArrayRef {
        let mut lists = ListBuilder::new(Int64Builder::new()).with_field(Arc::clone(element));
        let mut list = Vec::new();
        for &pos in positions {
            list.clear();
            let reading = integers(self.tape, pos, |value| list.push(value));
            if reading == Reading::Misfit {
                self.notes.misfit(pos);
            }
            if reading == Reading::Value(()) {
                lists.values().extend(list.iter().copied());
            }
            lists.append(reading == Reading::Value(()));
        }
        Arc::new(lists.finish())
    }

    fn object(&mut self, layout: &Layout, fields: &Fields, positions: &[u32]) -> ArrayRef {
        let mut objects = Vec::with_capacity(positions.len());
        self.each(
            positions,
            |tape, pos| match object(tape, pos) {
                Reading::Value(end) => Reading::Value((pos, end)),
                Reading::Null => Reading::Null,
                Reading::Misfit => Reading::Misfit,
            },
            |object| objects.push(object),
        );
        let columns = self.decode(layout, fields, &objects);
        let valid: NullBuffer = objects.iter().map(Option::is_some).collect();
        let nulls = (valid.null_count() > 0).then_some(valid);
        Arc::new(StructArray::new(fields.clone(), columns, nulls))
    }
}
