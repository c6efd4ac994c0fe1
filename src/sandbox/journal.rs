//! What was asked for: counters of all requests and a log of the last ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::{Method, Uri};
use serde::Serialize;

use super::behaviour::Endpoint;

/// So many requests are remembered one by one.
const REMEMBERED: usize = 10_000;

/// One request to the App API and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// The number of the request, from 1.
    pub n: u64,
    /// When it came, in milliseconds since the server started.
    pub at_ms: u64,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: String,
    /// The HTTP status of the answer; 0 when the connection was cut before it.
    pub status: u16,
}

/// Everything that was asked for since the start or the last reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// How many requests there were.
    pub total: u64,
    /// How many went to each simulated endpoint.
    pub by_endpoint: BTreeMap<Endpoint, u64>,
    /// How many were answered with each status.
    pub status: BTreeMap<u16, u64>,
    /// The most requests that were being answered at the same time.
    pub most_in_flight: u64,
    /// The last requests, oldest first, in the order in which they were answered.
    pub log: VecDeque<RequestRecord>,
}

#[derive(Debug)]
pub(super) struct Journal {
    started: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    arrived: u64,
    in_flight: u64,
    seen: Requests,
}

/// A request that has come and is not answered yet, or never will be because its client went away.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub(super) n: u64,
    at_ms: u64,
    journal: &'a Journal,
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        self.journal.with(|inner| inner.in_flight -= 1);
    }
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            inner: Mutex::default(),
        }
    }

    pub(super) fn arrive(&self) -> Arrived<'_> {
        let at_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.with(|inner| {
            inner.arrived += 1;
            inner.in_flight += 1;
            inner.seen.most_in_flight = inner.seen.most_in_flight.max(inner.in_flight);
            Arrived {
                n: inner.arrived,
                at_ms,
                journal: self,
            }
        })
    }

    pub(super) fn requests(&self) -> Requests {
        self.with(|inner| inner.seen.clone())
    }

    /// Forgets what was seen; the numbers of the requests go on.
    pub(super) fn reset(&self) {
        self.with(|inner| inner.seen = Requests::default());
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Arrived<'_> {
    /// Enters the request as answered with `status`.
    pub(super) fn answered(self, endpoint: Option<Endpoint>, method: &Method, uri: &Uri, status: u16) {
        let record = RequestRecord {
            n: self.n,
            at_ms: self.at_ms,
            method: method.to_string(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            status,
        };
        self.journal.with(|inner| inner.seen.enter(endpoint, record));
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            total: 0,
            by_endpoint: Endpoint::ALL.into_iter().map(|endpoint| (endpoint, 0)).collect(),
            status: BTreeMap::new(),
            most_in_flight: 0,
            log: VecDeque::new(),
        }
    }
}

impl Requests {
    fn enter(&mut self, endpoint: Option<Endpoint>, record: RequestRecord) {
        self.total += 1;
        *self.status.entry(record.status).or_default() += 1;
        if let Some(endpoint) = endpoint {
            *self.by_endpoint.entry(endpoint).or_default() += 1;
        }
        if self.log.len() == REMEMBERED {
            self.log.pop_front();
        }
        self.log.push_back(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_and_the_log_is_bounded() {
        let journal = Journal::new();
        let uri = Uri::from_static("/v1/customers?limit=1");
        for _ in 0..REMEMBERED + 5 {
            journal
                .arrive()
                .answered(Some(Endpoint::Customers), &Method::POST, &uri, 200);
        }
        let seen = journal.requests();
        assert_eq!((seen.total, seen.log.len()), (10_005, REMEMBERED));
        assert_eq!(seen.by_endpoint[&Endpoint::Customers], 10_005);
        assert_eq!(seen.status[&200], 10_005);
        assert_eq!((seen.log[0].n, seen.log[0].query.as_str()), (6, "limit=1"));
        assert_eq!(seen.most_in_flight, 1);
        journal.reset();
        assert_eq!(journal.requests().total, 0);
        assert_eq!(journal.arrive().n, 10_006);
    }
}
