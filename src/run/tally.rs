//! What a stream has done so far: rows by fate, drift, and what the user should be told at the end.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::columnar::{Drift, DriftKind, MergeOutcome};
use crate::manifest::RowCounts;

use super::report::DriftCount;

/// Counters shared by the tasks of one stream.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

/// The counters themselves.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Rows by what became of them.
    pub rows: RowCounts,
    /// Rows set aside that were not kept before.
    pub newly_rejected: u64,
    /// What could not be read, one sentence each; any makes the stream end with gaps.
    pub gaps: Vec<String>,
    /// Transactional messages of which it was told that they cannot be read.
    pub refused: HashSet<i64>,
    /// Whether a version with data or coverage of this run stands in the manifest.
    pub committed: bool,
    drift: BTreeMap<(String, &'static str), u64>,
}

impl Tally {
    /// The counters, for reading and writing.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counters are whole after every statement, so a panic elsewhere leaves them usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            *self.drift.entry((note.path.clone(), kind)).or_default() += note.count;
        }
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
        self.newly_rejected > 0 || !self.gaps.is_empty()
    }

    /// What the schema does not know, by path.
    pub fn drift(&self) -> Vec<DriftCount> {
        let entries = self.drift.iter();
        entries
            .map(|((path, kind), count)| DriftCount {
                path: path.clone(),
                kind: (*kind).to_owned(),
                count: *count,
            })
            .collect()
    }
}
