//! The present values of each transactional message, kept by the day on which they were read.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::committer::{Work, enter, merge_all};
use super::event::RunEvent;
use super::parents::Parents;
use super::pipeline::{Ended, Reader, SharedBuffer, drain};
use super::table::Table;
use crate::columnar::PartitionKey;
use crate::error::Error;
use crate::manifest::SyncMode;
use crate::source::{FetchError, Request};
use crate::storage::layout;
use crate::stream::day_of;

/// Exports today's snapshot into its partition.
///
/// # Errors
/// Whatever ends the stream early; nothing is entered then.
pub async fn export(reader: &Arc<Reader>, table: &Arc<Table>, listed: &[i64]) -> Result<(), Ended> {
    let job = &reader.job;
    let parents = Parents::new(listed, &table.state().await);
    (reader.run.listener)(RunEvent::Started {
        stream: job.stream.stream.clone(),
        days: None,
    });
    let buffer = reader.buffer()?;
    let Unread { missing, whole } = read_all(reader, &parents, &buffer).await?;
    let fetched = drain(reader, buffer).await?;
    let whole = whole && fetched.rows() > 0;
    let today = day_of(job.ask.now);
    let work = fetched.partitions().into_iter().map(|key: PartitionKey| Work {
        day: Some(today),
        fetched: Some((Arc::clone(&fetched), key)),
        remove: Arc::default(),
        proof: None,
    });
    let merged = merge_all(table, work.collect()).await?;
    let (mark, remembered) = (job.ask.now, parents.remember(&missing));
    table
        .draft(|state| {
            enter(state, &merged);
            state.transactional_messages = remembered;
            state.advance_mark(mark);
        })
        .await;
    reader.tally.counts().drafted = true;
    if job.sync == SyncMode::FullTable {
        let completed = replace(reader, table, &layout::partition_name(Some(today)), whole).await?;
        reader.tally.counts().full_synced = completed;
    }
    (reader.run.listener)(RunEvent::Committed {
        stream: job.stream.stream.clone(),
        what: today.to_string(),
        days: None,
    });
    Ok(())
}

/// The messages that gave no row.
struct Unread {
    /// Those that answered 404.
    missing: HashSet<i64>,
    /// Every message that is listed gave its row, and none was set aside.
    whole: bool,
}

/// Asks every message, as many at once as the run allows.
async fn read_all(reader: &Arc<Reader>, parents: &Parents, buffer: &SharedBuffer) -> Result<Unread, Ended> {
    let answers = futures::stream::iter(parents.ids.clone())
        .map(|id| async move { Ok::<_, Ended>((id, ask(reader, id, buffer).await?)) });
    let mut answers = std::pin::pin!(answers.buffer_unordered(reader.run.settings.concurrency));
    let (mut missing, mut refused, mut read) = (HashSet::new(), Vec::new(), 0_usize);
    let mut whole = true;
    while let Some((id, answer)) = answers.try_next().await? {
        match answer {
            Ok(rejected) => {
                read += 1;
                whole &= rejected == 0;
            }
            Err(FetchError::NotFound(_)) => {
                missing.insert(id);
                whole &= !parents.listed.contains(&id);
                let told = parents.tell_missing(id);
                reader.tally.counts().gaps.extend(told);
            }
            Err(error) => refused.push(Error::from(error)),
        }
    }
    // What is refused for every message is no gap of one of them.
    if read == 0
        && let Some(first) = refused.pop()
    {
        return Err(first.into());
    }
    whole &= refused.is_empty();
    reader.tally.counts().gaps.extend(refused.iter().map(Error::chain));
    Ok(Unread { missing, whole })
}

/// How many rows of message `id` were set aside, or why it gave none.
async fn ask(reader: &Arc<Reader>, id: i64, buffer: &SharedBuffer) -> Result<Result<usize, FetchError>, Ended> {
    let mut chain = reader.chain(Request::of(&reader.job.stream, Some(id)), Some(id));
    let mut rejected = 0;
    loop {
        match chain.next(buffer).await {
            Ok(Some(page)) => rejected += page.rejected,
            Ok(None) => return Ok(Ok(rejected)),
            Err(Ended::Fetch(
                error @ (FetchError::NotFound(_) | FetchError::Refused(_) | FetchError::Forbidden(_)),
            )) => {
                return Ok(Err(error));
            }
            Err(ended) => return Err(ended),
        }
    }
}

/// Makes today's partition the only one, if every message that is listed could be read; answers whether that was so.
async fn replace(reader: &Arc<Reader>, table: &Arc<Table>, today: &str, whole: bool) -> Result<bool, Ended> {
    let state = table.state().await;
    let whole = whole && state.partitions.contains_key(today);
    let older: Vec<String> = state.partitions.keys().filter(|path| *path != today).cloned().collect();
    if older.is_empty() {
        return Ok(whole);
    }
    if !whole {
        reader.tally.counts().gaps.push(format!(
            "the older days of table {:?} were left as they are: today's snapshot is not whole",
            reader.job.table
        ));
        return Ok(false);
    }
    let rows = older
        .iter()
        .filter_map(|path| state.partitions.get(path))
        .map(|file| file.rows);
    reader.tally.counts().rows.removed += rows.sum::<u64>();
    table.remove(older).await?;
    Ok(true)
}
