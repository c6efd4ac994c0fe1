//! How a store is asked over HTTP: how long, how often, and when it is not worth asking again.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use object_store::client::HttpError;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use reqwest::{Client, ClientBuilder};

use crate::storage::destination::Destination;

/// Somebody who has credentials answers within this; where nobody listens nothing ever does.
pub(in crate::storage) const KNOCK: Duration = Duration::from_secs(5);

/// A store answers a request that it has whole within this.
pub(in crate::storage) const ANSWER: Duration = Duration::from_mins(2);

/// Bytes a second that a line carries at least: 1 Mbit.
const SLOWEST: u64 = 128 << 10;

/// Signatures of a repeated request age with it.
const LONGEST: Duration = Duration::from_mins(3);

/// Answers of the server's kind (5xx) that asking again does not change, and the statuses in whose place they are handed on:
/// `object_store` would ask again for minutes.
pub(in crate::storage) const FINAL: [(u16, u16); 2] = [(501, 481), (507, 487)];

/// How a service that hands out credentials is asked: once more after a failure, and no longer than a person waits.
pub(in crate::storage) fn brief() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 1,
        retry_timeout: KNOCK,
    }
}

/// How the store itself is asked: by time, not by a count.
pub(in crate::storage) fn patient(patience: Duration) -> RetryConfig {
    RetryConfig {
        max_retries: 1_000,
        retry_timeout: patience.min(LONGEST),
        ..RetryConfig::default()
    }
}

/// What is read takes as long as it takes, as long as it moves.
pub(in crate::storage) fn options() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(KNOCK)
        .with_read_timeout(ANSWER)
}

/// How long nothing may be read of a store that is sent the largest put on a slow line: the clock of that goes from when a request begins to
/// be sent.
pub(in crate::storage) fn longest_silence(destination: &Destination) -> Duration {
    ANSWER + Duration::from_secs(destination.largest_put() / SLOWEST)
}

/// A client for plain http, which is for this machine: a proxy is another one, and certificates need not be loaded.
///
/// # Errors
///
/// When `settings` make none.
pub(in crate::storage) fn near(settings: ClientBuilder) -> reqwest::Result<Client> {
    settings.no_proxy().tls_certs_only(std::iter::empty()).build()
}

/// The status that the store answered, where `status` stands for it.
pub(in crate::storage) fn answered(status: u16) -> u16 {
    let stood_in = FINAL.into_iter().find(|(_, instead)| *instead == status);
    stood_in.map_or(status, |(status, _)| status)
}

/// Whether `cause` is a request of which nobody knows what became of it, because no answer came.
pub(in crate::storage) fn is_unanswered(cause: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(cause);
    while let Some(error) = next {
        if error.is::<HttpError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// When a request that was not answered is sent again: not at once, and not for ever.
#[derive(Debug)]
pub(in crate::storage) struct Again {
    end: Instant,
    pause: Duration,
    attempt: u32,
}

impl Again {
    pub(in crate::storage) fn within(patience: Duration) -> Self {
        Self {
            end: Instant::now() + patience.min(LONGEST),
            pause: Duration::from_millis(100),
            attempt: 0,
        }
    }

    /// How often it has been waited.
    pub(in crate::storage) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Waits; `false` when it has been long enough.
    pub(in crate::storage) async fn wait(&mut self) -> bool {
        if Instant::now() + self.pause > self.end {
            return false;
        }
        tokio::time::sleep(self.pause.mul_f64(0.5 + fastrand::f64())).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(15));
        self.attempt += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpErrorKind;

    use super::*;

    #[test]
    fn a_request_without_an_answer_is_told_from_a_refusal_however_deep() {
        let lost = HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("reset"));
        let wrapped = |source: Box<dyn StdError + Send + Sync>| object_store::Error::Generic { store: "S3", source };
        assert!(is_unanswered(&wrapped(Box::new(wrapped(Box::new(lost))))));
        assert!(!is_unanswered(&wrapped("status code: 403".into())));
    }

    #[test]
    fn the_largest_put_has_its_time_on_a_slow_line() {
        let seconds = |memory, one_put| {
            let destination = Destination {
                memory,
                one_put,
                ..Destination::new("s3://b")
            };
            longest_silence(&destination).as_secs()
        };
        assert_eq!(seconds(32 << 20, None), 120 + 256);
        assert_eq!(seconds(32 << 20, Some(1 << 20)), 120 + 8);
        assert_eq!(seconds(1 << 20, Some(32 << 20)), 120 + 8);
    }

    #[tokio::test]
    async fn nobody_asks_again_for_ever() {
        assert!(!Again::within(Duration::ZERO).wait().await);
        let mut again = Again::within(Duration::from_millis(150));
        assert!(again.wait().await);
        while again.wait().await {}
    }
}
