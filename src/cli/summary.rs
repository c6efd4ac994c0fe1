//! The end of a run: a table 80 columns wide, or an event.

use std::fmt::Write;
use std::time::Duration;

use super::span;
use super::wrap::WIDTH;
use crate::run::{RunReport, StreamReport};

/// One line a stream, then what went wrong, which run it was, and how it ended.
pub fn table(report: &RunReport, took: Duration) -> String {
    let mut out = format!(
        "\n{:<29} {:>8} {:>8} {:>7} {:>7} {:>5}  {}\n",
        "stream", "fetched", "new", "changed", "removed", "reqs", "status"
    );
    for stream in &report.streams {
        let rows = &stream.rows;
        let _ = writeln!(
            out,
            "{:<29} {:>8} {:>8} {:>7} {:>7} {:>5}  {}",
            stream.stream,
            rows.fetched,
            rows.new,
            rows.changed,
            rows.removed,
            stream.requests,
            stream.status.name()
        );
    }
    drift(&mut out, &report.streams);
    for (stream, error) in report
        .streams
        .iter()
        .filter_map(|stream| Some((&stream.stream, stream.error.as_ref()?)))
    {
        let _ = writeln!(out, "\n{stream}: {error}");
    }
    let _ = writeln!(out, "\nrun {} took {}", report.run, span::long(took.as_secs_f64()));
    let _ = writeln!(out, "{} (exit code {})", ending(report.exit_code), report.exit_code);
    out
}

/// The same as the event `summary`; each stream was told by its own event.
pub fn log(report: &RunReport, took: Duration) {
    let sum = |count: fn(&StreamReport) -> u64| report.streams.iter().map(count).sum::<u64>();
    tracing::info!(
        name: "summary",
        exit_code = report.exit_code,
        seconds = took.as_secs_f64(),
        streams = report.streams.len(),
        fetched = sum(|stream| stream.rows.fetched),
        new = sum(|stream| stream.rows.new),
        changed = sum(|stream| stream.rows.changed),
        unchanged = sum(|stream| stream.rows.unchanged),
        removed = sum(|stream| stream.rows.removed),
        rejected = sum(|stream| stream.rows.rejected),
        requests = sum(|stream| stream.requests),
        retries = sum(|stream| stream.retries),
        message = ending(report.exit_code)
    );
}

/// The fields that went into `_extra`, as many as fit on a line each.
fn drift(out: &mut String, streams: &[StreamReport]) {
    let drifted: Vec<&StreamReport> = streams.iter().filter(|stream| !stream.drift.is_empty()).collect();
    if drifted.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nunknown or odd fields, kept in _extra:");
    let mut cut = false;
    for stream in drifted {
        let mut line = format!("  {:<30} ", stream.stream);
        let mut left = stream.drift.len();
        for field in &stream.drift {
            let between = if line.ends_with(' ') { "" } else { ", " };
            let text = format!("{between}{} ({})", field.path, field.count);
            if line.chars().count() + text.chars().count() > WIDTH - " and 99 more".len() {
                break;
            }
            line.push_str(&text);
            left -= 1;
        }
        let more = if left > 0 {
            format!(" and {left} more")
        } else {
            String::new()
        };
        let _ = writeln!(out, "{line}{more}");
        cut |= left > 0;
    }
    if cut {
        let _ = writeln!(out, "  `catalog --json` has the rest");
    }
}

/// What an exit code means to the user.
pub fn ending(exit_code: u8) -> &'static str {
    match exit_code {
        0 => "complete",
        2 => "the settings cannot be used",
        3 => "the key was refused",
        4 => "the key has no right to any of these streams",
        5 => "Customer.io could not be read; the same command goes on",
        6 => "the lake could not be read or written",
        7 => "another run holds a table",
        8 => "complete with gaps: what is named above could not be had",
        9 => "stopped at --max-duration; the same command goes on",
        130 => "interrupted; what was committed is safe and the same command goes on",
        _ => "an unexpected error",
    }
}
