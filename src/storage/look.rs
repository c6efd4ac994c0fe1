//! A last look at the claim, and how long it is good for.
//!
//! The condition of a put holds off whoever meets another object than it has read. It does not hold off a run that slept, lost its table,
//! and meets the same object, or none where there was none. So the claim is looked at first, and the look must be young when the
//! request leaves: that is asked at the last place before the network, for every attempt, because a client that sends a request again
//! after a pause knows nothing of claims.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use object_store::client::{HttpError, HttpErrorKind};
use thiserror::Error as ThisError;

use crate::crash::{Step, pass};
use crate::error::Result;

/// How old a look may be: since its answer came, and since it was asked for.
const YOUNG: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

tokio::task_local! {
    /// The look that a request of this task rests on.
    static LOOK: Look;
}

/// When somebody found that a table was still his.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    asked: Instant,
    answered: Instant,
}

/// A request that was not sent, because the look that it rests on has aged.
#[derive(Debug, ThisError)]
#[error("it has been too long since this run has looked whether the table is still its own")]
struct Aged;

impl Look {
    /// Asks `still_ours`; `None` when it is not.
    pub(super) async fn take<G>(still_ours: &impl Fn() -> G) -> Result<Option<Self>>
    where
        G: Future<Output = Result<bool>>,
    {
        let asked = Instant::now();
        let ours = still_ours().await?;
        let look = Self {
            asked,
            answered: Instant::now(),
        };
        pass(Step::ObjectChecked);
        Ok(ours.then_some(look))
    }

    /// Sends what changes a table, as long as the look is young; otherwise the answer [`has_aged`].
    pub(super) async fn guard<T>(self, request: impl Future<Output = T>) -> T {
        LOOK.scope(self, request).await
    }

    fn is_young(&self) -> bool {
        self.answered.elapsed() < YOUNG.0 && self.asked.elapsed() < YOUNG.1
    }
}

/// To be asked just before a request is sent.
///
/// # Errors
///
/// When the request rests on a look that has aged. Nobody sends it again without another one.
pub(super) fn may_be_sent() -> std::result::Result<(), HttpError> {
    match LOOK.try_with(Look::is_young) {
        Ok(false) => Err(HttpError::new(HttpErrorKind::Unknown, Aged)),
        // Young, or a request that rests on none.
        Ok(true) | Err(_) => Ok(()),
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
    use super::*;

    fn look(age: Duration) -> Look {
        let then = Instant::now().checked_sub(age).unwrap();
        Look {
            asked: then,
            answered: then,
        }
    }

    #[tokio::test]
    async fn what_rests_on_an_old_look_is_not_sent() {
        assert!(may_be_sent().is_ok());
        assert!(look(Duration::ZERO).guard(async { may_be_sent() }).await.is_ok());
        let error = look(YOUNG.0).guard(async { may_be_sent() }).await.unwrap_err();
        let wrapped = object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        };
        assert!(has_aged(&wrapped), "{wrapped}");
        assert!(!has_aged(&std::io::Error::other("reset")));
    }

    #[tokio::test]
    async fn who_has_lost_has_no_look() {
        assert!(Look::take(&|| async { Ok(false) }).await.unwrap().is_none());
        assert!(Look::take(&|| async { Ok(true) }).await.unwrap().unwrap().is_young());
    }
}
