//! How much was asked, for reports, and where its requests wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::limiter::Queue;

/// One stream's share of the requests; clones count, and wait, together.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    retries: AtomicU64,
    queue: Queue,
}

impl Meter {
    /// Requests sent, retries included.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// How many of them asked for something that had been asked for before.
    pub fn retries(&self) -> u64 {
        self.0.retries.load(Ordering::Relaxed)
    }

    /// Where the stream's requests wait for the limiter.
    pub(super) fn queue(&self) -> &Queue {
        &self.0.queue
    }

    pub(super) fn count(&self, retry: bool) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.retries.fetch_add(u64::from(retry), Ordering::Relaxed);
    }
}
