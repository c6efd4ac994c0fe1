//! What a run is told to do; validated before it gets here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::manifest::SyncMode;
use crate::plan::Ask;
use crate::storage::{Owner, RunId};
use crate::stream::Stream;

/// One stream on its way into one table.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to read.
    pub stream: Arc<Stream>,
    /// The table it becomes.
    pub table: String,
    /// Upsert or replace.
    pub sync: SyncMode,
    /// The range asked for.
    pub ask: Ask,
}

/// Everything a run needs to know; `now`, `run` and `owner` are made once, at the door.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The run's id.
    pub run: RunId,
    /// Who runs it.
    pub owner: Owner,
    /// The run's idea of now.
    pub now: Timestamp,
    /// The streams, in the order in which they are reported.
    pub jobs: Vec<Job>,
    /// Requests in flight at most, over all streams.
    pub concurrency: usize,
    /// The memory budget in bytes.
    pub memory: u64,
    /// Where spills go; beside the lake when it is on disk and nothing is said.
    pub temp_dir: Option<PathBuf>,
    /// Take tables from a run that still holds them.
    pub take_over: bool,
    /// Let a full-table run take more than half of a table away.
    pub allow_shrink: bool,
    /// Kept in the manifest and shown by `catalog`.
    pub description: Option<String>,
    /// A scan of pages commits at least this often, so that a kill costs little.
    pub commit_every: Duration,
    /// How long a claim stands without being renewed.
    pub lease: Duration,
}
