//! `catalog`: the tables of a lake as their manifests describe them; no data is read.

use std::fmt::Write;

use super::args::CatalogArgs;
use super::out;
use crate::error::{Error, Result};
use crate::manifest::{TableState, Version, newest, tables};

/// Prints every table of the lake.
///
/// # Errors
/// Storage, when the lake cannot be read.
pub async fn run(args: CatalogArgs) -> Result<u8> {
    let storage = args.place.open().await?;
    let mut versions = Vec::new();
    for table in tables(&storage).await? {
        versions.extend(newest(&storage, &table).await?);
    }
    if args.json {
        out::line(&json(&versions)?)?;
    } else if versions.is_empty() {
        out::line(&format!(
            "{} holds no table yet; `cio2parquet export --to {}` makes them",
            storage, storage
        ))?;
    } else {
        out::print(&text(&versions))?;
    }
    Ok(0)
}

fn text(versions: &[Version]) -> String {
    let mut out = String::new();
    for version in versions {
        let state = &version.state;
        let _ = writeln!(out, "{}  ({}, version {})", state.table, state.stream, version.number);
        if let Some(description) = &state.description {
            let _ = writeln!(out, "  {description}");
        }
        let (rows, bytes) = totals(state);
        let _ = writeln!(
            out,
            "  {rows} rows in {} partitions, {}",
            state.partitions.len(),
            size(bytes)
        );
        if let Some(mark) = state.mark {
            let _ = writeln!(out, "  complete up to {mark}");
        }
        for covered in state.coverage.windows() {
            let unread = match covered.unread.len() {
                0 => String::new(),
                count => format!(" ({count} transactional messages could not be read)"),
            };
            let _ = writeln!(out, "  covered  {} to {}{unread}", covered.from, covered.to);
        }
        more(&mut out, state);
        out.push('\n');
    }
    out
}

fn more(out: &mut String, state: &TableState) {
    for gap in &state.gaps {
        let _ = writeln!(out, "  gap      {} to {}: {}", gap.from, gap.to, gap.reason);
    }
    if let Some(claim) = &state.claim {
        let _ = writeln!(
            out,
            "  held by run {} on {} until {}",
            claim.run, claim.owner.host, claim.until
        );
    }
    if state.rejected > 0 {
        let _ = writeln!(
            out,
            "  {} rows set aside under _rejected/{}",
            state.rejected, state.table
        );
    }
    for drift in &state.drift {
        let _ = writeln!(
            out,
            "  drift    {} {}: {} rows since {}",
            drift.kind, drift.path, drift.count, drift.first_seen
        );
    }
    for run in state.runs.iter().rev().take(3) {
        let _ = writeln!(
            out,
            "  run      {} {} {}: {} fetched, {} new, {} changed, {} requests",
            run.ended.strftime("%Y-%m-%d %H:%M"),
            run.sync,
            run.outcome,
            run.rows.fetched,
            run.rows.new,
            run.rows.changed,
            run.requests
        );
    }
}

fn totals(state: &TableState) -> (u64, u64) {
    let files = state.partitions.values();
    files.fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes))
}

/// A size as people read it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

fn json(versions: &[Version]) -> Result<String> {
    let entries: Vec<serde_json::Value> = versions
        .iter()
        .map(|version| {
            let state = &version.state;
            let (rows, bytes) = totals(state);
            serde_json::json!({
                "table": state.table,
                "stream": state.stream,
                "version": version.number,
                "description": state.description,
                "sync": state.sync,
                "rows": rows,
                "partitions": state.partitions.len(),
                "bytes": bytes,
                "mark": state.mark,
                "coverage": state.coverage.windows(),
                "gaps": state.gaps,
                "claim": state.claim,
                "rejected": state.rejected,
                "drift": state.drift,
                "runs": state.runs,
            })
        })
        .collect();
    serde_json::to_string_pretty(&entries).map_err(|e| Error::internal("cannot write JSON").caused_by(e))
}
