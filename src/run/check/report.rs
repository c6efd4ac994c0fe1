//! What a check found, under names that stay, and which exit code follows from it.

use std::time::Duration;

use serde::Serialize;

use super::api::Found;
use crate::error::{Error, ErrorKind};
use crate::storage::{ProbeReport, Probed, Verdict};

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An operation of the store.
    Storage,
    /// The key or its region.
    Api,
    /// The right to a stream.
    Stream,
    /// What the manifest says of a table.
    Table,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As a run needs it.
    Ok,
    /// A run gets along all the same.
    Warning,
    /// A run does not get along.
    Failed,
    /// The key lacks the right to the stream.
    Forbidden,
    /// Not tried.
    Skipped,
}

/// One thing that was checked.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What it is about.
    pub subject: Subject,
    /// Which operation, `key` or `region`, which stream, or `table` with its name; each stands for one check.
    pub name: String,
    /// How it ended.
    pub status: CheckStatus,
    /// How long it took, in milliseconds; `None` when it was not tried.
    pub ms: Option<u64>,
    /// What is wrong and what to do about it; for a person.
    pub detail: Option<String>,
    /// In the words of a person.
    #[serde(skip)]
    pub title: String,
    /// Who has to act, for what failed.
    #[serde(skip)]
    pub kind: Option<ErrorKind>,
}

/// Everything that was checked.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// The process exit code.
    pub exit_code: u8,
    /// The lake.
    pub to: String,
    /// The address of Customer.io that was asked; `None` when none answered.
    pub api_url: Option<String>,
    /// `us` or `eu`; `None` for another address, or when none answered.
    pub region: Option<String>,
    /// The checks: storage, key and region, streams, tables.
    pub checks: Vec<Check>,
    /// What could not be removed from the lake again.
    pub left: Vec<String>,
}

impl CheckReport {
    pub(super) fn of(to: &str, stored: ProbeReport, api: Found, tables: Vec<Check>, interrupted: bool) -> Self {
        let mut checks: Vec<Check> = stored.operations.into_iter().map(Check::from).collect();
        checks.extend(api.checks);
        checks.extend(tables);
        Self {
            exit_code: exit_code(&checks, interrupted),
            to: to.to_owned(),
            api_url: api.url,
            region: api.region.map(|region| region.to_string()),
            checks,
            left: stored.left,
        }
    }
}

impl Check {
    pub(super) fn new(subject: Subject, name: &str, status: CheckStatus) -> Self {
        Self {
            subject,
            name: name.to_owned(),
            status,
            ms: None,
            detail: None,
            title: name.to_owned(),
            kind: None,
        }
    }

    /// What did not go well because of `error`.
    pub(super) fn failed(subject: Subject, name: &str, error: &Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Forbidden => CheckStatus::Forbidden,
            _ => CheckStatus::Failed,
        };
        Self {
            kind: Some(error.kind()),
            ..Self::new(subject, name, status).saying(error.chain())
        }
    }

    pub(super) fn saying(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    pub(super) fn taking(self, took: Option<Duration>) -> Self {
        let ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        Self { ms, ..self }
    }
}

impl From<Probed> for Check {
    fn from(probed: Probed) -> Self {
        let (status, detail) = match probed.verdict {
            Verdict::Good => (CheckStatus::Ok, None),
            Verdict::Warning(text) => (CheckStatus::Warning, Some(text)),
            Verdict::Failed(text) => (CheckStatus::Failed, Some(text)),
            Verdict::Skipped(text) => (CheckStatus::Skipped, Some(text)),
        };
        Self {
            detail,
            title: probed.operation.text().to_owned(),
            kind: (status == CheckStatus::Failed).then_some(ErrorKind::Storage),
            ..Self::new(Subject::Storage, probed.operation.name(), status).taking(probed.took)
        }
    }
}

/// The first that holds of: a table is not one for its stream, key refused, interrupted, storage failed or a table cannot be read, no
/// stream readable, some stream not readable, everything works.
fn exit_code(checks: &[Check], interrupted: bool) -> u8 {
    let kind = |kind: ErrorKind| checks.iter().any(|check| check.kind == Some(kind));
    let stream = |status: CheckStatus| {
        let mut streams = checks.iter().filter(|check| check.subject == Subject::Stream);
        streams.any(|check| check.status == status)
    };
    let readable = stream(CheckStatus::Ok) || stream(CheckStatus::Warning);
    if let Some(end) = [ErrorKind::Input, ErrorKind::Key].into_iter().find(|end| kind(*end)) {
        return end.exit_code();
    }
    if interrupted {
        return 130;
    }
    let ends = [ErrorKind::Storage, ErrorKind::Api, ErrorKind::Internal];
    for end in ends {
        if kind(end) && (end == ErrorKind::Storage || !readable) {
            return end.exit_code();
        }
    }
    match (stream(CheckStatus::Forbidden), readable) {
        (true, false) => ErrorKind::Forbidden.exit_code(),
        (true, true) => 8,
        (false, _) if stream(CheckStatus::Failed) => 8,
        (false, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_holds_decides() {
        let good = Check::new(Subject::Stream, "s", CheckStatus::Ok);
        let nobody = Check::new(Subject::Stream, "s", CheckStatus::Skipped);
        let failed = |subject, kind| Check::failed(subject, "x", &Error::new(kind, "y"));
        let key = failed(Subject::Api, ErrorKind::Key);
        let api = failed(Subject::Stream, ErrorKind::Api);
        let disk = failed(Subject::Storage, ErrorKind::Storage);
        let forbidden = failed(Subject::Stream, ErrorKind::Forbidden);
        let other = failed(Subject::Table, ErrorKind::Input);
        let damaged = failed(Subject::Table, ErrorKind::Storage);
        let code = |checks: &[&Check], interrupted| {
            let checks: Vec<Check> = checks.iter().map(|check| (*check).clone()).collect();
            exit_code(&checks, interrupted)
        };
        assert_eq!(code(&[&good, &nobody], false), 0);
        assert_eq!(code(&[&disk, &key], true), 3);
        assert_eq!(code(&[&other, &key, &damaged], true), 2);
        assert_eq!(code(&[&damaged, &good], false), 6);
        assert_eq!(code(&[&disk, &good], true), 130);
        assert_eq!(code(&[&good, &api, &disk], false), 6);
        assert_eq!(code(&[&forbidden, &api], false), 5);
        assert_eq!(code(&[&forbidden, &nobody], false), 4);
        assert_eq!(code(&[&forbidden, &good], false), 8);
        assert_eq!(code(&[&api, &good], false), 8);
    }
}
