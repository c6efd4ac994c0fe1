//! A whole list each time: read to its end, then laid in by one merge.

use std::sync::Arc;

use super::committer::{Work, enter, merge_all};
use super::event::RunEvent;
use super::pipeline::{Ended, Reader, drain};
use super::removal::remove;
use super::table::Table;
use crate::columnar::Proof;
use crate::manifest::{FullTable, SyncMode};
use crate::source::Request;

/// Exports a list into its table.
///
/// # Errors
/// Whatever ends the stream early; nothing is committed then.
pub async fn export(reader: &Arc<Reader>, table: &Arc<Table>) -> Result<(), Ended> {
    let job = &reader.job;
    (reader.run.listener)(RunEvent::Started {
        stream: job.stream.stream.clone(),
        units: None,
    });
    let buffer = reader.buffer()?;
    let mut chain = reader.chain(Request::of(&job.stream, None), None);
    while chain.next(&buffer).await?.is_some() {}
    let fetched = drain(reader, buffer).await?;
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
    let merged = merge_all(table, work).await?;
    let (mark, stored) = (job.ask.now, table.state().await.rows());
    table
        .commit(|state| {
            enter(state, &merged);
            state.advance_mark(mark);
        })
        .await?;
    reader.tally.counts().committed = true;
    if proof.is_some() {
        let full = FullTable {
            candidates: merged
                .into_iter()
                .map(|one| (one.path, one.outcome.unfetched))
                .collect(),
            fetched: fetched.rows(),
            rejected: reader.tally.counts().rows.rejected,
            ..FullTable::begin(mark, None, None, stored)
        };
        remove(table, &full).await?;
    }
    (reader.run.listener)(RunEvent::Committed {
        stream: job.stream.stream.clone(),
        what: format!("{} rows", fetched.rows()),
    });
    Ok(())
}
