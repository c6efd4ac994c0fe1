//! `check`: whether an export would get along, without one.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::access::PaceArgs;
use super::args::CheckArgs;
use super::out;
use super::settings::Environment;
use super::signals::on_signal;
use super::what::{What, WhatArgs};
use crate::error::{Error, Result};
use crate::run::{Access, Check, CheckReport, CheckSettings, CheckStatus, Stop, Subject, check};
use crate::source::{Base, Source, SourceSettings};
use crate::storage::{Destination, Owner, RunId};

/// Who checks wants to know whether it works now.
const PATIENCE: Duration = Duration::from_secs(15);

/// The same for the store, of which more is asked.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// As many as the API allows, which a handful of requests never reaches.
const RATE: &str = "10";

/// Checks both ends and prints what was found.
///
/// # Errors
/// Input, before anything is sent.
pub async fn run(args: CheckArgs) -> Result<u8> {
    let json = args.json;
    let what = What::resolve(&about(args), &Environment::read()?, Timestamp::now())?;
    let access = access(what.source)?;
    let settings = CheckSettings {
        run: uuid::Uuid::now_v7().to_string().parse::<RunId>()?,
        owner: Owner::current(),
        destination: Destination {
            patience: STORE_PATIENCE,
            ..what.destination
        },
        tables: what.jobs.iter().map(|job| job.initial(None)).collect(),
        streams: what.jobs.iter().map(|job| Arc::clone(&job.stream)).collect(),
        clock: Timestamp::now,
    };
    let stop = Stop::default();
    let signals = AbortOnDropHandle::new(tokio::spawn(on_signal(stop.clone())));
    let report = check(&settings, &access, &stop).await?;
    drop(signals);
    if json {
        let text = serde_json::to_string_pretty(&report);
        out::line(&text.map_err(|e| Error::internal("cannot write JSON").caused_by(e))?)?;
    } else {
        out::print(&text(&report))?;
    }
    Ok(report.exit_code)
}

/// What a run with the same flags would be about.
fn about(args: CheckArgs) -> WhatArgs {
    WhatArgs {
        streams: args.streams,
        to: args.place.to,
        config: args.place.config,
        access: args.access,
        pace: PaceArgs { rate: RATE.to_owned() },
        prefix: args.prefix,
        table: args.table,
        ..WhatArgs::default()
    }
}

fn access(settings: SourceSettings) -> Result<Access> {
    let settings = SourceSettings {
        patience: settings.patience.min(PATIENCE),
        ..settings
    };
    let other = match settings.base {
        Base::Region(region) => Some(region.other()),
        Base::Url(_) | Base::Probe => None,
    };
    let other = other.map(|region| {
        let base = Base::Region(region);
        let settings = settings.clone();
        Ok::<_, Error>((region, Source::new(SourceSettings { base, ..settings })?))
    });
    Ok(Access {
        other: other.transpose()?,
        source: Source::new(settings)?,
    })
}

/// A table, then a line for each thing that does not work, and for all of which the same is said.
fn text(report: &CheckReport) -> String {
    let mut out = String::new();
    heading(&mut out, &format!("the lake: {}", report.to));
    rows(&mut out, report, of_lake);
    out.push('\n');
    let region = report
        .region
        .as_ref()
        .map_or(String::new(), |region| format!(" ({region})"));
    let url = report.api_url.as_deref().unwrap_or("not reached");
    heading(&mut out, &format!("Customer.io: {url}{region}"));
    rows(&mut out, report, |subject| !of_lake(subject));
    out.push('\n');
    for (status, titles, detail) in troubles(report) {
        let _ = writeln!(out, "{}: {}: {detail}", word(status), titles.join(", "));
    }
    for path in &report.left {
        let _ = writeln!(out, "left behind, delete it by hand: {path}");
    }
    let _ = writeln!(out, "{} (exit code {})", ending(report), report.exit_code);
    out
}

fn troubles(report: &CheckReport) -> Vec<(CheckStatus, Vec<&str>, &str)> {
    let mut found: Vec<(CheckStatus, Vec<&str>, &str)> = Vec::new();
    for check in &report.checks {
        let (CheckStatus::Warning | CheckStatus::Failed | CheckStatus::Forbidden, Some(detail)) =
            (check.status, &check.detail)
        else {
            continue;
        };
        match found.iter_mut().find(|(.., told)| told == detail) {
            Some((_, titles, _)) => titles.push(&check.title),
            None => found.push((check.status, vec![&check.title], detail)),
        }
    }
    found
}

/// What stands over a table; where it is too long the times begin in the next line.
fn heading(out: &mut String, title: &str) {
    if title.chars().count() > 50 {
        let _ = writeln!(out, "{title}");
        let _ = writeln!(out, "{:<50}{:<12}{:>8}", "", "", "ms");
    } else {
        let _ = writeln!(out, "{title:<50}{:<12}{:>8}", "", "ms");
    }
}

fn rows(out: &mut String, report: &CheckReport, wanted: impl Fn(Subject) -> bool) {
    for check in report.checks.iter().filter(|check| wanted(check.subject)) {
        let _ = writeln!(
            out,
            "  {:<48}{:<12}{:>8}",
            check.title,
            word(check.status),
            aside(check)
        );
    }
}

fn of_lake(subject: Subject) -> bool {
    matches!(subject, Subject::Storage | Subject::Table)
}

fn aside(check: &Check) -> String {
    check.ms.map_or(String::new(), |ms| ms.to_string())
}

fn word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warning => "warning",
        CheckStatus::Failed => "failed",
        CheckStatus::Forbidden => "forbidden",
        CheckStatus::Skipped => "not tried",
    }
}

fn ending(report: &CheckReport) -> &'static str {
    let refused = |check: &Check| check.subject == Subject::Table && check.status == CheckStatus::Failed;
    let store = |check: &Check| check.subject == Subject::Storage && check.status == CheckStatus::Failed;
    match report.exit_code {
        0 if report.checks.iter().any(|check| check.status == CheckStatus::Warning) => "an export works, with warnings",
        0 => "an export works",
        2 => "a table of the lake is not one for its stream",
        3 => "the key was refused",
        4 => "the key has no right to any of these streams",
        5 => "Customer.io could not be read",
        6 if report.checks.iter().any(refused) && !report.checks.iter().any(store) => {
            "the manifest of a table cannot be read"
        }
        6 => "the lake's store does not do what an export needs",
        8 => "an export works for some of these streams",
        130 => "interrupted",
        _ => "an unexpected error",
    }
}
