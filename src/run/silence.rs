//! A transactional message of which no answer comes, for as long as patience lasts, while others answer: it alone is left out.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::timeout;

use super::lists;
use super::pipeline::{Ended, Reader};
use crate::columnar::{PageContext, PageDecoder};
use crate::error::Error;
use crate::source::{FetchError, Meter, Request, Response, Source};
use crate::stream::Stream;

/// So many of the listed messages can be asked whether it is one message that is silent, or Customer.io: each has two others.
pub const WITNESSES: usize = 3;
/// A witness is given this part of the patience, which has run out once already.
const PART: u32 = 5;
/// If more messages than this are silent in one run, it is Customer.io after all.
const MOST_SILENT: usize = 10;

/// The smallest request for `stream`, or for message `id` of it.
pub fn little(stream: &Stream, id: Option<i64>) -> Request {
    let request = Request::of(stream, id);
    if stream.fetch.paging.is_some() {
        request.with_limit(1)
    } else {
        request
    }
}

/// Whether one of `witnesses` answers soon, and with a page.
pub async fn anyone_answers(
    source: &Source,
    stream: &Arc<Stream>,
    witnesses: impl Iterator<Item = i64>,
    meter: &Meter,
) -> bool {
    let decoder = PageDecoder::new(Arc::clone(stream));
    for witness in witnesses {
        let context = PageContext {
            transactional_id: Some(witness),
            requested_at: Timestamp::UNIX_EPOCH,
            period: None,
            steps: None,
        };
        let read = |response: Response| {
            let page = decoder.decode(&response.body, &context).map_err(lists::unreadable);
            async move { page.map(drop) }
        };
        let request = little(stream, Some(witness));
        let answer = timeout(source.patience() / PART, source.fetch(&request, meter, read)).await;
        if matches!(answer, Ok(Ok(()) | Err(FetchError::Content { .. }))) {
            return true;
        }
    }
    false
}

/// What it means that no answer came for message `id`: that this run reads no more of it, where others answer, or else the end
/// of the stream.
pub async fn unanswered(reader: &Reader, id: Option<i64>, error: Error) -> Result<Ended, Ended> {
    let Some(id) = id else {
        return Ok(FetchError::Unanswered(error).into());
    };
    let witnesses: Vec<i64> = {
        let counts = reader.tally.counts();
        let others = counts.witnesses.iter().copied();
        let others = others.filter(|other| *other != id && !counts.silent.contains_key(other));
        let room = counts.silent.len() < MOST_SILENT;
        others.take(WITNESSES - 1).filter(|_| room).collect()
    };
    let run = &reader.run;
    let asked = anyone_answers(&run.source, &reader.job.stream, witnesses.into_iter(), &reader.meter);
    if !run.stop.race(asked).await? {
        return Ok(FetchError::Unanswered(error).into());
    }
    let told = error.chain();
    reader.tally.counts().silent.insert(id, told.clone());
    Ok(FetchError::Refused(told).into())
}
