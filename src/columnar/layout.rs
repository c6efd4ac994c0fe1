//! Which column each field of a JSON object belongs to, for a row and for every struct in it.

use arrow_json::reader::Tape;

use super::notes::Notes;
use super::value::{fields, object};
use crate::stream::{Column, ColumnType, Treatment};

/// The columns of one object, and the JSON names that lead to them.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) columns: Vec<ColumnLayout>,
    /// By slot: a slot is one JSON name of one column.
    names: Vec<String>,
    /// The slots in ascending order of their names.
    sorted: Vec<usize>,
    /// What becomes of the object's fields.
    treatment: Treatment,
    /// What becomes of those that go to `_extra`.
    pub(super) kept: Treatment,
}

/// One column of an object.
#[derive(Debug)]
pub(super) struct ColumnLayout {
    pub(super) column: Column,
    /// The slots of its JSON names, the preferred one first.
    pub(super) slots: std::ops::Range<usize>,
    /// What is inside a struct.
    pub(super) fields: Option<Layout>,
    /// What becomes of its values; they are stored as served when there is none.
    pub(super) treatment: Option<Treatment>,
}

/// Where the values of many objects lie on the tape, slot by slot.
#[derive(Debug)]
pub(super) struct Spread {
    objects: usize,
    positions: Vec<u32>,
}

impl Layout {
    pub(super) fn new(columns: &[Column], treatment: &Treatment, kept: &Treatment) -> Self {
        let mut names = Vec::new();
        let columns = columns
            .iter()
            .map(|column| ColumnLayout::new(column, treatment, kept, &mut names))
            .collect();
        let mut sorted: Vec<usize> = (0..names.len()).collect();
        sorted.sort_by(|&a, &b| order(&names[a]).cmp(&order(&names[b])));
        Self {
            columns,
            names,
            sorted,
            treatment: treatment.clone(),
            kept: kept.clone(),
        }
    }

    /// The column that a JSON name belongs to.
    pub(super) fn column_of(&self, name: &str) -> Option<&ColumnLayout> {
        let slot = self.slot_of(name)?;
        self.columns.iter().find(|column| column.slots.contains(&slot))
    }

    fn slot_of(&self, name: &str) -> Option<usize> {
        let found = self
            .sorted
            .binary_search_by(|&slot| order(&self.names[slot]).cmp(&order(name)));
        found.ok().and_then(|at| self.sorted.get(at).copied())
    }

    /// Finds every field of every object: `objects` holds start and end on the tape, `None` stands for an object without fields.
    ///
    /// A name that occurs twice counts where it stands last. Fields without a slot are noted as unknown, nulls and what is left out are not.
    pub(super) fn spread(&self, tape: &Tape<'_>, objects: &[Option<(u32, u32)>], notes: &mut Notes) -> Spread {
        let count = objects.len();
        let mut positions = vec![0; self.names.len() * count];
        let mut followers = Followers::new(self.names.len());
        for (row, object) in objects.iter().enumerate() {
            let Some((start, end)) = *object else { continue };
            let mut last = followers.start();
            for (name, value) in fields(tape, start, end) {
                let slot = match followers.guess(last).filter(|&slot| self.names[slot] == name) {
                    Some(slot) => Some(slot),
                    None => followers.learn(last, self.slot_of(name)),
                };
                match slot {
                    Some(slot) => positions[slot * count + row] = value,
                    None if self.leaves_out(tape, name, value) => {}
                    None => notes.unknown(value),
                }
                last = slot.unwrap_or(followers.unknown());
            }
            notes.end_object(tape);
        }
        Spread {
            objects: count,
            positions,
        }
    }

    /// Whether the field `name` is left out, or an object of which every field is.
    fn leaves_out(&self, tape: &Tape<'_>, name: &str, value: u32) -> bool {
        let Some(treatment) = self.treatment.of(name) else {
            return false;
        };
        if let Treatment::Drop = treatment {
            return true;
        }
        let mut inside = object(tape, value)
            .value()
            .map(|end| fields(tape, value, end))
            .into_iter()
            .flatten()
            .peekable();
        let is_left_out = |(name, _): (&str, u32)| matches!(treatment.of(name), Some(Treatment::Drop));
        inside.peek().is_some() && inside.all(is_left_out)
    }
}

impl ColumnLayout {
    fn new(column: &Column, row: &Treatment, kept: &Treatment, names: &mut Vec<String>) -> Self {
        let first = names.len();
        // A rule holds for every name of a column.
        let of = |all: &Treatment| column.json_names().next().and_then(|name| all.of(name)).cloned();
        let treatment = of(row);
        // A field that happens to be called `_extra` is as unknown as any other.
        if column.kind != ColumnType::Extra {
            names.extend(column.json_names().map(str::to_owned));
        }
        Self {
            column: column.clone(),
            slots: first..names.len(),
            fields: (column.kind == ColumnType::Struct).then(|| {
                let (row, kept) = (treatment.clone().unwrap_or_default(), of(kept).unwrap_or_default());
                Layout::new(&column.fields, &row, &kept)
            }),
            treatment,
        }
    }
}

impl Spread {
    /// Where the values of `slot` lie, an entry for each object; 0, where every tape holds a null, for a missing one.
    pub(super) fn slot(&self, slot: usize) -> &[u32] {
        &self.positions[slot * self.objects..][..self.objects]
    }
}

/// Names are told apart by their length before their text.
fn order(name: &str) -> (usize, &str) {
    (name.len(), name)
}

/// Objects of one kind name their fields in nearly the same order, so the next field is guessed from the one before it.
struct Followers {
    slots: usize,
    next: Vec<Option<usize>>,
}

impl Followers {
    fn new(slots: usize) -> Self {
        Self {
            slots,
            next: vec![None; slots + 2],
        }
    }

    /// Stands for "before the first field".
    fn start(&self) -> usize {
        self.slots
    }

    /// Stands for any unknown field.
    fn unknown(&self) -> usize {
        self.slots + 1
    }

    fn guess(&self, last: usize) -> Option<usize> {
        self.next[last]
    }

    fn learn(&mut self, last: usize, slot: Option<usize>) -> Option<usize> {
        if slot.is_some() {
            self.next[last] = slot;
        }
        slot
    }
}
