//! What a run would ask for, as `plan --json` prints it.

use jiff::Timestamp;
use serde::Serialize;

use super::ForecastSettings;
use crate::error::Error;
use crate::manifest::{SyncMode, TableState};
use crate::plan::forecast::{Basis, Forecast};
use crate::run::Job;

/// What is foretold of one stream; `None` where that cannot be known.
#[derive(Debug, Clone, Serialize)]
pub struct StreamForecast {
    /// The stream's name.
    pub stream: String,
    /// The table it is exported into.
    pub table: String,
    /// The sync mode.
    pub sync: SyncMode,
    /// What the numbers rest on.
    pub basis: Basis,
    /// The intervals that are read, where there are such.
    pub windows: Vec<[Timestamp; 2]>,
    /// How many transactional messages are asked.
    pub messages: Option<u64>,
    /// Pages of rows.
    pub pages: Option<u64>,
    /// Requests, with the first one that finds out about the right to the stream.
    pub requests: Option<u64>,
    /// How long they take if nothing else is asked; `None` also without a limit.
    pub seconds: Option<f64>,
    /// Rows that are read.
    pub rows: Option<u64>,
    /// How many of them are not stored yet.
    pub new: Option<u64>,
    /// What those take in data files.
    pub bytes: Option<u64>,
    /// What is complete already.
    pub covered: Vec<[Timestamp; 2]>,
    /// How many transactional messages could not be read in a part of that.
    pub unread: u64,
    /// What else a person should know.
    pub notes: Vec<String>,
    /// Why the stream cannot be read.
    pub error: Option<String>,
}

/// What is foretold of a run.
#[derive(Debug, Clone, Serialize)]
pub struct ForecastReport {
    /// The process exit code.
    pub exit_code: u8,
    /// The run's idea of now.
    pub now: Timestamp,
    /// Requests a second; 0 is unlimited.
    pub rate: f64,
    /// One entry a stream, in the order asked for.
    pub streams: Vec<StreamForecast>,
    /// The requests of all streams whose number is known.
    pub requests: u64,
    /// How long they take: one limiter lets all of them through. `None` without a limit.
    pub seconds: Option<f64>,
    /// The streams that are not counted in either.
    pub unknown: Vec<String>,
}

impl StreamForecast {
    pub(super) fn of(job: &Job, outcome: Result<Forecast, Error>, state: Option<&TableState>, rate: f64) -> Self {
        let error = outcome.as_ref().err().map(Error::chain);
        let forecast = outcome.unwrap_or_else(|_| Forecast::unknown("cannot be read"));
        let claim = state.and_then(|state| state.claim.as_ref());
        let held = claim.map(|claim| {
            let (run, host) = (&claim.run, &claim.owner.host);
            format!("run {run} on {host} holds the table; what it has not entered yet counts as not read")
        });
        let covered = state.map_or(&[][..], |state| state.coverage.windows());
        let mut unread: Vec<i64> = covered.iter().flat_map(|covered| covered.unread.clone()).collect();
        unread.sort_unstable();
        unread.dedup();
        Self {
            stream: job.stream.stream.clone(),
            table: job.table.clone(),
            sync: job.sync,
            basis: forecast.basis,
            windows: forecast.windows.iter().map(|window| [window.from, window.to]).collect(),
            messages: forecast.messages,
            pages: forecast.pages,
            requests: forecast.requests,
            seconds: forecast.requests.and_then(|requests| seconds(requests, rate)),
            rows: forecast.rows,
            new: forecast.new,
            bytes: forecast.new.map(|new| bytes(new, job, state)),
            covered: joined(covered.iter().map(|covered| [covered.from, covered.to])),
            unread: unread.len() as u64,
            notes: if error.is_some() {
                Vec::new()
            } else {
                forecast.notes.into_iter().chain(held).collect()
            },
            error,
        }
    }
}

impl ForecastReport {
    pub(super) fn of(settings: &ForecastSettings, streams: Vec<StreamForecast>) -> Self {
        let requests = streams.iter().filter_map(|stream| stream.requests).sum();
        let unknown = streams.iter().filter(|stream| stream.requests.is_none());
        Self {
            exit_code: if streams.iter().any(|stream| stream.error.is_some()) {
                8
            } else {
                0
            },
            now: settings.now,
            rate: settings.rate,
            requests,
            seconds: seconds(requests, settings.rate),
            unknown: unknown.map(|stream| stream.stream.clone()).collect(),
            streams,
        }
    }
}

/// How long `requests` take at the limit, to the tenth of a second.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds(requests: u64, rate: f64) -> Option<f64> {
    (rate > 0.0).then(|| (requests as f64 / rate * 10.0).round() / 10.0)
}

/// What `rows` take at the size of those that are stored, or at what is typical of the stream.
fn bytes(rows: u64, job: &Job, state: Option<&TableState>) -> u64 {
    let stored = state.map_or(0, TableState::rows);
    let typical = rows.saturating_mul(job.stream.row_bytes);
    let size = state.map_or(0, |state| state.partitions.values().map(|file| file.bytes).sum::<u64>());
    let alike = u128::from(rows) * u128::from(size);
    let alike = alike
        .checked_div(u128::from(stored))
        .and_then(|bytes| u64::try_from(bytes).ok());
    alike.unwrap_or(typical)
}

/// Intervals in order of time, with those that meet made one.
fn joined(windows: impl Iterator<Item = [Timestamp; 2]>) -> Vec<[Timestamp; 2]> {
    let mut out: Vec<[Timestamp; 2]> = Vec::new();
    for [from, to] in windows {
        match out.last_mut() {
            Some([_, end]) if *end == from => *end = to,
            _ => out.push([from, to]),
        }
    }
    out
}
