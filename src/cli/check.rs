//! `check`: whether an export would get along, without one.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::args::CheckArgs;
use super::settings::Environment;
use super::signals::on_signal;
use super::what::streams;
use super::{out, place};
use crate::error::{Error, Result};
use crate::run::{Access, Check, CheckReport, CheckSettings, CheckStatus, Stop, Subject, check};
use crate::source::{Base, Source, SourceSettings};
use crate::storage::{Destination, Owner, RunId};
use crate::stream::Catalog;

/// Who checks wants to know whether it works now.
const PATIENCE: Duration = Duration::from_secs(15);

/// The same for the store, of which more is asked.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// As many as the API allows, which a handful of requests never reaches.
const RATE: f64 = 10.0;

/// Checks both ends and prints what was found.
///
/// # Errors
/// Input, before anything is sent.
pub async fn run(args: CheckArgs) -> Result<u8> {
    let config = args.place.config.read()?;
    let access = access(args.access.source(&config, &Environment::read()?, RATE)?)?;
    let settings = CheckSettings {
        run: uuid::Uuid::now_v7().to_string().parse::<RunId>()?,
        owner: Owner::current(),
        destination: Destination {
            patience: STORE_PATIENCE,
            ..place::destination(args.place.to.as_deref(), &config)?
        },
        streams: streams(&args.streams, &config, &Catalog::load()?)?,
        clock: Timestamp::now,
    };
    let stop = Stop::default();
    let signals = AbortOnDropHandle::new(tokio::spawn(on_signal(stop.clone())));
    let report = check(&settings, &access, &stop).await?;
    drop(signals);
    if args.json {
        let text = serde_json::to_string_pretty(&report);
        out::line(&text.map_err(|e| Error::internal("cannot write JSON").caused_by(e))?)?;
    } else {
        out::print(&text(&report))?;
    }
    Ok(report.exit_code)
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

/// A table, then a line for each thing that does not work.
fn text(report: &CheckReport) -> String {
    let mut out = String::new();
    heading(&mut out, &format!("the lake: {}", report.to));
    rows(&mut out, report, |subject| subject == Subject::Storage);
    out.push('\n');
    let region = report
        .region
        .as_ref()
        .map_or(String::new(), |region| format!(" ({region})"));
    let url = report.api_url.as_deref().unwrap_or("not reached");
    heading(&mut out, &format!("Customer.io: {url}{region}"));
    rows(&mut out, report, |subject| subject != Subject::Storage);
    out.push('\n');
    for check in &report.checks {
        if let (CheckStatus::Warning | CheckStatus::Failed | CheckStatus::Forbidden, Some(detail)) =
            (check.status, &check.detail)
        {
            let _ = writeln!(out, "{}: {}: {detail}", word(check.status), check.title);
        }
    }
    for path in &report.left {
        let _ = writeln!(out, "left behind, delete it by hand: {path}");
    }
    let _ = writeln!(out, "{} (exit code {})", ending(report), report.exit_code);
    out
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
    match report.exit_code {
        0 if report.checks.iter().any(|check| check.status == CheckStatus::Warning) => "an export works, with warnings",
        0 => "an export works",
        3 => "the key was refused",
        4 => "the key has no right to any of these streams",
        5 => "Customer.io could not be read",
        6 => "the lake's store does not do what an export needs",
        8 => "an export works for some of these streams",
        130 => "interrupted",
        _ => "an unexpected error",
    }
}
