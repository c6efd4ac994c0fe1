//! A table as `catalog --json` tells it; `docs/format.md` describes every field.

use jiff::Timestamp;
use serde::Serialize;

use crate::manifest::{Claim, Coverage, DriftNote, Gap, RunRecord, SchemaRef, SyncMode, Version};
use crate::stream::ColumnRules;

/// What the newest version of a table says that an operator may ask for.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    table: &'a str,
    stream: &'a str,
    version: u64,
    written_at: Timestamp,
    description: Option<&'a str>,
    prefix: Option<&'a str>,
    moving_from: Option<&'a str>,
    moving_to: Option<&'a str>,
    moved_to: Option<&'a str>,
    schema: &'a SchemaRef,
    columns: &'a ColumnRules,
    sync: Option<SyncMode>,
    full_synced: Option<Timestamp>,
    rows: u64,
    partitions: usize,
    bytes: u64,
    mark: Option<Timestamp>,
    asked_since: Option<Timestamp>,
    coverage: &'a Coverage,
    gaps: &'a [Gap],
    claim: Option<&'a Claim>,
    rejected: u64,
    drift: &'a [DriftNote],
    runs: &'a [RunRecord],
    next_trigger: Option<Timestamp>,
}

/// One entry a table; `next` is when a schedule makes the next run.
pub fn entries(versions: &[Version], next: Option<Timestamp>) -> Vec<Entry<'_>> {
    versions.iter().map(|version| entry(version, next)).collect()
}

fn entry(version: &Version, next: Option<Timestamp>) -> Entry<'_> {
    let state = &version.state;
    Entry {
        table: &state.table,
        stream: &state.stream,
        version: version.number,
        written_at: version.written_at,
        description: state.description.as_deref(),
        prefix: state.prefix.as_deref(),
        moving_from: state.moving_from.as_deref(),
        moving_to: state.moving_to.as_deref(),
        moved_to: state.moved_to.as_deref(),
        schema: &state.schema,
        columns: &state.columns,
        sync: state.sync,
        full_synced: state.full_synced,
        rows: state.rows(),
        partitions: state.partitions.len(),
        bytes: state.partitions.values().map(|file| file.bytes).sum(),
        mark: state.mark,
        asked_since: state.asked_since,
        coverage: &state.coverage,
        gaps: &state.gaps,
        claim: state.claim.as_ref(),
        rejected: state.rejected,
        drift: &state.drift,
        runs: &state.runs,
        next_trigger: next,
    }
}
