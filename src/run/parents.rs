//! Whom to ask: the transactional messages of a run, and what to remember of them.

use std::collections::HashSet;

use crate::manifest::{KnownMessage, TableState};

/// The transactional messages of a run.
#[derive(Debug, Clone)]
pub struct Parents {
    /// Those to ask, in order.
    pub ids: Vec<i64>,
    /// Those that the API lists now.
    pub listed: HashSet<i64>,
    /// Those that answered 404 when they were listed no more, in an earlier run.
    pub gone: HashSet<i64>,
}

impl Parents {
    /// The API's list plus every id the manifest has seen.
    pub fn new(listed: &[i64], state: &TableState) -> Self {
        let listed: HashSet<i64> = listed.iter().copied().collect();
        let known = state.transactional_messages.iter();
        let gone = known.clone().filter(|known| known.gone && !listed.contains(&known.id));
        let gone = gone.map(|known| known.id).collect();
        let mut ids: Vec<i64> = listed.iter().copied().chain(known.map(|known| known.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids, listed, gone }
    }

    /// Those that the manifest has not seen.
    pub fn newcomers(&self, state: &TableState) -> Vec<i64> {
        let known: HashSet<i64> = state.transactional_messages.iter().map(|known| known.id).collect();
        self.ids.iter().copied().filter(|id| !known.contains(id)).collect()
    }

    /// What to remember: everything ever seen, and what answered 404 without being listed.
    pub fn remember(&self, missing: &HashSet<i64>) -> Vec<KnownMessage> {
        let known = self.ids.iter().map(|id| KnownMessage {
            id: *id,
            gone: missing.contains(id) && !self.listed.contains(id),
        });
        known.collect()
    }

    /// A sentence for a 404, unless it was told before.
    pub fn tell_missing(&self, id: i64) -> Option<String> {
        if self.gone.contains(&id) {
            return None;
        }
        let list = if self.listed.contains(&id) {
            "though it is listed"
        } else {
            "and is listed no more"
        };
        Some(format!(
            "transactional message {id} answers 404 {list}; its stored rows stay"
        ))
    }
}
