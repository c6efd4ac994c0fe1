//! Whether there is a key at all, found out before anything else is asked, and told without repeating one.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};
use object_store::{CredentialProvider, Error as StoreError};

use super::answer::Answer;
use super::client::KNOCK;
use crate::error::{Error, ErrorKind, Result};

/// Who gives the credentials.
#[derive(Debug)]
pub(in crate::storage) struct Origin {
    /// What it is called in messages.
    from: String,
    /// What it is when it gives none.
    failure: ErrorKind,
    /// How long it may take.
    limit: Duration,
}

impl Origin {
    /// One that a setting names.
    pub(in crate::storage) fn named(from: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            failure: ErrorKind::Storage,
            limit: KNOCK,
        }
    }

    /// The machine itself, asked because no setting names anybody.
    pub(in crate::storage) fn machine(from: &str) -> Self {
        Self {
            from: from.to_owned(),
            failure: ErrorKind::Input,
            limit: KNOCK,
        }
    }

    pub(in crate::storage) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    pub(in crate::storage) fn from(&self) -> &str {
        &self.from
    }
}

/// Gets a first credential from `provider`.
///
/// # Errors
///
/// Input, when no setting names anybody and the machine has no credentials either, or when what is named can never work. Storage, when
/// who is named, or a machine that has an identity, gives none this time: the same command may succeed later.
pub(in crate::storage) async fn prove<C: Send + Sync>(
    provider: &Arc<dyn CredentialProvider<Credential = C>>,
    origin: &Origin,
    remedy: &str,
) -> Result<()> {
    let told = |kind, what: &str| {
        let remedy = match kind {
            ErrorKind::Storage => "see that it answers and give the same command again",
            _ => remedy,
        };
        Error::new(kind, format!("{} {what}: {remedy}", origin.from))
    };
    match tokio::time::timeout(origin.limit, provider.get_credential()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(cause)) if repeats_an_answer(&cause) => Err(told(origin.failure, "answered what are no credentials")),
        Ok(Err(cause)) => {
            let kind = kind(&cause).unwrap_or(origin.failure);
            Err(told(kind, "gave no credentials").caused_by(cause))
        }
        Err(_) => {
            let what = format!("did not answer within {} seconds", origin.limit.as_secs());
            Err(told(origin.failure, &what))
        }
    }
}

/// What the cause says of itself, whoever was asked: our own error, or a service that is there and overburdened.
fn kind(cause: &StoreError) -> Option<ErrorKind> {
    if let Some(error) = links(cause).find_map(|link| link.downcast_ref::<Error>()) {
        return Some(error.kind());
    }
    let answer = Answer::of(cause)?;
    (answer.status == 429 || answer.status >= 500).then_some(ErrorKind::Storage)
}

/// Whether somebody tried to read an answer that should have held a key: such an error may repeat parts of it.
fn repeats_an_answer(cause: &StoreError) -> bool {
    links(cause).any(|link| {
        let undecoded = |error: &HttpError| error.kind() == HttpErrorKind::Decode;
        link.is::<serde_json::Error>() || link.downcast_ref::<HttpError>().is_some_and(undecoded)
    })
}

/// `error`, with as much of its cause as can be told where some settings are secret: who parses a secret may repeat it.
pub(in crate::storage) fn without_secrets(error: Error, cause: StoreError) -> Error {
    if let Some(system) = links(&cause).find_map(|link| link.downcast_ref::<io::Error>()) {
        // What names the file may be the key itself, set in the wrong variable.
        return error.caused_by(match system.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => system.kind().into(),
        });
    }
    let of_a_switch = matches!(cause, StoreError::Generic { store: "Config", .. });
    if of_a_switch || links(&cause).any(|link| link.is::<reqwest::Error>()) {
        return error.caused_by(cause);
    }
    error
}

fn links<'a>(cause: &'a StoreError) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(cause as &(dyn StdError + 'static)), |&error| error.source())
}
