//! `plan`: what an export would ask for, without one.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::args::PlanArgs;
use super::catalog::size;
use super::out;
use super::settings::Environment;
use super::signals::on_signal;
use super::span::{counted, long, short};
use super::timing::{self, Due};
use super::what::What;
use super::wrap::wrap;
use crate::error::{Error, Result};
use crate::plan::Trigger;
use crate::plan::forecast::Basis;
use crate::run::{ForecastReport, ForecastSettings, Stop, StreamForecast, forecast};
use crate::source::{Source, SourceSettings};
use crate::storage::{Destination, Storage};
use crate::stream::day_of;

/// Who plans wants to know within a minute whether Customer.io answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks how much there is and prints what an export would ask for.
///
/// # Errors
/// Input, before anything is sent; else what would end an export before it reads.
pub async fn run(args: Box<PlanArgs>) -> Result<u8> {
    let what = What::resolve(&args.what, &Environment::read()?, Timestamp::now())?;
    let full_sync = what.full_sync;
    let settings = ForecastSettings {
        now: what.now,
        jobs: what.jobs,
        rate: what.source.rate,
    };
    let source = Source::new(SourceSettings {
        patience: what.source.patience.min(PATIENCE),
        ..what.source
    })?;
    let stop = Stop::default();
    let _signals = AbortOnDropHandle::new(tokio::spawn(on_signal(stop.clone())));
    let Ok(report) = stop
        .race(look(settings, full_sync.as_ref(), &source, &what.destination))
        .await
    else {
        out::tell("interrupted; a plan leaves nothing behind\n");
        return Ok(130);
    };
    let report = report?;
    if args.json {
        let text = serde_json::to_string_pretty(&report);
        out::line(&text.map_err(|e| Error::internal("cannot write JSON").caused_by(e))?)?;
    } else {
        out::print(&text(&report))?;
    }
    Ok(report.exit_code)
}

async fn look(
    mut settings: ForecastSettings,
    full_sync: Option<&Trigger>,
    source: &Source,
    destination: &Destination,
) -> Result<ForecastReport> {
    let storage = Storage::open_if_there(destination).await?;
    let due = match full_sync {
        Some(full_sync) => timing::apply(full_sync, settings.now, &mut settings.jobs, storage.as_ref()).await?,
        None => Vec::new(),
    };
    let mut report = forecast(&settings, source, storage.as_ref()).await?;
    for Due { stream, why } in due {
        let of_it = report.streams.iter_mut().filter(|told| told.stream == stream);
        of_it.for_each(|told| told.notes.insert(0, why.clone()));
    }
    Ok(report)
}

/// A table, what there is to say about each stream, and the total.
fn text(report: &ForecastReport) -> String {
    let mut out = String::new();
    row(&mut out, "stream", ["pages", "reqs", "time", "rows", "bytes"], "basis");
    for stream in &report.streams {
        let time = match (stream.requests, stream.seconds) {
            (None, _) => "?".to_owned(),
            (_, None) => "-".to_owned(),
            (_, Some(seconds)) => short(seconds),
        };
        let cells = [
            &number(stream.pages),
            &number(stream.requests),
            &time,
            &number(stream.rows),
            &stream.bytes.map_or("?".to_owned(), size),
        ];
        row(&mut out, &stream.stream, cells.map(String::as_str), basis(stream));
    }
    for stream in &report.streams {
        about(&mut out, stream);
    }
    out.push('\n');
    wrap(&mut out, "", "  ", &total(report));
    out
}

fn row(out: &mut String, name: &str, cells: [&str; 5], basis: &str) {
    let [pages, requests, time, rows, bytes] = cells;
    let _ = writeln!(
        out,
        "{name:<29} {pages:>5} {requests:>6} {time:>7} {rows:>9} {bytes:>8}  {basis}"
    );
}

fn number(number: Option<u64>) -> String {
    number.map_or("?".to_owned(), |number| number.to_string())
}

fn basis(stream: &StreamForecast) -> &'static str {
    match stream.basis {
        _ if stream.error.is_some() => "-",
        Basis::Exact => "exact",
        Basis::Estimate => "estimate",
        Basis::History => "history",
        Basis::Unknown => "unknown",
    }
}

/// Where a stream is read, what is there already, and what else there is to know.
fn about(out: &mut String, stream: &StreamForecast) {
    let mut lines = Vec::new();
    let ends = stream.windows.iter().flatten();
    if let (Some(from), Some(to)) = (ends.clone().min(), ends.max()) {
        let messages = stream.messages.map_or(String::new(), |count| {
            format!("{} in ", counted(count, "transactional message"))
        });
        let windows = counted(stream.windows.len() as u64, "window");
        lines.push(format!("{messages}{windows}, {} to {}", day_of(*from), day_of(*to)));
        lines.push(covered(stream));
    }
    lines.extend(stream.notes.clone());
    lines.extend(stream.error.iter().map(|error| format!("cannot be read: {error}")));
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", stream.stream);
    for line in lines {
        wrap(out, "  ", "    ", &line);
    }
}

fn covered(stream: &StreamForecast) -> String {
    let covered: Vec<String> = stream
        .covered
        .iter()
        .map(|[from, to]| format!("{} to {}", day_of(*from), day_of(*to)))
        .collect();
    let unread = match stream.unread {
        0 => String::new(),
        count => format!(", {} unread in part of it", counted(count, "message")),
    };
    match covered.as_slice() {
        [] => "covered: nothing yet".to_owned(),
        covered => format!("covered: {}{unread}", covered.join(", ")),
    }
}

fn total(report: &ForecastReport) -> String {
    let requests = counted(report.requests, "request");
    let time = match report.seconds {
        None => format!("{requests}, as fast as they are answered"),
        Some(seconds) => format!(
            "{requests}, about {} at {} requests a second",
            long(seconds),
            report.rate
        ),
    };
    match report.unknown.as_slice() {
        [] => time,
        unknown => format!("{time}; not counted: {}", unknown.join(", ")),
    }
}
