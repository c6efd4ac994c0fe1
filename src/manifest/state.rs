//! The whole state of one table, as it is stored; `docs/format.md` describes every field.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Coverage;
use crate::storage::{Owner, RunId};
use crate::stream::{Catalog, ColumnRules, Stream};

/// How many finished runs a table remembers.
const RUNS_KEPT: usize = 30;

/// Everything known of one table. A version stores it whole, never a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableState {
    /// The stream whose rows the table holds.
    pub stream: String,
    /// The table's name, which is its folder.
    pub table: String,
    /// How the names of all tables of the same export begin; unknown for a table that format 1 has begun.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The table that this one gets its partitions from, as long as `rename` has not finished.
    #[serde(default)]
    pub moving_from: Option<String>,
    /// The table that this one gives its partitions to, as long as `rename` has not finished.
    #[serde(default)]
    pub moving_to: Option<String>,
    /// The name that the table has now. Nothing is left under this one; what is begun under it again goes on with its numbers, so that
    /// whoever slept since it was another table has lost.
    #[serde(default)]
    pub moved_to: Option<String>,
    /// The schema of the table's files.
    pub schema: SchemaRef,
    /// What of the rows may not stand in the table as it is served.
    #[serde(default)]
    pub columns: ColumnRules,
    /// What the user says the export is for.
    pub description: Option<String>,
    /// The mode of the last run that gave its claim back.
    pub sync: Option<SyncMode>,
    /// The idea of now of the last full-table run that was completed.
    #[serde(default)]
    pub full_synced: Option<Timestamp>,
    /// How far the stream was asked for and completely read; never moves back.
    pub mark: Option<Timestamp>,
    /// The earliest instant that was ever asked for.
    pub asked_since: Option<Timestamp>,
    /// The windows that are complete.
    pub coverage: Coverage,
    /// Every transactional message ever seen, in order of id.
    pub transactional_messages: Vec<KnownMessage>,
    /// What can no longer be read.
    pub gaps: Vec<Gap>,
    /// The stored partitions by their path inside the table's folder.
    pub partitions: BTreeMap<String, PartitionFile>,
    /// Paths inside the table's folder that are to be deleted, and are no longer among `partitions`.
    pub removing: Vec<String>,
    /// How far an unfinished incremental scan came.
    pub scan: Option<ScanProgress>,
    /// How far an unfinished full-table run came.
    pub full_table: Option<FullTable>,
    /// Fields that were not as documented.
    pub drift: Vec<DriftNote>,
    /// Rows set aside, over all runs.
    pub rejected: u64,
    /// How many rows lay set aside when this was written; more are those of a run that died before it could tell.
    pub rejected_kept: u64,
    /// Who may write; nobody when absent.
    pub claim: Option<Claim>,
    /// The last runs, the newest last.
    pub runs: Vec<RunRecord>,
}

impl TableState {
    /// A table that nothing was read into yet.
    pub fn new(stream: impl Into<String>, table: impl Into<String>, schema: SchemaRef) -> Self {
        Self {
            stream: stream.into(),
            table: table.into(),
            prefix: None,
            moving_from: None,
            moving_to: None,
            moved_to: None,
            schema,
            columns: ColumnRules::default(),
            description: None,
            sync: None,
            full_synced: None,
            mark: None,
            asked_since: None,
            coverage: Coverage::default(),
            transactional_messages: Vec::new(),
            gaps: Vec::new(),
            partitions: BTreeMap::new(),
            removing: Vec::new(),
            scan: None,
            full_table: None,
            drift: Vec::new(),
            rejected: 0,
            rejected_kept: 0,
            claim: None,
            runs: Vec::new(),
        }
    }

    /// The stream with the columns of this table: enough to read it. `None` when `catalog` knows no such stream, or no such columns.
    pub fn stream_of(&self, catalog: &Catalog) -> Option<Arc<Stream>> {
        let stream = catalog.get(&self.stream).ok()?;
        if self.columns.is_none() {
            return Some(stream);
        }
        stream.read_under(&self.columns).ok().map(Arc::new)
    }

    /// How many rows the stored partitions hold.
    pub fn rows(&self) -> u64 {
        self.partitions.values().map(|file| file.rows).sum()
    }

    /// Moves the mark forward; an earlier one is ignored.
    pub fn advance_mark(&mut self, to: Timestamp) {
        self.mark = self.mark.max(Some(to));
    }

    /// Enters a finished run and forgets the oldest beyond the last thirty.
    pub fn record(&mut self, run: RunRecord) {
        self.runs.push(run);
        let surplus = self.runs.len().saturating_sub(RUNS_KEPT);
        self.runs.drain(..surplus);
    }
}

/// Which schema a table's files have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaRef {
    /// The version of the stream's definition.
    pub version: u32,
    /// A digest of the columns; tells two definitions of the same version apart.
    pub fingerprint: String,
}

/// What a run does with rows that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncMode {
    /// Upserts what is new or changed; removes nothing.
    Incremental,
    /// Makes the table what the API serves now.
    FullTable,
}

impl fmt::Display for SyncMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incremental => "incremental",
            Self::FullTable => "full-table",
        })
    }
}

/// A transactional message that was listed at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownMessage {
    /// Its id.
    pub id: i64,
    /// It is no longer listed and answered 404; this was told once.
    pub gone: bool,
}

/// A window that can no longer be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
    /// Why, for a person.
    pub reason: String,
}

/// One stored partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionFile {
    /// How many rows it holds.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// What the store called it when it was put; differs after a lake was copied.
    pub etag: Option<String>,
    /// The version of the schema it was written with.
    pub schema: u32,
    /// The time of its earliest row.
    pub least_time: Option<Timestamp>,
    /// The time of its latest row.
    pub greatest_time: Option<Timestamp>,
    /// The least key of its rows, as text.
    pub least_key: Option<String>,
    /// The greatest key of its rows, as text.
    pub greatest_key: Option<String>,
}

/// How far a scan from the newest row backwards came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanProgress {
    /// When the scan began: the mark once it is complete.
    pub upper: Timestamp,
    /// Where it ends; absent when it reads everything that is served.
    pub lower: Option<Timestamp>,
    /// Every row down to this instant was read.
    pub reached: Timestamp,
    /// The vendor's token of the next page; a hint that may be refused.
    pub cursor: Option<String>,
    /// The idea of now of the last run that went on with it and has read all that was new; `upper` where none has.
    pub topped: Option<Timestamp>,
}

/// An unfinished full-table run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullTable {
    /// The idea of now of the run that began it: after seven days it is begun anew.
    pub now: Timestamp,
    /// The start of the range; absent for everything that is served.
    pub from: Option<Timestamp>,
    /// The end of the range.
    pub to: Option<Timestamp>,
    /// The windows that it has read completely.
    pub done: Coverage,
    /// How far its scan came.
    pub scan: Option<ScanProgress>,
    /// By partition the keys that it met so far.
    pub met: BTreeMap<String, Vec<String>>,
    /// By partition the keys that are proved to be served no more; they are removed when the run completes.
    pub candidates: BTreeMap<String, Vec<String>>,
    /// How many rows it has fetched.
    pub fetched: u64,
    /// How many rows it has set aside: with any, what was not fetched may still be served.
    pub rejected: u64,
    /// How many rows the table held when it began.
    pub stored: u64,
}

impl FullTable {
    /// A full-table run over a table of `stored` rows that has read nothing yet.
    pub fn begin(now: Timestamp, from: Option<Timestamp>, to: Option<Timestamp>, stored: u64) -> Self {
        Self {
            now,
            from,
            to,
            done: Coverage::default(),
            scan: None,
            met: BTreeMap::new(),
            candidates: BTreeMap::new(),
            fetched: 0,
            rejected: 0,
            stored,
        }
    }
}

/// A kind of deviation from the documented fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftNote {
    /// The field, with dots between levels.
    pub path: String,
    /// What was wrong with it.
    pub kind: String,
    /// How many rows showed it, over all runs.
    pub count: u64,
    /// When it was seen first.
    pub first_seen: Timestamp,
}

/// Who may write, and until when if nothing more is heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Its process.
    pub owner: Owner,
    /// On the real clock.
    pub until: Timestamp,
}

/// What a run did with the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// When it began, on the real clock.
    pub started: Timestamp,
    /// When it ended, on the real clock.
    pub ended: Timestamp,
    /// Its mode.
    pub sync: SyncMode,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent again.
    pub retries: u64,
    /// What became of the rows.
    pub rows: RowCounts,
    /// `complete`, `gaps`, `failed`, `forbidden`, `stopped` or `held`.
    pub outcome: String,
}

impl RunRecord {
    /// Whether everything that it could read was committed.
    pub fn ended_well(&self) -> bool {
        matches!(self.outcome.as_str(), "complete" | "gaps")
    }
}

/// What became of the rows of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCounts {
    /// Read from the API.
    pub fetched: u64,
    /// With a key that was not stored.
    pub new: u64,
    /// With a key that was stored with other values.
    pub changed: u64,
    /// Stored already as they are.
    pub unchanged: u64,
    /// Taken out of the table.
    pub removed: u64,
    /// Set aside.
    pub rejected: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_never_moves_back() {
        let mut state = TableState::new(
            "s",
            "t",
            SchemaRef {
                version: 1,
                fingerprint: "f".into(),
            },
        );
        for second in [10, 5, 20] {
            state.advance_mark(Timestamp::from_second(second).unwrap());
        }
        assert_eq!(state.mark, Timestamp::from_second(20).ok());
    }

    #[test]
    fn the_last_thirty_runs_are_kept() {
        let mut state = TableState::new(
            "s",
            "t",
            SchemaRef {
                version: 1,
                fingerprint: "f".into(),
            },
        );
        for number in 0..31 {
            state.record(RunRecord {
                run: format!("r{number}").parse().unwrap(),
                started: Timestamp::UNIX_EPOCH,
                ended: Timestamp::UNIX_EPOCH,
                sync: SyncMode::Incremental,
                requests: 0,
                retries: 0,
                rows: RowCounts::default(),
                outcome: "complete".into(),
            });
        }
        assert_eq!(state.runs.len(), 30);
        assert_eq!(state.runs[0].run.as_str(), "r1");
    }

    #[test]
    fn sync_modes_are_stored_as_they_are_shown() {
        for mode in [SyncMode::Incremental, SyncMode::FullTable] {
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{mode}\""));
        }
    }
}
