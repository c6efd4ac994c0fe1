//! A whole list each time: read to its end, then laid in by one merge. What a full-table run does not find in it is looked for in
//! a second reading before it is taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::committer::{Merged, Work, enter, merge_all};
use super::event::RunEvent;
use super::pipeline::{Ended, Reader, drain};
use super::removal::{remove, spare};
use super::table::Table;
use crate::columnar::{Fetched, Proof};
use crate::manifest::{FullTable, SyncMode};
use crate::source::Request;
use crate::storage::layout;

/// Exports a list into its table.
///
/// # Errors
/// Whatever ends the stream early; nothing is entered then.
pub async fn export(reader: &Arc<Reader>, table: &Arc<Table>) -> Result<(), Ended> {
    let job = &reader.job;
    (reader.run.listener)(RunEvent::Started {
        stream: job.stream.stream.clone(),
        days: None,
    });
    let fetched = read(reader).await?;
    // The list was read to its end, so a stored row that was not in it is proven not to be served.
    let proof = (job.sync == SyncMode::FullTable).then(|| {
        Arc::new(Proof {
            window: None,
            transactional_ids: None,
        })
    });
    let mut work = Work::upsert(&fetched, proof.as_ref());
    if work.is_empty() && proof.is_some() {
        work.push(Work::revisit(&fetched, None, proof.as_ref()));
    }
    let mut merged = merge_all(table, work).await?;
    let mut candidates = unfetched(&merged);
    if !candidates.is_empty() {
        // Rows that come and go move the others between pages, and then one that is served may be on none of them.
        let again = read(reader).await?;
        merged.extend(merge_all(table, Work::upsert(&again, None)).await?);
        spare(&mut candidates, &layout::partition_name(None), &again)?;
    }
    let (mark, stored) = (job.ask.now, table.state().await.rows());
    table
        .draft(|state| {
            enter(state, &merged);
            state.advance_mark(mark);
        })
        .await;
    reader.tally.counts().drafted = true;
    if proof.is_some() {
        let full = FullTable {
            candidates,
            fetched: fetched.rows(),
            rejected: reader.tally.counts().rows.rejected,
            ..FullTable::begin(mark, None, None, stored)
        };
        let completed = remove(table, &full).await?;
        reader.tally.counts().full_synced = completed;
    }
    (reader.run.listener)(RunEvent::Committed {
        stream: job.stream.stream.clone(),
        what: format!("{} rows", fetched.rows()),
        days: None,
    });
    Ok(())
}

fn unfetched(merged: &[Merged]) -> BTreeMap<String, Vec<String>> {
    let keys = merged
        .iter()
        .map(|one| (one.path.clone(), one.outcome.unfetched.clone()));
    keys.filter(|(_, keys)| !keys.is_empty()).collect()
}

/// The whole list.
async fn read(reader: &Arc<Reader>) -> Result<Arc<Fetched>, Ended> {
    let buffer = reader.buffer()?;
    let mut chain = reader.chain(Request::of(&reader.job.stream, None), None);
    while chain.next(&buffer).await?.is_some() {}
    Ok(drain(reader, buffer).await?)
}
