//! How many pages a long message has left, by the API's counts.
//!
//! A first page tells how close the newest rows lie: a thousand rows of the last minute would make a year of minutes out of it. What decides
//! into how many stretches a message is cut is therefore asked for, once a message and only of those that seem long.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::error::Result;
use crate::plan::{Months, Rest};
use crate::run::counts::{Counter, Counts};
use crate::run::pipeline::{Ended, Reader};

/// A rest of more pages is worth a request.
const LONG: f64 = 16.0;

/// A rest whose counts cannot be had is taken to be no longer than this: a chain that is longer only takes its time.
const UNCOUNTED: f64 = 64.0;

/// An estimate is not worth a longer wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// The counts of the messages that were asked for them.
#[derive(Debug)]
pub struct Estimates {
    counter: Counter,
    known: Mutex<HashMap<i64, Option<Months>>>,
}

impl Estimates {
    /// Knows nothing yet; counts reach back to `since`.
    ///
    /// # Errors
    /// Internal, when the stream is not counted.
    pub fn new(reader: &Reader, since: Timestamp) -> Result<Self> {
        Ok(Self {
            counter: Counter::new(&reader.job.stream, since, reader.job.ask.now)?,
            known: Mutex::default(),
        })
    }

    /// `rest` with a better idea of its pages, where that matters; a page holds so many rows.
    ///
    /// # Errors
    /// What ends the stream.
    pub async fn refine(&self, reader: &Reader, rest: Rest, rows: usize) -> Result<Rest, Ended> {
        if rest.pages <= LONG {
            return Ok(rest);
        }
        let pages = match self.months(reader, rest.id).await? {
            Some(months) => (months.rows(rest.unread) / rows.max(1) as f64).max(1.0),
            None => rest.pages.min(UNCOUNTED),
        };
        Ok(Rest { pages, ..rest })
    }

    async fn months(&self, reader: &Reader, id: i64) -> Result<Option<Months>, Ended> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let ask = self.counter.ask(&reader.run.source, &reader.meter, id);
        let answer = reader.run.stop.race(tokio::time::timeout(PATIENCE, ask)).await?;
        let months = match answer {
            Ok(Ok(Counts::Months(months))) => Some(months),
            Ok(Err(key)) => return Err(key.into()),
            Ok(Ok(Counts::Missing | Counts::Unknown(_) | Counts::Forbidden(_))) | Err(_) => None,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id, months.clone());
        Ok(months)
    }
}
