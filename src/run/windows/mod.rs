//! Time windows of each transactional message: surveyed, cut into parts, read side by side, committed oldest first.
//!
//! ```text
//! window --first page of each message--> survey --> parts --stretches side by side--> buffers --> committer --> version
//! ```
//! While one part is merged the next ones are read, so that the limiter never waits for the disk.

mod answers;
mod commit;
mod estimate;
mod read;
mod survey;

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::event::RunEvent;
use super::parents::Parents;
use super::pipeline::{Ended, Reader};
use super::table::Table;
use crate::error::Result;
use crate::manifest::TableState;
use crate::plan;
use commit::Committer;
use read::read_all;

/// Exports a stream of windows into its table.
///
/// # Errors
/// Whatever ends the stream early; committed parts stay.
pub async fn export(reader: &Arc<Reader>, table: &Arc<Table>, listed: &[i64]) -> Result<(), Ended> {
    let job = &reader.job;
    let parents = Arc::new(Parents::new(listed, &table.state().await));
    let state = owe_newcomers(table, &parents).await?;
    let plan = plan::windows(&job.stream, job.sync, &job.ask, &state);
    if plan.until <= plan.since {
        reader.notice(format!(
            "nothing lies between {} and {}; nothing was asked for",
            plan.since, plan.until
        ));
    }
    let days = plan.tasks.iter().map(|task| task.window.days()).sum();
    (reader.run.listener)(RunEvent::Started {
        stream: job.stream.stream.clone(),
        days: Some(days),
    });
    let (sender, receiver) = mpsc::channel(1);
    let mut read = pin!(read_all(reader, &parents, plan.tasks, sender));
    let mut commit = pin!(Committer::new(reader, table, &parents, &state, plan.since).commit_all(receiver));
    // A commit under way is always waited for, a read never: half a commit would leave the writer in doubt.
    let committer = tokio::select! {
        committed = &mut commit => {
            let committer = committed?;
            read.await?;
            committer
        }
        read = &mut read => {
            let committer = commit.await?;
            read?;
            committer
        }
    };
    committer.finish().await
}

/// A window was complete for the messages known when it was read: one that is known only now is owed in all of them.
async fn owe_newcomers(table: &Arc<Table>, parents: &Parents) -> Result<TableState> {
    let state = table.state().await;
    let newcomers = parents.newcomers(&state);
    if newcomers.is_empty() || (state.coverage.is_empty() && state.full_table.is_none()) {
        return Ok(state);
    }
    let remembered = parents.remember(&parents.gone);
    let commit = table.commit(|state| {
        state.coverage.owe(&newcomers);
        // What an unfinished full-table run has proven, it has proven without them.
        state.full_table = None;
        state.transactional_messages = remembered;
    });
    commit.await?;
    Ok(table.state().await)
}
