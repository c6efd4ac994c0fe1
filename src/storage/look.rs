//! A last look at the claim, and how long it is good for.
//!
//! The condition of a put holds off whoever meets another object than it has read. It does not hold off a run that slept, lost its table,
//! and meets the same object, or none where there was none. So the claim is looked at first, and the look must be young when the
//! request leaves: that is asked at the last place before the network, for every attempt, because a client that sends a request again
//! after a pause knows nothing of claims.

use std::error::Error as StdError;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error as ThisError;

use crate::crash::{Step, pass};
use crate::error::Result;

/// How old a look may be when a request leaves, counted from its answer.
const YOUNG: Duration = Duration::from_millis(500);

/// How old it may be counted from the question, for an answer may have waited for a sleeper. A store that needs longer is given twice as
/// long each time.
const ASKED: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The look that a request of this task rests on.
    static LOOK: Look;
}

/// When somebody found that a table was still his.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    asked: Moment,
    answered: Moment,
    asked_within: Duration,
}

/// A time on two clocks: one stands still while the machine is suspended, the other may be set.
#[derive(Debug, Clone, Copy)]
struct Moment(Instant, SystemTime);

/// A request that was not sent, because the look that it rests on has aged.
#[derive(Debug, ThisError)]
#[error("it has been too long since this run has looked whether the table is still its own")]
pub(super) struct Aged;

impl Look {
    /// Asks `still_ours`, for the `attempt`-th time (from 0) after looks that have aged; `None` when it is not.
    pub(super) async fn take<G>(still_ours: &impl Fn() -> G, attempt: u32) -> Result<Option<Self>>
    where
        G: Future<Output = Result<bool>>,
    {
        let asked = Moment::now();
        let ours = still_ours().await?;
        let look = Self {
            asked,
            answered: Moment::now(),
            asked_within: ASKED * 2_u32.saturating_pow(attempt.min(6)),
        };
        pass(Step::ObjectChecked);
        Ok(ours.then_some(look))
    }

    /// Sends what changes a table, as long as the look is young; otherwise the answer [`has_aged`].
    pub(super) async fn guard<T>(self, request: impl Future<Output = T>) -> T {
        LOOK.scope(self, request).await
    }

    /// The look that a request of this task rests on, if it rests on one.
    pub(super) fn held() -> Option<Self> {
        LOOK.try_with(|look| *look).ok()
    }

    /// To be asked as late as can be before a request leaves.
    ///
    /// # Errors
    ///
    /// When the look has aged; then nobody sends the request without another one.
    pub(super) fn check(&self) -> std::result::Result<(), Aged> {
        if self.answered.age() < YOUNG && self.asked.age() < self.asked_within {
            Ok(())
        } else {
            Err(Aged)
        }
    }
}

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    /// A wall clock that was set back says nothing.
    fn age(&self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}

/// Whether a request was not sent for want of a young look.
pub(super) fn has_aged(cause: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(cause);
    while let Some(error) = next {
        if error.is::<Aged>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use object_store::client::{HttpError, HttpErrorKind};

    use super::*;

    fn look(asked: u64, answered: u64, attempt: u32) -> Look {
        let ago = |milliseconds| {
            let span = Duration::from_millis(milliseconds);
            Moment(Instant::now().checked_sub(span).unwrap(), SystemTime::now())
        };
        Look {
            asked: ago(asked),
            answered: ago(answered),
            asked_within: ASKED * 2_u32.pow(attempt),
        }
    }

    #[tokio::test]
    async fn what_rests_on_an_old_look_is_not_sent() {
        assert!(Look::held().is_none());
        let held = |look: Look| look.guard(async { Look::held().unwrap().check() });
        assert!(held(look(100, 0, 0)).await.is_ok());
        assert!(held(look(600, 600, 0)).await.is_err());
        // The answer had waited for somebody who slept; a store that is slow gets more time.
        let aged = held(look(1_500, 0, 0)).await.unwrap_err();
        assert!(held(look(1_500, 0, 1)).await.is_ok());
        let wrapped = object_store::Error::Generic {
            store: "S3",
            source: Box::new(HttpError::new(HttpErrorKind::Unknown, aged)),
        };
        assert!(has_aged(&wrapped), "{wrapped}");
        assert!(!has_aged(&std::io::Error::other("reset")));
    }

    #[test]
    fn a_suspended_machine_has_slept_too() {
        let then = SystemTime::now() - Duration::from_hours(1);
        assert!(Moment(Instant::now(), then).age() >= Duration::from_hours(1));
    }

    #[tokio::test]
    async fn who_has_lost_has_no_look() {
        assert!(Look::take(&|| async { Ok(false) }, 0).await.unwrap().is_none());
        let look = Look::take(&|| async { Ok(true) }, 0).await.unwrap().unwrap();
        assert!(look.check().is_ok());
    }
}
