//! A transactional message of which no answer comes, for as long as patience lasts, while others answer: it alone is left out.

use tokio::time::timeout;

use super::pipeline::{Ended, Reader};
use crate::error::Error;
use crate::source::{FetchError, Meter, Request, Source};
use crate::stream::Stream;

/// So many of the listed messages are asked whether it is one message that is silent, or Customer.io.
pub const WITNESSES: usize = 3;
/// A witness is given this part of the patience, which has run out once already.
const PART: u32 = 10;

/// Asks for one row of `stream`, or of message `id` of it.
///
/// # Errors
/// What the source answers.
pub async fn ask_little(source: &Source, stream: &Stream, id: Option<i64>, meter: &Meter) -> Result<(), FetchError> {
    let request = Request::of(stream, id);
    let request = if stream.fetch.paging.is_some() {
        request.with_limit(1)
    } else {
        request
    };
    source.fetch(&request, meter, |_| async { Ok(()) }).await
}

/// Whether one of `witnesses` answers anything at all, and soon.
pub async fn anyone_answers(
    source: &Source,
    stream: &Stream,
    witnesses: impl Iterator<Item = i64>,
    meter: &Meter,
) -> bool {
    for witness in witnesses {
        let answer = timeout(
            source.patience() / PART,
            ask_little(source, stream, Some(witness), meter),
        )
        .await;
        if matches!(
            answer,
            Ok(Ok(()) | Err(FetchError::NotFound(_) | FetchError::Refused(_)))
        ) {
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
        others
            .filter(|other| *other != id && !counts.silent.contains_key(other))
            .collect()
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
