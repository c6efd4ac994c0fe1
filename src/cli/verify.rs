//! `verify`: the lake held against its manifest.

use std::fmt::Write;

use jiff::Timestamp;

use super::args::VerifyArgs;
use super::catalog::size;
use super::out;
use super::parse;
use crate::error::{Error, Result};
use crate::run::{Budget, TableReport, VerifyReport, VerifySettings, verify};

/// Verifies every table and prints what was found.
///
/// # Errors
/// Input, for a place that holds no table; Storage, when the lake cannot be listed.
pub async fn run(args: VerifyArgs) -> Result<u8> {
    let settings = VerifySettings {
        memory: parse::size("--memory", &args.memory, Budget::LEAST)?,
        quick: args.quick,
    };
    let storage = args.place.open().await?;
    let place = storage.to_string();
    let report = verify(storage, settings, Timestamp::now).await?;
    // A lake that is gone, or a disk that is not mounted, must not look like one in good order.
    if report.tables.is_empty() {
        return Err(Error::input(format!(
            "{place} holds no table, so there is nothing to verify; look at --to"
        )));
    }
    if args.json {
        let text = serde_json::to_string_pretty(&report);
        out::line(&text.map_err(|e| Error::internal("cannot write JSON").caused_by(e))?)?;
    } else {
        out::print(&text(&report, args.quick))?;
    }
    Ok(report.exit_code)
}

fn text(report: &VerifyReport, quick: bool) -> String {
    let mut out = format!(
        "{:<31} {:>10} {:>11} {:>10}  {}\n",
        "table", "partitions", "rows", "size", "found"
    );
    for table in &report.tables {
        let _ = writeln!(
            out,
            "{:<31} {:>10} {:>11} {:>10}  {}",
            table.table,
            table.partitions,
            table.rows,
            size(table.bytes),
            verdict(table)
        );
    }
    let findings = report.tables.iter().flat_map(|table| &table.findings);
    for (number, finding) in findings.enumerate() {
        let gap = if number == 0 { "\n" } else { "" };
        let word = if finding.damage { "damage" } else { "note" };
        let _ = writeln!(out, "{gap}{word}: {}: {}", finding.path, finding.detail);
    }
    let checked = if quick {
        "what is there was held against the manifest; no data was read"
    } else {
        "every partition was read and held against the manifest"
    };
    let _ = writeln!(out, "\n{checked} (exit code {})", report.exit_code);
    out
}

/// A word or two, so that the table keeps to eighty columns.
fn verdict(table: &TableReport) -> String {
    let damage = table.findings.iter().filter(|finding| finding.damage).count();
    match (damage, table.findings.len() - damage) {
        (0, 0) => "good".to_owned(),
        (0, notes) => format!("{notes} noted"),
        (damage, _) => format!("{damage} bad"),
    }
}
