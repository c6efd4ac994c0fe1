//! What a stream has done so far: rows by fate, drift, and what the user should be told at the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::report::DriftCount;
use crate::columnar::{Drift, DriftKind, MergeOutcome};
use crate::manifest::{DriftNote, RowCounts, TableState};

/// Fields that are told apart; more are counted together, so that rows with names of their own making fill no memory.
const MOST_FIELDS: usize = 500;
/// The fields that are not told apart.
const OTHERS: &str = "*";

/// Counters shared by the tasks of one stream.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
    /// The names of the rows that lie set aside; unknown until they were listed.
    pub set_aside: tokio::sync::Mutex<Option<HashSet<String>>>,
}

/// The counters themselves.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Rows by what became of them.
    pub rows: RowCounts,
    /// What could not be read, one sentence each; any makes the stream end with gaps.
    pub gaps: Vec<String>,
    /// Transactional messages of which it was told that they cannot be read.
    pub refused: HashSet<i64>,
    /// Transactional messages of which no answer came while others answered, and what is to be said of each.
    pub silent: HashMap<i64, String>,
    /// Transactional messages that can be asked whether anyone answers.
    pub witnesses: Vec<i64>,
    /// Transactional messages that answered 404.
    pub missing: HashSet<i64>,
    /// Whether a version with data or coverage of this run stands in the manifest.
    pub committed: bool,
    /// Whether the next version will hold some.
    pub drafted: bool,
    /// Whether a full-table run has read everything, and nothing but a lack of proof has kept a row in the table.
    pub full_synced: bool,
    seen: Oddities,
    /// What of it the newest version says.
    entered: Oddities,
}

/// What a table's manifest adds up over all runs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Oddities {
    /// Rows set aside that no version told of before.
    pub rejected: u64,
    /// Rows that lie set aside; unknown until they were counted.
    kept: Option<u64>,
    /// Rows by field and kind of deviation.
    drift: BTreeMap<(String, &'static str), u64>,
}

impl Oddities {
    /// Adds them to what is known of the table; `now` is when a field was seen first.
    pub fn enter(&self, state: &mut TableState, now: Timestamp) {
        state.rejected += self.rejected;
        state.rejected_kept = self.kept.unwrap_or(state.rejected_kept);
        for ((path, kind), count) in &self.drift {
            let is = |note: &DriftNote, path: &str| note.path == path && note.kind == *kind;
            let known = state.drift.iter().any(|note| is(note, path));
            let path = if known || state.drift.len() < MOST_FIELDS {
                path
            } else {
                OTHERS
            };
            match state.drift.iter_mut().find(|note| is(note, path)) {
                Some(note) => note.count += count,
                None => state.drift.push(DriftNote {
                    path: path.to_owned(),
                    kind: (*kind).to_owned(),
                    count: *count,
                    first_seen: now,
                }),
            }
        }
    }

    fn see(&mut self, path: &str, kind: &'static str, count: u64) {
        let mut field = (path.to_owned(), kind);
        if self.drift.len() >= MOST_FIELDS && !self.drift.contains_key(&field) {
            OTHERS.clone_into(&mut field.0);
        }
        *self.drift.entry(field).or_default() += count;
    }

    fn since(&self, entered: &Self) -> Self {
        let counts = self.drift.iter().map(|(field, count)| {
            let before = entered.drift.get(field).copied().unwrap_or_default();
            (field.clone(), count - before)
        });
        Self {
            rejected: self.rejected - entered.rejected,
            kept: self.kept,
            drift: counts.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

impl Tally {
    /// The counters, for reading and writing.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counters are whole after every statement, so a panic elsewhere leaves them usable.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Counts a page's rows and what was odd in it.
    pub fn page(&mut self, served: usize, drift: &[Drift]) {
        self.rows.fetched += served as u64;
        for note in drift {
            let kind = match note.kind {
                DriftKind::UnknownField => "unknown_field",
                DriftKind::Misfit => "misfit",
            };
            self.seen.see(&note.path, kind, note.count);
        }
    }

    /// Enters that `kept` rows lay set aside before this run, of which the newest version knew `told`. The others are those of a
    /// run that died before it could tell.
    pub fn found_set_aside(&mut self, kept: u64, told: u64) {
        self.seen.kept = Some(kept);
        self.seen.rejected += kept.saturating_sub(told);
    }

    /// One more row was set aside that did not lie there before.
    pub fn set_aside(&mut self) {
        self.seen.rejected += 1;
        self.seen.kept = self.seen.kept.map(|kept| kept + 1);
    }

    /// Rows set aside that were not kept, or not told of, before.
    pub fn newly_rejected(&self) -> u64 {
        self.seen.rejected
    }

    /// What the next version has to enter, and what it has entered then.
    pub fn to_enter(&self) -> (Oddities, Oddities) {
        (self.seen.since(&self.entered), self.seen.clone())
    }

    /// A version has entered what was seen up to `entered`.
    pub fn entered(&mut self, entered: Oddities) {
        self.entered = entered;
    }

    /// Counts what a merge did.
    pub fn merged(&mut self, outcome: &MergeOutcome) {
        self.rows.new += outcome.new;
        self.rows.changed += outcome.changed;
        self.rows.unchanged += outcome.unchanged;
        self.rows.removed += outcome.removed;
    }

    /// Whether anything is missing that the user must know of.
    pub fn has_gaps(&self) -> bool {
        self.seen.rejected > 0 || !self.gaps.is_empty()
    }

    /// What the schema does not know, by path; `state` tells since when.
    pub fn drift(&self, state: Option<&TableState>, now: Timestamp) -> Vec<DriftCount> {
        let first_seen = |path: &str, kind: &str| {
            let mut known = state.into_iter().flat_map(|state| &state.drift);
            known
                .find(|note| note.path == path && note.kind == kind)
                .map_or(now, |note| note.first_seen)
        };
        let entries = self.seen.drift.iter();
        entries
            .map(|((path, kind), count)| DriftCount {
                path: path.clone(),
                kind: (*kind).to_owned(),
                count: *count,
                first_seen: first_seen(path, kind),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SchemaRef;

    #[test]
    fn names_without_end_are_counted_together() {
        let mut counts = Counts::default();
        let mut state = TableState::new(
            "s",
            "t",
            SchemaRef {
                version: 1,
                fingerprint: String::new(),
            },
        );
        for round in 0..3 {
            let drift = (0..400).map(|number| Drift {
                path: format!("own.{round}.{number}"),
                kind: DriftKind::UnknownField,
                count: 1,
            });
            counts.page(400, &drift.collect::<Vec<_>>());
            let (odd, entered) = counts.to_enter();
            odd.enter(&mut state, Timestamp::UNIX_EPOCH);
            counts.entered(entered);
        }
        assert!((MOST_FIELDS..=MOST_FIELDS + 1).contains(&state.drift.len()));
        assert_eq!(state.drift.iter().map(|note| note.count).sum::<u64>(), 1200);
        let others = state.drift.iter().find(|note| note.path == OTHERS).unwrap();
        assert!(others.count >= 1200 - MOST_FIELDS as u64);
        assert_eq!(counts.drift(Some(&state), Timestamp::UNIX_EPOCH).len(), MOST_FIELDS + 1);
    }
}
