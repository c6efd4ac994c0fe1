//! What a run that has not ended, or not ended well, may have stored without entering it.

use jiff::{SignedDuration, Timestamp};

use crate::manifest::TableState;
use crate::storage::ObjectInfo;

/// How far the clocks of machines and stores may lie apart.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// A run that stands in the manifest and did not complete: data goes before the version that describes it, so that it may have left
/// partitions which no version describes. The next run adopts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The run.
    pub run: String,
    /// When the last run before it ended well.
    since: Option<Timestamp>,
}

impl Unfinished {
    /// The run that holds the claim, dead or alive, or the last one, if it ended early.
    pub fn of(state: &TableState) -> Option<Self> {
        let complete = state.runs.iter().rev().find(|run| run.ended_well());
        let last = state.runs.last().filter(|run| !run.ended_well());
        let claimed = state.claim.as_ref().map(|claim| &claim.run);
        let run = claimed.or(last.map(|run| &run.run))?;
        Some(Self {
            run: run.to_string(),
            since: complete.and_then(|run| run.ended.checked_sub(SKEW).ok()),
        })
    }

    /// Whether it can have stored the object: what was there before and has changed since is damage.
    pub fn may_have_stored(&self, info: &ObjectInfo) -> bool {
        match (self.since, info.modified) {
            (Some(since), Some(modified)) => modified >= since,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Claim, RowCounts, RunRecord, SchemaRef, SyncMode};
    use crate::storage::Owner;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn state(outcomes: &[&str], claimed: bool) -> TableState {
        let schema = SchemaRef {
            version: 1,
            fingerprint: String::new(),
        };
        let mut state = TableState::new("s", "t", schema);
        for (number, outcome) in (1..).zip(outcomes) {
            state.record(RunRecord {
                run: format!("r{number}").parse().unwrap(),
                started: at(number * 1000),
                ended: at(number * 1000),
                sync: SyncMode::Incremental,
                requests: 0,
                retries: 0,
                rows: RowCounts::default(),
                outcome: (*outcome).to_owned(),
            });
        }
        state.claim = claimed.then(|| Claim {
            run: "now".parse().unwrap(),
            owner: Owner {
                host: String::new(),
                boot: String::new(),
                process: String::new(),
            },
            until: at(0),
        });
        state
    }

    #[test]
    fn only_what_was_stored_since_the_last_good_end_can_be_a_leftover() {
        let run = |outcomes: &[&str], claimed| Unfinished::of(&state(outcomes, claimed)).map(|run| run.run);
        assert_eq!(run(&["complete"], false), None);
        assert_eq!(run(&["stopped", "gaps"], false), None);
        assert_eq!(run(&["complete", "failed"], false).as_deref(), Some("r2"));
        assert_eq!(run(&["complete"], true).as_deref(), Some("now"));
        let info = |second| ObjectInfo {
            path: String::new(),
            bytes: 0,
            etag: None,
            version: None,
            modified: Some(at(second)),
        };
        let unfinished = Unfinished::of(&state(&["complete", "stopped"], true)).unwrap();
        assert!(unfinished.may_have_stored(&info(1500)) && !unfinished.may_have_stored(&info(900)));
        let first = Unfinished::of(&state(&[], true)).unwrap();
        assert!(first.may_have_stored(&info(0)));
    }
}
