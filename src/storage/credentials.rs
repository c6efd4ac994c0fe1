//! Whether there is a key at all, found out before anything else is asked.

use std::sync::Arc;
use std::time::Duration;

use object_store::{BackoffConfig, CredentialProvider, RetryConfig};

use crate::error::{Error, Result};

/// Somebody who has credentials answers within this; where nobody listens nothing ever does.
const KNOCK: Duration = Duration::from_secs(5);

/// How a service that hands out credentials is asked: once more after a failure, and no longer than a person waits.
pub(super) fn brief() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 1,
        retry_timeout: KNOCK,
    }
}

/// How the store itself is asked.
pub(super) fn patient(patience: Duration) -> RetryConfig {
    RetryConfig {
        // Signatures of a repeated request age with it.
        retry_timeout: patience.min(Duration::from_mins(3)),
        ..RetryConfig::default()
    }
}

/// Gets a first credential from `provider`, which is called `from` in messages.
///
/// # Errors
///
/// Input, naming what was tried and what can be set.
pub(super) async fn prove<C: Send + Sync>(
    provider: &Arc<dyn CredentialProvider<Credential = C>>,
    from: &str,
    remedy: &str,
) -> Result<()> {
    let text = |what: &str| Error::input(format!("{from} {what}: {remedy}"));
    match tokio::time::timeout(KNOCK, provider.get_credential()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(cause)) => Err(text("gave no credentials").caused_by(cause)),
        Err(_) => Err(text("did not answer within 5 seconds")),
    }
}
