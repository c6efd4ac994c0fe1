//! When things are due by the config file: `trigger` and `full_sync`, on the clock of `timezone`.

use jiff::Timestamp;

use super::config::Config;
use crate::error::Result;
use crate::manifest::{SyncMode, TableState};
use crate::plan::{Trigger, full_sync_due};
use crate::run::{Job, newest_states};
use crate::storage::Storage;

/// The zone of triggers when the file names none.
const ZONE: &str = "UTC";

/// When `schedule` runs.
///
/// # Errors
/// Input, naming what is wrong and the remedy.
pub fn trigger(config: &Config) -> Result<Option<Trigger>> {
    parse(config, config.trigger.as_deref())
}

/// When a run is to be a full-table run.
///
/// # Errors
/// As [`trigger`].
pub fn full_sync(config: &Config) -> Result<Option<Trigger>> {
    parse(config, config.full_sync.as_deref())
}

fn parse(config: &Config, text: Option<&str>) -> Result<Option<Trigger>> {
    let zone = config.timezone.as_deref().unwrap_or(ZONE);
    text.map(|text| Trigger::parse(text, zone)).transpose()
}

/// A stream whose run is a full-table run because that is due.
#[derive(Debug)]
pub struct Due {
    /// The stream's name.
    pub stream: String,
    /// Why, for a person.
    pub why: String,
}

/// Makes those of `jobs` full-table runs whose tables are due at `now`, as the lake at `storage` says, and tells which.
///
/// # Errors
/// Storage, when a table's newest version cannot be read.
pub async fn apply(
    full_sync: &Trigger,
    now: Timestamp,
    jobs: &mut [Job],
    storage: Option<&Storage>,
) -> Result<Vec<Due>> {
    let states = match storage {
        Some(storage) => newest_states(jobs, storage).await?,
        None => vec![None; jobs.len()],
    };
    let mut due = Vec::new();
    for (job, state) in jobs.iter_mut().zip(states) {
        let done = state.as_ref().and_then(|state: &TableState| state.full_synced);
        if job.sync == SyncMode::Incremental && full_sync_due(full_sync, now, done) {
            job.sync = SyncMode::FullTable;
            due.push(Due {
                stream: job.stream.stream.clone(),
                why: why(full_sync, done),
            });
        }
    }
    Ok(due)
}

fn why(full_sync: &Trigger, done: Option<Timestamp>) -> String {
    let last = done.map_or_else(
        || "none was completed yet".to_owned(),
        |done| format!("the last one was of {}", full_sync.local(done)),
    );
    format!("a full-table run is due by full_sync {full_sync}; {last}")
}
