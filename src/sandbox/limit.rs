//! The rate limit: one token bucket for the whole workspace.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Full at the start; takes a token for each request that is let through.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    state: Mutex<(f64, Option<Instant>)>,
}

impl Bucket {
    /// `rate` tokens a second, at most `burst` at once; a rate of 0 lets everything through.
    pub(super) fn new(rate: f64, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        Self {
            rate,
            burst,
            state: Mutex::new((burst, None)),
        }
    }

    /// Whether a request at `now` is let through.
    pub(super) fn take(&self, now: Instant) -> bool {
        if self.rate <= 0.0 {
            return true;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, last) = *state;
        let elapsed = last.map_or(0.0, |last| now.saturating_duration_since(last).as_secs_f64());
        let tokens = (tokens + elapsed * self.rate).min(self.burst);
        let passes = tokens >= 1.0;
        let left = if passes { tokens - 1.0 } else { tokens };
        *state = (left, Some(last.map_or(now, |last| last.max(now))));
        passes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let bucket = Bucket::new(10.0, 10);
        let start = Instant::now();
        let passed = |at: Duration, requests: usize| (0..requests).filter(|_| bucket.take(start + at)).count();
        assert_eq!(passed(Duration::ZERO, 15), 10);
        assert_eq!(passed(Duration::from_millis(500), 15), 5);
        assert_eq!(passed(Duration::from_secs(60), 15), 10);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let bucket = Bucket::new(0.0, 1);
        let now = Instant::now();
        assert!((0..1_000).all(|_| bucket.take(now)));
    }
}
