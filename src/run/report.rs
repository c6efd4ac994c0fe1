//! What a run did, as `--report json` prints it.

use jiff::Timestamp;
use serde::Serialize;

use super::stop::StopReason;
use crate::error::{Error, ErrorKind};
use crate::manifest::{RowCounts, SyncMode};
use crate::storage::RunId;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything asked for was read and committed.
    Complete,
    /// Committed, but rows were newly set aside or something could not be read.
    Gaps,
    /// Ended by an error; what was committed before stays.
    Failed,
    /// The key lacks the right.
    Forbidden,
    /// Interrupted or out of time; the same command goes on.
    Stopped,
    /// Another run holds, or took, the table.
    Held,
}

impl Status {
    /// The word used in reports and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Gaps => "gaps",
            Self::Failed => "failed",
            Self::Forbidden => "forbidden",
            Self::Stopped => "stopped",
            Self::Held => "held",
        }
    }
}

/// A field that the schema does not know, or a value that did not fit.
#[derive(Debug, Clone, Serialize)]
pub struct DriftCount {
    /// The field, with dots between levels.
    pub path: String,
    /// `unknown_field` or `misfit`.
    pub kind: String,
    /// Rows it was seen in during this run.
    pub count: u64,
    /// The run's idea of now when it was seen for the first time in this table.
    pub first_seen: Timestamp,
}

/// Rows that could not stand in the table and are kept beside it.
#[derive(Debug, Clone, Serialize)]
pub struct SetAside {
    /// Not told of by an earlier run.
    pub new: u64,
    /// Over all runs.
    pub total: u64,
    /// The folder of the lake that holds them.
    pub folder: String,
}

/// What became of one stream.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// The stream's name.
    pub stream: String,
    /// The table it is exported into.
    pub table: String,
    /// The sync mode.
    pub sync: SyncMode,
    /// How it ended.
    pub status: Status,
    /// Rows by what became of them.
    pub rows: RowCounts,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests that were repeats.
    pub retries: u64,
    /// How far the stream is completely exported.
    pub mark: Option<Timestamp>,
    /// The windows that are complete.
    pub coverage: Vec<[Timestamp; 2]>,
    /// What the schema does not know.
    pub drift: Vec<DriftCount>,
    /// Rows that are kept beside the table.
    pub set_aside: SetAside,
    /// Why it did not complete.
    pub error: Option<String>,
    /// Who has to act on `error`.
    #[serde(skip)]
    pub kind: Option<ErrorKind>,
    /// Whether a version with data or coverage of this run is known to stand in the manifest.
    pub committed: bool,
}

/// What became of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The run's id.
    pub run: RunId,
    /// The process exit code.
    pub exit_code: u8,
    /// The run's idea of now.
    pub now: Timestamp,
    /// One entry a stream, in the order asked for.
    pub streams: Vec<StreamReport>,
    /// Why the run ended before any table was touched, in one sentence for all streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RunReport {
    /// The report of a run that ended before any stream could be read.
    pub fn ended_early(run: RunId, now: Timestamp, streams: Vec<StreamReport>, error: &Error) -> Self {
        Self {
            run,
            exit_code: error.kind().exit_code(),
            now,
            streams,
            error: Some(error.chain()),
        }
    }

    /// The report of a run that was stopped before any stream could be begun.
    pub fn stopped_early(run: RunId, now: Timestamp, stop: Option<StopReason>) -> Self {
        Self {
            run,
            exit_code: stopped(stop),
            now,
            streams: Vec::new(),
            error: Some("it was stopped before the lake could be opened".to_owned()),
        }
    }

    /// The report of a run whose streams all ended one way or another.
    pub fn of(run: RunId, now: Timestamp, streams: Vec<StreamReport>, stop: Option<StopReason>) -> Self {
        let exit_code = exit_code(&streams, stop);
        Self {
            run,
            exit_code,
            now,
            streams,
            error: None,
        }
    }
}

/// The first that holds of: interrupted, out of time, failed with nothing committed, forbidden, gaps, complete.
fn exit_code(streams: &[StreamReport], stop: Option<StopReason>) -> u8 {
    let any = |status: Status| streams.iter().any(|stream| stream.status == status);
    let kinds = |kind: ErrorKind| streams.iter().any(|stream| stream.kind == Some(kind));
    let committed = streams.iter().any(|stream| stream.committed);
    if kinds(ErrorKind::Key) {
        return ErrorKind::Key.exit_code();
    }
    if any(Status::Held) {
        return ErrorKind::Held.exit_code();
    }
    if any(Status::Stopped) {
        return stopped(stop);
    }
    if any(Status::Failed) && !committed {
        let order = [ErrorKind::Storage, ErrorKind::Api, ErrorKind::Internal];
        let first = order.into_iter().find(|kind| kinds(*kind));
        return first.unwrap_or(ErrorKind::Internal).exit_code();
    }
    if !streams.is_empty() && streams.iter().all(|stream| stream.status == Status::Forbidden) {
        return ErrorKind::Forbidden.exit_code();
    }
    if streams.iter().any(|stream| stream.status != Status::Complete) {
        return 8;
    }
    0
}

fn stopped(stop: Option<StopReason>) -> u8 {
    match stop {
        Some(StopReason::OutOfTime) => 9,
        _ => 130,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(status: Status, kind: Option<ErrorKind>, committed: bool) -> StreamReport {
        StreamReport {
            stream: "s".into(),
            table: "s".into(),
            sync: SyncMode::Incremental,
            status,
            rows: RowCounts::default(),
            requests: 0,
            retries: 0,
            mark: None,
            coverage: Vec::new(),
            drift: Vec::new(),
            set_aside: SetAside {
                new: 0,
                total: 0,
                folder: String::new(),
            },
            error: None,
            kind,
            committed,
        }
    }

    #[test]
    fn the_first_that_holds_decides() {
        let done = stream(Status::Complete, None, true);
        let gaps = stream(Status::Gaps, None, true);
        let api = stream(Status::Failed, Some(ErrorKind::Api), false);
        let disk = stream(Status::Failed, Some(ErrorKind::Storage), false);
        let forbidden = stream(Status::Forbidden, Some(ErrorKind::Forbidden), false);
        let stopped = stream(Status::Stopped, None, true);
        let held = stream(Status::Held, Some(ErrorKind::Held), false);
        let key = stream(Status::Failed, Some(ErrorKind::Key), false);
        let code = |streams: &[&StreamReport], stop| {
            exit_code(&streams.iter().map(|s| (*s).clone()).collect::<Vec<_>>(), stop)
        };
        assert_eq!(code(&[&done], None), 0);
        assert_eq!(code(&[&done, &gaps], None), 8);
        assert_eq!(code(&[&done, &api], None), 8);
        assert_eq!(code(&[&forbidden, &api], None), 5);
        assert_eq!(code(&[&disk, &api], None), 6);
        assert_eq!(code(&[&forbidden, &forbidden], None), 4);
        assert_eq!(code(&[&forbidden, &done], None), 8);
        assert_eq!(code(&[&done, &stopped], Some(StopReason::OutOfTime)), 9);
        assert_eq!(code(&[&api, &stopped], Some(StopReason::Interrupted)), 130);
        assert_eq!(code(&[&held, &stopped], Some(StopReason::Interrupted)), 7);
        assert_eq!(code(&[&done, &key, &stopped], Some(StopReason::OutOfTime)), 3);
    }
}
