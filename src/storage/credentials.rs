//! Whether there is a key at all, found out before anything else is asked.

use std::sync::Arc;

use object_store::CredentialProvider;

use super::client::KNOCK;
use crate::error::{Error, Result};

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
