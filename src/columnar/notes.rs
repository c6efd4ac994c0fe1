//! What the columns could not take: noted by position while columns are decoded, told afterwards.

use std::collections::BTreeMap;

use arrow_json::reader::{Tape, TapeElement};

use super::page::DriftKind;
use super::value::name_before;

/// The position of a value that goes to `_extra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) pos: u32,
    pub(super) kind: DriftKind,
}

/// The notes of one page.
#[derive(Debug, Default)]
pub(super) struct Notes {
    kept: Vec<Kept>,
    /// Of the object that is being read.
    unknown: Vec<u32>,
    /// Why a row cannot stand in the table, by its index in the page.
    pub(super) rejected: BTreeMap<usize, String>,
}

impl Notes {
    /// Notes a value that does not fit its column.
    pub(super) fn misfit(&mut self, pos: u32) {
        self.kept.push(Kept {
            pos,
            kind: DriftKind::Misfit,
        });
    }

    /// Sets a row aside; the first reason stands.
    pub(super) fn reject(&mut self, row: usize, reason: impl FnOnce() -> String) {
        self.rejected.entry(row).or_insert_with(reason);
    }

    /// Notes the value of a field without a column, of the object that is being read.
    pub(super) fn unknown(&mut self, pos: u32) {
        self.unknown.push(pos);
    }

    /// Ends an object: of its unknown fields with equal names the last one stands, and nulls say nothing.
    pub(super) fn end_object(&mut self, tape: &Tape<'_>) {
        if self.unknown.len() > 1 {
            let name = |pos: u32| name_before(tape, pos);
            self.unknown.sort_unstable_by(|&a, &b| (name(a), b).cmp(&(name(b), a)));
            self.unknown.dedup_by(|a, b| name(*a) == name(*b));
        }
        let told = self.unknown.drain(..).filter(|&pos| tape.get(pos) != TapeElement::Null);
        self.kept.extend(told.map(|pos| Kept {
            pos,
            kind: DriftKind::UnknownField,
        }));
    }

    /// Takes every kept value out, in the order served.
    pub(super) fn take_kept(&mut self) -> Vec<Kept> {
        self.kept.sort_unstable_by_key(|kept| kept.pos);
        std::mem::take(&mut self.kept)
    }
}
