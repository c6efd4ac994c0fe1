//! What a run is told to do; validated before it gets here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::manifest::{ClaimOptions, SchemaRef, SyncMode, TableState};
use crate::plan::Ask;
use crate::storage::{Owner, RunId};
use crate::stream::{ColumnRules, Stream};

/// One stream on its way into one table.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to read.
    pub stream: Arc<Stream>,
    /// The table it becomes.
    pub table: String,
    /// How the names of all tables of the export begin.
    pub prefix: String,
    /// What of its rows is left out or hashed; `stream` is the stream under these rules.
    pub columns: ColumnRules,
    /// Upsert or replace.
    pub sync: SyncMode,
    /// The range asked for.
    pub ask: Ask,
}

impl Job {
    /// The table as its first version begins it.
    pub fn initial(&self, description: Option<String>) -> TableState {
        let schema = SchemaRef {
            version: self.stream.version,
            fingerprint: self.stream.fingerprint(),
        };
        TableState {
            prefix: Some(self.prefix.clone()),
            columns: self.columns.clone(),
            description,
            ..TableState::new(&self.stream.stream, &self.table, schema)
        }
    }
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
    /// Requests in flight at most, over all streams; each has one at least.
    pub concurrency: usize,
    /// The memory budget in bytes.
    pub memory: u64,
    /// Where spills go; beside the lake when it is on disk and nothing is said.
    pub temp_dir: Option<PathBuf>,
    /// Take tables from a run that still holds them.
    pub take_over: bool,
    /// Begin a table although another of the lake holds the same stream under the same prefix.
    pub new_table: bool,
    /// Let a full-table run take more than half of a table away.
    pub allow_shrink: bool,
    /// Whether the range is that of the export, so that a full-table run of it stands for the next `full_sync`.
    pub whole_range: bool,
    /// Kept in the manifest and shown by `catalog`.
    pub description: Option<String>,
    /// A scan of pages commits at least this often, so that a kill costs little.
    pub commit_every: Duration,
    /// How long a claim stands without being renewed.
    pub lease: Duration,
}

impl RunSettings {
    /// How its tables are claimed.
    pub fn claiming(&self) -> ClaimOptions {
        ClaimOptions {
            take_over: self.take_over,
            beside: self.new_table,
            moving: false,
            lease: self.lease,
        }
    }
}
