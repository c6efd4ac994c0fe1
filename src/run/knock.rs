//! The first, cheap request of a stream: whether the key has the right to it.

use std::sync::Arc;

use super::lane::restated;
use super::lists::Lists;
use super::silence::{WITNESSES, anyone_answers, little};
use crate::error::{Error, Result};
use crate::source::{FetchError, Meter, Source};
use crate::stream::Stream;

/// What became of it, if it was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knocked {
    /// Answered.
    Served,
    /// Answered for another message than the one that was asked first.
    ServedButFor {
        /// The one of which no answer came.
        id: i64,
        /// What is to be said of it.
        told: String,
    },
    /// Nothing could be asked, because the list that the stream depends on is empty.
    NobodyToAsk,
}

/// Asks for one row, or takes what the list it depends on has answered.
///
/// # Errors
/// Key, Forbidden and API, as Customer.io says.
pub async fn knock(source: &Source, stream: &Arc<Stream>, lists: &Lists, meter: &Meter) -> Result<Knocked> {
    if let Some(read) = lists.get(&stream.stream) {
        return outcome(read);
    }
    let listed = match stream.fetch.each.as_ref().and_then(|each| lists.get(each)) {
        Some(Err(error)) => return Err(restated(error)),
        Some(Ok(listed)) => &listed.ids[..],
        None => &[],
    };
    let id = listed.first().copied();
    if stream.fetch.each.is_some() && id.is_none() {
        return Ok(Knocked::NobodyToAsk);
    }
    match source.fetch(&little(stream, id), meter, |_| async { Ok(()) }).await {
        Ok(()) => Ok(Knocked::Served),
        // What one message answers says nothing about the right to read the others.
        Err(FetchError::NotFound(_) | FetchError::Refused(_)) if stream.fetch.each.is_some() => Ok(Knocked::Served),
        Err(FetchError::Unanswered(error)) => {
            let witnesses = listed.iter().copied().take(WITNESSES).skip(1);
            match (id, anyone_answers(source, stream, witnesses, meter).await) {
                (Some(id), true) => Ok(Knocked::ServedButFor {
                    id,
                    told: error.chain(),
                }),
                _ => Err(error),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn outcome<T>(read: &Result<T>) -> Result<Knocked> {
    read.as_ref()
        .map(|_| Knocked::Served)
        .map_err(|error: &Error| restated(error))
}
