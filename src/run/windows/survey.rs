//! The first page of every message in a window: all there is of most of them, and of the others how much there may be.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, PoisonError};

use futures::{StreamExt, TryStreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::answers::{Answer, Answers, tell};
use super::estimate::Estimates;
use crate::error::Error;
use crate::plan::{Parts, Rest, Scarce, WindowTask};
use crate::run::parents::Parents;
use crate::run::pipeline::{Chain, Ended, Reader, SharedBuffer};
use crate::source::{FetchError, Request};
use crate::stream::Window;

/// A window of which every message has shown its first page.
#[derive(Debug)]
pub struct Surveyed {
    /// All messages were asked, not only some that were owed.
    pub whole: bool,
    /// The rows of first pages.
    pub buffer: SharedBuffer,
    /// What the messages answered so far.
    pub answers: Answers,
    /// How the rest is read.
    pub parts: Parts,
    /// The interval.
    pub window: Window,
    /// The chains of the messages that are followed by their cursors, the longest first.
    pub followed: Vec<(i64, Chain)>,
    /// Chains of which nobody knows how long they are.
    pub unknown: Vec<(i64, Chain)>,
    /// How many requests the rest will take, roughly.
    pub left: f64,
    /// How many messages were asked.
    pub asked: usize,
}

/// A message whose first page has a successor.
struct More {
    id: i64,
    chain: Chain,
    /// What is left of it; `None` when the page does not tell.
    rest: Option<Rest>,
}

/// Asks every message of `task` for its first page, as many at once as the run allows; `limit` is what a part may hold in memory.
///
/// # Errors
/// What ends the stream.
pub async fn survey(
    reader: Arc<Reader>,
    parents: Arc<Parents>,
    estimates: Arc<Estimates>,
    task: WindowTask,
    limit: usize,
) -> Result<Surveyed, Ended> {
    let buffer = reader.buffer()?;
    let (whole, window) = (task.only.is_none(), task.window);
    let ids = task.only.unwrap_or_else(|| parents.ids.clone());
    let asked = ids.len();
    let (asking, into) = (Arc::clone(&reader), Arc::clone(&buffer));
    let firsts = futures::stream::iter(ids).map(move |id| {
        let ask = first(
            Arc::clone(&asking),
            Arc::clone(&estimates),
            id,
            window,
            Arc::clone(&into),
        );
        let handle = AbortOnDropHandle::new(tokio::spawn(ask));
        async move {
            handle
                .await
                .map_err(|e| Error::internal("a reading task panicked").caused_by(e))?
        }
    });
    let mut firsts = pin!(firsts.buffer_unordered(reader.run.settings.concurrency));
    let (mut answers, mut more) = (Answers::default(), Vec::new());
    while let Some((id, answer, next)) = firsts.try_next().await? {
        tell(&reader, &parents, id, &answer);
        answers.enter(id, &answer);
        more.extend(next);
    }
    let rests: Vec<Rest> = more.iter().filter_map(|more| more.rest).collect();
    let parts = Parts::cut(window, &rests, scarce(&reader, &buffer, limit));
    let left = parts.requests(&rests);
    let (followed, unknown) = chains(more, &parts);
    Ok(Surveyed {
        whole,
        window,
        followed,
        unknown,
        buffer,
        answers,
        parts,
        left,
        asked,
    })
}

/// Reads pages of one message until one holds rows.
async fn first(
    reader: Arc<Reader>,
    estimates: Arc<Estimates>,
    id: i64,
    window: Window,
    buffer: SharedBuffer,
) -> Result<(i64, Answer, Option<More>), Ended> {
    // One 404 speaks for every window of the run.
    if reader.tally.counts().missing.contains(&id) {
        return Ok((id, Answer::Missing, None));
    }
    let request = Request::of(&reader.job.stream, Some(id)).between(window);
    let mut chain = reader.chain(request, Some(id));
    let mut rejected = 0;
    loop {
        let page = match answered(chain.next(&buffer).await)? {
            Ok(Some(page)) => page,
            Ok(None) => return Ok((id, Answer::Read { rejected }, None)),
            Err(answer) => return Ok((id, answer, None)),
        };
        rejected += page.rejected;
        if chain.cursor().is_none() {
            return Ok((id, Answer::Read { rejected }, None));
        }
        if page.last.is_none() {
            continue;
        }
        let rest = estimates.rest(&reader, id, window, &page).await?;
        return Ok((id, Answer::Read { rejected }, Some(More { id, chain, rest })));
    }
}

/// What an answer means where one message may be missing or refused without ending the stream.
///
/// # Errors
/// What ends the stream.
pub fn answered<T>(page: Result<T, Ended>) -> Result<Result<T, Answer>, Ended> {
    match page {
        Ok(page) => Ok(Ok(page)),
        Err(Ended::Fetch(FetchError::NotFound(_))) => Ok(Err(Answer::Missing)),
        Err(Ended::Fetch(error @ (FetchError::Refused(_) | FetchError::Forbidden(_)))) => {
            Ok(Err(Answer::Unreadable(error.into())))
        }
        Err(ended) => Err(ended),
    }
}

/// How full a part's buffer is meant to become: estimates may be a third too low before anything goes to disk.
const FILLING: f64 = 0.7;

/// Without a limit on requests the parts are made to fit into memory.
fn scarce(reader: &Reader, buffer: &SharedBuffer, limit: usize) -> Scarce {
    if reader.run.source.is_limited() {
        return Scarce::Requests;
    }
    let row = buffer.lock().unwrap_or_else(PoisonError::into_inner).row_bytes();
    let rows = reader.job.stream.fetch.paging.map_or(1, |paging| paging.limit);
    Scarce::Memory {
        pages: FILLING * limit as f64 / (row.max(1) as f64 * f64::from(rows)),
    }
}

type Chains = Vec<(i64, Chain)>;

/// The chains that are followed, the longest first, and those of unknown length.
fn chains(more: Vec<More>, parts: &Parts) -> (Chains, Chains) {
    let (known, unknown): (Vec<More>, Vec<More>) = more.into_iter().partition(|more| more.rest.is_some());
    let mut known: HashMap<i64, Chain> = known.into_iter().map(|more| (more.id, more.chain)).collect();
    let longest_first = parts.followed.iter().rev();
    let followed = longest_first.filter_map(|id| Some((*id, known.remove(id)?)));
    (
        followed.collect(),
        unknown.into_iter().map(|more| (more.id, more.chain)).collect(),
    )
}
