//! `verify`: the lake held against its manifest.

use std::fmt::Write;

use jiff::Timestamp;

use super::args::{Output, VerifyArgs};
use super::catalog::size;
use super::out;
use super::parse;
use super::span::counted;
use crate::error::{Error, Result};
use crate::run::{Budget, Finding, FindingKind, TableReport, VerifyReport, VerifySettings, verify};
use crate::storage::layout::parse_partition_path;

/// Verifies every table and prints what was found.
///
/// # Errors
/// Input, for a place that holds no table; Storage, when the lake cannot be listed.
pub async fn run(args: VerifyArgs, output: Output) -> Result<u8> {
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
        out::print(&text(&report, args.quick, output.verbose > 0))?;
    }
    Ok(report.exit_code)
}

/// `single` tells every note, even where many say the same.
fn text(report: &VerifyReport, quick: bool, single: bool) -> String {
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
    let lines: Vec<String> = report.tables.iter().flat_map(|table| told(table, single)).collect();
    if !lines.is_empty() {
        let _ = writeln!(out, "\n{}", lines.join("\n"));
    }
    let _ = writeln!(out, "\n{} (exit code {})", checked(report, quick), report.exit_code);
    out
}

/// What was done, as far as it could be.
fn checked(report: &VerifyReport, quick: bool) -> String {
    let unseen: Vec<&TableReport> = report.tables.iter().filter(|table| table.version.is_none()).collect();
    let of = if unseen.is_empty() { "" } else { " of the others" };
    let seen = match quick {
        true => format!("what is there{of} was held against the manifest; no data was read"),
        false => format!("every partition{of} was read and held against the manifest"),
    };
    let unseen = match unseen.as_slice() {
        [] => return seen,
        [table] => format!("{} has no manifest that can be read", table.table),
        several => format!("{} tables have no manifest that can be read", several.len()),
    };
    if report.tables.iter().all(|table| table.version.is_none()) {
        return unseen;
    }
    format!("{unseen}; {seen}")
}

/// A line for each finding, and one for all notes of a kind.
fn told(table: &TableReport, single: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut noted = Vec::new();
    for finding in &table.findings {
        let alike = table.findings.iter().filter(|other| other.kind == finding.kind);
        let alike: Vec<&Finding> = alike.collect();
        match summary(finding.kind) {
            Some(told) if alike.len() > 1 && !single => {
                if !noted.contains(&finding.kind) {
                    noted.push(finding.kind);
                    lines.push(format!("note: {}: {} {told}", table.table, partitions(&alike)));
                }
            }
            _ => lines.push(line(finding)),
        }
    }
    lines
}

/// What is said of many partitions at once; `None` for what is told of each.
fn summary(kind: FindingKind) -> Option<&'static str> {
    match kind {
        FindingKind::NotEntered => Some(
            "stored and not entered, by a run that has not ended well, or not yet; the next `export` adopts them (-v names each)",
        ),
        FindingKind::Removing => {
            Some("listed as going and still there; the next `export` deletes them (-v names each)")
        }
        _ => None,
    }
}

/// How many, and of which days.
fn partitions(findings: &[&Finding]) -> String {
    let days = findings
        .iter()
        .filter_map(|finding| parse_partition_path(&finding.path)?.date);
    let count = counted(findings.len() as u64, "partition");
    match (days.clone().min(), days.max()) {
        (Some(first), Some(last)) => format!("{count} of {first} to {last}"),
        _ => count,
    }
}

fn line(finding: &Finding) -> String {
    let word = match finding.kind {
        FindingKind::ManifestNewer => "newer",
        _ if finding.damage => "damage",
        _ => "note",
    };
    let (path, detail) = (&finding.path, &finding.detail);
    // What is wrong with a version begins with its place already.
    if detail.contains(path.as_str()) {
        format!("{word}: {detail}")
    } else {
        format!("{word}: {path}: {detail}")
    }
}

/// A word or two, so that the table keeps to eighty columns.
fn verdict(table: &TableReport) -> String {
    let newer = table
        .findings
        .iter()
        .any(|finding| finding.kind == FindingKind::ManifestNewer);
    if newer && table.version.is_none() {
        return "newer".to_owned();
    }
    let damage = table.findings.iter().filter(|finding| finding.damage).count();
    match (damage, table.findings.len() - damage) {
        (0, 0) => "good".to_owned(),
        (0, notes) => format!("{notes} noted"),
        (damage, _) => format!("{damage} bad"),
    }
}
