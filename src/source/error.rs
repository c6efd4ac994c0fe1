//! How asking can end without a page: each a different matter for the run.

use std::fmt;

use bytes::Bytes;
use reqwest::StatusCode;
use url::Url;

use super::Request;
use super::base::shown;
use super::exchange::Trouble;
use super::retry::Patience;
use crate::error::{Error, ErrorKind};

/// Why there is no page. The texts name what was asked, where, what came and the remedy.
#[derive(thiserror::Error)]
pub enum FetchError {
    /// 401: the key is not known; no other request will fare better.
    #[error("{0}")]
    Key(String),
    /// 403: the key lacks the right to this endpoint.
    #[error("{0}")]
    Forbidden(String),
    /// 404: what was asked for does not exist, or no longer.
    #[error("{0}")]
    NotFound(String),
    /// An answer that will not change by asking again: 400, a redirect, a page that is too large at any limit.
    #[error("{0}")]
    Refused(String),
    /// The same complete body failed to parse in the same way three times: it is for the caller's careful path.
    #[error("{request} was answered three times with the same body, which cannot be read: {reason}")]
    Content {
        /// What was asked, as [`Request::describe`] gives it.
        request: String,
        /// The body as it came, decoded.
        body: Bytes,
        /// As in [`super::Response`].
        sequence: u64,
        /// What the caller's `read` said.
        reason: String,
    },
    /// Nothing but trouble for as long as patience lasts: no connection, 429, 5xx, bodies that break off.
    #[error(transparent)]
    Unanswered(Error),
    /// No usable page in the tries that there are.
    #[error(transparent)]
    Failed(Error),
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Unanswered(error) | FetchError::Failed(error) => error,
            FetchError::Key(message) => Self::new(ErrorKind::Key, message),
            FetchError::Forbidden(message) => Self::new(ErrorKind::Forbidden, message),
            FetchError::NotFound(_) | FetchError::Refused(_) | FetchError::Content { .. } => {
                Self::api(error.to_string())
            }
        }
    }
}

/// Like `Display`: the body is personal data and has no place in a log.
impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Key(_) => "Key",
            Self::Forbidden(_) => "Forbidden",
            Self::NotFound(_) => "NotFound",
            Self::Refused(_) => "Refused",
            Self::Content { .. } => "Content",
            Self::Unanswered(_) => "Unanswered",
            Self::Failed(_) => "Failed",
        };
        f.debug_tuple(name).field(&self.to_string()).finish()
    }
}

/// What is asked and where, for texts.
pub(super) struct Place {
    request: String,
    base: String,
}

impl Place {
    pub(super) fn new(base: &Url, request: &Request) -> Self {
        Self {
            request: request.describe(),
            base: shown(base).to_owned(),
        }
    }

    /// A status that is no success and will not become one; `reason` is the server's.
    pub(super) fn refused(&self, status: StatusCode, reason: Option<String>) -> FetchError {
        let Self { request, base } = self;
        let said = said(status, reason);
        match status {
            StatusCode::UNAUTHORIZED => FetchError::Key(format!(
                "Customer.io refused the key at {base} ({said}); check it (CIO_TOKEN, or the file of --token-file), and that its workspace is at this address (--region, or --api-url)"
            )),
            StatusCode::FORBIDDEN => FetchError::Forbidden(format!(
                "the key has no right to {request} at {base} ({said}); give the App API key the scope for it, or leave the stream out"
            )),
            StatusCode::NOT_FOUND => FetchError::NotFound(format!(
                "Customer.io has nothing for {request} at {base} ({said}); it was deleted, or CIO_API_URL is wrong"
            )),
            _ => FetchError::Refused(format!(
                "Customer.io refused {request} at {base} ({said}), and asking the same again will not help; report this line with the version of this program"
            )),
        }
    }

    /// A redirect to `target`.
    pub(super) fn redirected(&self, status: StatusCode, target: &str) -> FetchError {
        let Self { request, base } = self;
        FetchError::Refused(format!(
            "{base} redirects {request} to {target} ({}), where the key is not sent; set CIO_API_URL to the address that answers itself",
            status.as_u16()
        ))
    }

    /// A page over the largest size, which no limit makes smaller.
    pub(super) fn too_large(&self, megabytes: usize) -> FetchError {
        let Self { request, base } = self;
        FetchError::Refused(format!(
            "the answer to {request} at {base} is over {megabytes} MiB and cannot be asked for in smaller pages; leave the stream out and report this line"
        ))
    }

    /// Patience has run out; `last` is what went wrong at last.
    pub(super) fn out_of_patience(&self, patience: &Patience, last: &Trouble) -> Error {
        let Self { request, base } = self;
        let wait = last
            .wait
            .map(|wait| format!(", which asks to be left alone for {} s", wait.as_secs()));
        let (last_text, wait) = (&last.text, wait.unwrap_or_default());
        let remedy = if last.is_unreached() {
            "look at the network, and at --api-url or CIO_API_URL where one is given"
        } else {
            "give the same command again later"
        };
        let (tries, seconds) = (patience.tries(), patience.limit().as_secs_f64());
        Error::api(format!(
            "no usable answer to {request} from {base} in {seconds:.0} s and {tries} tries, the last one: {last_text}{wait}; {remedy}"
        ))
    }

    /// Three complete bodies that are no page.
    pub(super) fn no_page(&self, reason: &str) -> Error {
        let Self { request, base } = self;
        Error::api(format!(
            "the answer to {request} from {base} was no usable page in three tries: {reason}; run again later, and report this line if it stays"
        ))
    }
}

/// The status and the server's own words, e.g. `403: no scope`.
pub(super) fn said(status: StatusCode, reason: Option<String>) -> String {
    match reason {
        Some(reason) => format!("{}: {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Catalog;

    fn place() -> Place {
        let stream = Catalog::load().unwrap().get("activities").unwrap();
        let base = Url::parse("https://api.customer.io").unwrap();
        Place::new(&base, &Request::of(&stream, None))
    }

    fn error(status: u16, reason: Option<&str>) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        place().refused(status, reason.map(str::to_owned)).into()
    }

    #[test]
    fn a_refused_key_names_the_host_and_the_remedy() {
        assert_eq!(
            error(401, None).to_string(),
            "Customer.io refused the key at https://api.customer.io (401); check it (CIO_TOKEN, or the file of --token-file), and that its workspace is at this address (--region, or --api-url)"
        );
    }

    #[test]
    fn the_kind_says_who_has_to_act() {
        let kind = |status| error(status, None).kind();
        assert_eq!(kind(401), ErrorKind::Key);
        assert_eq!(kind(403), ErrorKind::Forbidden);
        assert_eq!(kind(404), ErrorKind::Api);
        assert_eq!(kind(400), ErrorKind::Api);
    }

    #[test]
    fn a_refusal_names_the_request_the_status_and_the_words_of_the_server() {
        let text = error(403, Some("no scope")).to_string();
        assert!(text.contains("GET /v1/activities?limit=100 at https://api.customer.io (403: no scope)"));
    }

    #[test]
    fn debug_does_not_print_a_body() {
        let error = FetchError::Content {
            request: "GET /v1/activities".into(),
            body: Bytes::from_static(b"person@example.com"),
            sequence: 1,
            reason: "line 1".into(),
        };
        assert!(!format!("{error:?}").contains("person"));
    }
}
