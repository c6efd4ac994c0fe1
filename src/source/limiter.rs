//! The one token bucket that every request of a run passes, and how it gives way when the server says it is too much.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The server's bucket holds as many requests as it grants in a second. Ours holds less, so that requests which left in
/// order but arrive bunched together still find room in the server's.
const BURST_SECONDS: f64 = 0.8;

/// After a slow-down the whole rate is back after this long.
const RECOVERY_SECONDS: f64 = 5.0;

/// Sums of fractions of a token fall short of a whole one by less than this.
const ROUNDING: f64 = 1e-9;

/// A timer cannot tell shorter waits apart.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A token bucket: `rate` tokens a second, as many as come in 0.8 seconds saved up (one at least), handed out to the queues
/// in turn.
#[derive(Debug)]
pub struct RateLimiter {
    /// Fair: whoever waits longest is the next to hold it, and whoever stops waiting leaves it.
    turn: tokio::sync::Mutex<()>,
    bucket: Mutex<Bucket>,
}

/// Where the requests of one stream wait, first come first served.
///
/// Only its first one waits at the limiter, so that each stream gets a token in turn: a single chain of pages has as good a
/// share as a hundred, and what it leaves is theirs.
#[derive(Debug, Default)]
pub struct Queue(tokio::sync::Mutex<()>);

#[derive(Debug)]
struct Bucket {
    /// Tokens a second when nothing is wrong; 0 is unlimited.
    full: f64,
    /// Tokens a second at `filled`, less than `full` after a slow-down.
    rate: f64,
    tokens: f64,
    /// Up to when it is filled; in the future while requests are held back.
    filled: Instant,
    /// When the rate was last halved.
    slowed: Option<Instant>,
}

impl RateLimiter {
    /// A full bucket; `rate` is in requests a second, 0 never waits.
    pub fn new(rate: f64) -> Self {
        let bucket = Bucket {
            full: rate,
            rate,
            tokens: capacity(rate),
            filled: Instant::now(),
            slowed: None,
        };
        Self {
            turn: tokio::sync::Mutex::new(()),
            bucket: Mutex::new(bucket),
        }
    }

    /// Whether it ever makes wait when nothing is wrong.
    pub fn is_limited(&self) -> bool {
        self.bucket().full > 0.0
    }

    /// Waits in `queue` for a token and tells when it was granted, for [`RateLimiter::slow_down`].
    pub async fn acquire(&self, queue: &Queue) -> Instant {
        let _first = queue.0.lock().await;
        let _turn = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let Some(wait) = self.bucket().take(now) else {
                return now;
            };
            sleep(wait).await;
        }
    }

    /// The request granted at `granted` was too much for the server: halves the rate, empties the bucket and holds every
    /// request back for `pause`.
    ///
    /// Several requests are under way at once and are refused together; those granted before the last slow-down do not
    /// halve the rate again.
    pub fn slow_down(&self, granted: Instant, pause: Option<Duration>) {
        let mut bucket = self.bucket();
        let now = Instant::now();
        bucket.fill(now);
        if bucket.slowed.is_none_or(|slowed| slowed < granted) {
            bucket.halve(now);
        }
        bucket.tokens = 0.0;
        let until = pause.and_then(|pause| now.checked_add(pause));
        bucket.filled = bucket.filled.max(until.unwrap_or(now));
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // Nothing panics while it is held, and every state of a bucket is a usable one.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// Takes a token, or tells how long to wait before asking again.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        if now < self.filled {
            return Some((self.filled - now).max(SHORTEST_WAIT));
        }
        if self.full == 0.0 {
            return None;
        }
        self.fill(now);
        if self.tokens >= 1.0 - ROUNDING {
            self.tokens -= 1.0;
            return None;
        }
        // A rate may be so low that no duration is long enough.
        let wait = Duration::try_from_secs_f64((1.0 - self.tokens) / self.rate);
        Some(wait.unwrap_or(Duration::MAX).max(SHORTEST_WAIT))
    }

    fn halve(&mut self, now: Instant) {
        // Below a tenth the recovery alone would decide the rate.
        self.rate = (self.rate / 2.0).max(self.full / 10.0);
        self.slowed = Some(now);
    }

    /// Pours in what has come since the last time, at a rate that grows back evenly to the full one.
    fn fill(&mut self, now: Instant) {
        if now <= self.filled {
            return;
        }
        let seconds = (now - self.filled).as_secs_f64();
        let rate = (self.rate + self.full / RECOVERY_SECONDS * seconds).min(self.full);
        // The mean of both ends is never more than what a capped rate gave in between.
        let poured = (self.rate + rate) / 2.0 * seconds;
        self.tokens = (self.tokens + poured).min(capacity(self.full));
        self.rate = rate;
        self.filled = now;
    }
}

fn capacity(rate: f64) -> f64 {
    (rate * BURST_SECONDS).max(1.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// When each of `count` requests, all waiting at once, was granted.
    async fn grants(limiter: &Arc<RateLimiter>, count: usize) -> Vec<Duration> {
        let start = Instant::now();
        let queue = Queue::default();
        let waiting = (0..count).map(|_| limiter.acquire(&queue));
        let granted = futures::future::join_all(waiting).await;
        granted.into_iter().map(|at| at - start).collect()
    }

    fn assert_never_more(granted: &[Duration], capacity: f64, rate: f64) {
        for (i, from) in granted.iter().enumerate() {
            for (j, to) in granted.iter().enumerate().skip(i) {
                let seconds = (*to - *from).as_secs_f64();
                let count = (j - i + 1) as f64;
                assert!(
                    count <= capacity + rate * seconds + 1e-6,
                    "{count} grants in {seconds} s"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_interval_sees_more_than_the_bucket_and_its_inflow() {
        let limiter = Arc::new(RateLimiter::new(10.0));
        let granted = grants(&limiter, 200).await;
        assert_never_more(&granted, 8.0, 10.0);
        let seconds = granted[199].as_secs_f64();
        assert!((19.2..19.4).contains(&seconds), "the rate is not reached: {seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_bucket_does_not_overflow() {
        let limiter = Arc::new(RateLimiter::new(10.0));
        sleep(Duration::from_secs(3600)).await;
        let granted = grants(&limiter, 30).await;
        assert_eq!(granted.iter().filter(|at| at.is_zero()).count(), 8);
        assert_never_more(&granted, 8.0, 10.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_still_grants_one_at_a_time() {
        let limiter = Arc::new(RateLimiter::new(0.5));
        let granted = grants(&limiter, 3).await;
        assert_eq!(
            granted.iter().map(|at| at.as_secs_f64().round()).collect::<Vec<_>>(),
            [0.0, 2.0, 4.0]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_without_a_second_request_in_this_age_still_grants_the_first() {
        let limiter = RateLimiter::new(f64::MIN_POSITIVE);
        limiter.acquire(&Queue::default()).await;
        let second = tokio::time::timeout(Duration::from_secs(86_400), limiter.acquire(&Queue::default())).await;
        assert!(second.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn first_come_first_served() {
        let limiter = Arc::new(RateLimiter::new(10.0));
        let queue = Arc::new(Queue::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..40)
            .map(|number| {
                let (limiter, queue, order) = (limiter.clone(), queue.clone(), order.clone());
                tokio::spawn(async move {
                    limiter.acquire(&queue).await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        futures::future::join_all(tasks).await;
        assert_eq!(*order.lock().unwrap(), (0..40).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn one_chain_beside_many_gets_every_other_token() {
        let limiter = Arc::new(RateLimiter::new(10.0));
        let crowd = Queue::default();
        let many = futures::future::join_all((0..200).map(|_| limiter.acquire(&crowd)));
        let chain = async {
            let queue = Queue::default();
            for _ in 0..40 {
                limiter.acquire(&queue).await;
                sleep(Duration::from_millis(90)).await;
            }
            Instant::now()
        };
        let start = Instant::now();
        let (granted, ended) = tokio::join!(many, chain);
        let seconds = (ended - start).as_secs_f64();
        assert!((7.0..8.5).contains(&seconds), "40 of 80 tokens took {seconds} s");
        let beside = granted.iter().filter(|at| **at <= ended).count();
        assert!((40..=50).contains(&beside), "{beside} of the others went beside it");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_leaves_the_queue_and_takes_no_token() {
        let limiter = Arc::new(RateLimiter::new(1.0));
        limiter.acquire(&Queue::default()).await;
        let start = Instant::now();
        let queue = Queue::default();
        let gave_up = tokio::time::timeout(Duration::from_millis(500), limiter.acquire(&queue)).await;
        assert!(gave_up.is_err());
        limiter.acquire(&queue).await;
        assert_eq!(start.elapsed().as_millis() / 10, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_holds_everybody_back_then_the_rate_recovers() {
        let limiter = Arc::new(RateLimiter::new(10.0));
        let granted = limiter.acquire(&Queue::default()).await;
        limiter.slow_down(granted, Some(Duration::from_secs(2)));
        let after = grants(&limiter, 100).await;
        assert!(after[0] >= Duration::from_secs(2));
        let within = |from: u64, to: u64| {
            let range = Duration::from_secs(from)..Duration::from_secs(to);
            after.iter().filter(|at| range.contains(at)).count()
        };
        assert!((5..=7).contains(&within(2, 3)), "{}", within(2, 3));
        assert!((9..=11).contains(&within(8, 9)), "{}", within(8, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_one_burst_halve_the_rate_once() {
        let limiter = Arc::new(RateLimiter::new(10.0));
        let granted = limiter.acquire(&Queue::default()).await;
        sleep(Duration::from_millis(50)).await;
        for _ in 0..8 {
            limiter.slow_down(granted, None);
        }
        assert!((limiter.bucket().rate - 5.0).abs() < 1e-6);
        let later = limiter.acquire(&Queue::default()).await;
        limiter.slow_down(later, None);
        assert!(limiter.bucket().rate < 3.0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_only_a_refusal_makes_wait() {
        let limiter = Arc::new(RateLimiter::new(0.0));
        let granted = grants(&limiter, 1000).await;
        assert!(granted.iter().all(Duration::is_zero));
        limiter.slow_down(Instant::now(), Some(Duration::from_secs(3)));
        let granted = grants(&limiter, 10).await;
        assert!(granted.iter().all(|at| (3000..3010).contains(&at.as_millis())));
    }
}
