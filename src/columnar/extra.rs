//! The `_extra` column: the kept values of each row as JSON text that mirrors the row, and the drift they amount to.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow_json::reader::{Tape, TapeElement};

use super::json_text::{Unwritable, write_string, write_value};
use super::layout::Layout;
use super::notes::{Kept, Notes};
use super::page::{Drift, DriftKind};
use super::value::fields;

/// Writes `_extra` for each row and counts drift by path.
///
/// Rows that are set aside get neither; a row whose `_extra` cannot be written joins them.
pub(super) fn extra_column(
    tape: &Tape<'_>,
    layout: &Layout,
    drops_extra: bool,
    rows: &[Option<(u32, u32)>],
    notes: &mut Notes,
) -> (ArrayRef, Vec<Drift>) {
    let kept = notes.take_kept();
    let mut writer = ExtraWriter {
        tape,
        kept: &kept,
        rest: &kept,
        path: String::new(),
        depth: 0,
        drift: HashMap::new(),
    };
    let mut values = StringBuilder::with_capacity(rows.len(), 0);
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let Some((start, end)) = row.filter(|_| !notes.rejected.contains_key(&index)) else {
            values.append_null();
            continue;
        };
        writer.skip_to(start);
        if !writer.any_before(end) {
            values.append_null();
            continue;
        }
        out.clear();
        writer.path.clear();
        writer.depth = 0;
        if let Err(unwritable) = writer.object(layout, start, end, &mut out) {
            notes.reject(index, || unwritable.to_string());
        }
        values.append_option((!drops_extra).then_some(&out));
    }
    (Arc::new(values.finish()), writer.into_drift())
}

/// Walks rows and kept values side by side, both in the order served.
struct ExtraWriter<'a, 't> {
    tape: &'a Tape<'t>,
    kept: &'a [Kept],
    /// What the walk has not passed yet.
    rest: &'a [Kept],
    /// The columns that the walk is inside of, each followed by a point.
    path: String,
    /// The objects that the walk is inside of.
    depth: usize,
    /// By path: how often as unknown field, how often as misfit.
    drift: HashMap<String, [u64; 2]>,
}

impl ExtraWriter<'_, '_> {
    fn skip_to(&mut self, pos: u32) {
        let behind = self.rest.iter().take_while(|kept| kept.pos < pos).count();
        self.rest = &self.rest[behind..];
    }

    fn any_before(&self, end: u32) -> bool {
        self.rest.first().is_some_and(|kept| kept.pos < end)
    }

    fn object(&mut self, layout: &Layout, start: u32, end: u32, out: &mut String) -> Result<(), Unwritable> {
        let mut separator = '{';
        self.depth += 1;
        for (name, pos) in fields(self.tape, start, end) {
            if !self.any_before(end) {
                break;
            }
            self.skip_to(pos);
            if let Some(kept) = self.rest.first().filter(|kept| kept.pos == pos) {
                out.push(std::mem::replace(&mut separator, ','));
                write_string(name, out);
                out.push(':');
                self.count(name, kept.kind);
                write_value(self.tape, pos, self.depth, layout.kept.of(name), out)?;
            } else if let (TapeElement::StartObject(inner), Some(column)) = (self.tape.get(pos), layout.column_of(name))
                && let Some(fields) = column.fields.as_ref().filter(|_| self.any_before(inner))
            {
                out.push(std::mem::replace(&mut separator, ','));
                let name = self.name_in_lake(name, &column.column.name, start, end);
                write_string(name, out);
                out.push(':');
                let outside = self.path.len();
                self.path.push_str(name);
                self.path.push('.');
                self.object(fields, pos, inner, out)?;
                self.path.truncate(outside);
            }
        }
        out.push('}');
        self.depth -= 1;
        Ok(())
    }

    /// The name under which a struct's remains are told: the column's, unless the object has remains of its own by that name.
    fn name_in_lake<'n>(&self, served: &'n str, column: &'n str, start: u32, end: u32) -> &'n str {
        let is_kept = |pos| self.kept.binary_search_by_key(&pos, |kept| kept.pos).is_ok();
        let taken = served != column && fields(self.tape, start, end).any(|(name, pos)| name == column && is_kept(pos));
        if taken { served } else { column }
    }

    fn count(&mut self, name: &str, kind: DriftKind) {
        let outside = self.path.len();
        self.path.push_str(name);
        let index = match kind {
            DriftKind::UnknownField => 0,
            DriftKind::Misfit => 1,
        };
        match self.drift.get_mut(&self.path) {
            Some(counts) => counts[index] += 1,
            None => {
                let counts = self.drift.entry(self.path.clone()).or_default();
                counts[index] += 1;
            }
        }
        self.path.truncate(outside);
    }

    fn into_drift(self) -> Vec<Drift> {
        let kinds = [DriftKind::UnknownField, DriftKind::Misfit];
        let told = self.drift.into_iter().flat_map(|(path, counts)| {
            let kinds = kinds.into_iter().zip(counts).filter(|(_, count)| *count > 0);
            kinds.map(move |(kind, count)| Drift {
                path: path.clone(),
                kind,
                count,
            })
        });
        let mut drift: Vec<Drift> = told.collect();
        drift.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
        drift
    }
}
