//! The table at the end of a run, 80 columns wide.

use std::fmt::Write;

use crate::run::{RunReport, Status, StreamReport};

/// One line a stream, then what went wrong, then how it ended.
pub fn table(report: &RunReport) -> String {
    let mut out = format!(
        "\n{:<29} {:>9} {:>9} {:>8} {:>7} {:>5}  {}\n",
        "stream", "fetched", "new", "changed", "removed", "reqs", "status"
    );
    for stream in &report.streams {
        let rows = &stream.rows;
        let _ = writeln!(
            out,
            "{:<29} {:>9} {:>9} {:>8} {:>7} {:>5}  {}",
            stream.stream,
            rows.fetched,
            rows.new,
            rows.changed,
            rows.removed,
            stream.requests,
            stream.status.name()
        );
    }
    for stream in &report.streams {
        notes(&mut out, stream);
    }
    let _ = writeln!(out, "\n{} (exit code {})", ending(report.exit_code), report.exit_code);
    out
}

fn notes(out: &mut String, stream: &StreamReport) {
    if let Some(error) = &stream.error {
        let _ = writeln!(out, "\n{}: {error}", stream.stream);
    }
    if !stream.drift.is_empty() && stream.status != Status::Failed {
        let seen: Vec<String> = stream
            .drift
            .iter()
            .take(4)
            .map(|drift| format!("{} ({})", drift.path, drift.count))
            .collect();
        let more = stream.drift.len().saturating_sub(seen.len());
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let _ = writeln!(out, "\n{}: kept in _extra: {}{more}", stream.stream, seen.join(", "));
    }
}

/// What an exit code means to the user.
pub fn ending(exit_code: u8) -> &'static str {
    match exit_code {
        0 => "complete",
        3 => "the key was refused",
        4 => "the key has no right to any of these streams",
        5 => "Customer.io could not be read",
        6 => "the lake could not be read or written",
        7 => "another run holds a table",
        8 => "complete with gaps: what is named above could not be had",
        9 => "stopped at --max-duration; the same command goes on",
        130 => "interrupted; what was committed is safe and the same command goes on",
        _ => "an unexpected error",
    }
}
