//! How many pages a long message has left, by the API's counts.
//!
//! A first page tells how close the newest rows lie: a thousand rows of the last minute would make a year of minutes out of it. What decides
//! into how many stretches a message is cut is therefore asked for, once a message and only of those that seem long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::plan::{Months, Rest};
use crate::run::counts::{Counter, Counts};
use crate::run::pipeline::{Ended, PageFacts, Reader};
use crate::stream::Window;

/// A rest of more pages is worth a request.
const LONG: f64 = 16.0;

/// A rest whose counts cannot be had is taken to be no longer than this: a chain that is longer only takes its time.
const UNCOUNTED: f64 = 32.0;

/// The counts of the messages that were asked for them.
#[derive(Debug)]
pub struct Estimates {
    counter: Counter,
    known: Mutex<HashMap<i64, Option<Months>>>,
    /// The counts cannot be had: nobody is asked for them again.
    refused: AtomicBool,
    /// The most rows that a page held.
    page: AtomicUsize,
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
            refused: AtomicBool::new(false),
            page: AtomicUsize::new(1),
        })
    }

    /// What `page` of message `id` leaves unread of `window`; `None` when its cursor has to tell.
    ///
    /// # Errors
    /// What ends the stream.
    pub async fn rest(
        &self,
        reader: &Reader,
        id: i64,
        window: Window,
        page: &PageFacts,
    ) -> Result<Option<Rest>, Ended> {
        let rows = self.page.fetch_max(page.served, Ordering::Relaxed).max(page.served);
        let (Some(newest), Some(last)) = (page.newest, page.last) else {
            return Ok(None);
        };
        // Rows of one time are in any order, and where rows come in another order than newest first, a page says nothing of where the
        // rest lies: all of the window may hold some.
        let ordered = page.newest_first && newest > last;
        let rest = if ordered {
            Rest::below(id, window, newest, last)
        } else {
            Some(Rest {
                id,
                unread: window,
                pages: f64::INFINITY,
            })
        };
        let Some(rest) = rest.filter(|rest| rest.pages > LONG) else {
            return Ok(rest);
        };
        let counted = self
            .months(reader, id)
            .await?
            .map(|months| months.rows(rest.unread) / rows as f64);
        Ok(match counted {
            // A chain in any order that is short is followed: to ask for it anew would read its first page again.
            Some(pages) => (ordered || pages > LONG).then(|| Rest {
                pages: pages.max(1.0),
                ..rest
            }),
            None => ordered.then(|| Rest {
                pages: rest.pages.min(UNCOUNTED),
                ..rest
            }),
        })
    }

    /// Whether a chain that was taken to be short turns out to be long at `page`.
    pub fn is_long(id: i64, window: Window, page: &PageFacts) -> bool {
        let (Some(newest), Some(last)) = (page.newest, page.last) else {
            return false;
        };
        let rest = Rest::below(id, window, newest, last).filter(|_| page.newest_first && newest > last);
        rest.is_some_and(|rest| rest.pages > LONG)
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
        if self.refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let run = &reader.run;
        let flight = run.stop.race(Arc::clone(&run.flights).acquire_owned()).await?;
        let flight = flight.map_err(|e| Error::internal("the gate of requests is closed").caused_by(e))?;
        let answer = run
            .stop
            .race(self.counter.ask(&run.source, &reader.meter, id))
            .await??;
        drop(flight);
        let months = match answer {
            Counts::Months(months) => Some(months),
            Counts::Missing => None,
            Counts::Unknown(_) | Counts::Forbidden(_) => {
                self.refused.store(true, Ordering::Relaxed);
                None
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id, months.clone());
        Ok(months)
    }
}
