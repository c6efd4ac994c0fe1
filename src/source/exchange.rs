//! One attempt: a request goes out, and what came back is sorted into what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, LOCATION};
use reqwest::{Method as HttpMethod, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use super::body::{BodyError, LARGEST_PAGE, read_reason, read_up_to};
use super::client::Inner;
use super::error::{Place, said};
use super::retry::retry_after;
use super::{FetchError, Request};
use crate::stream::Method;

const UNREACHED: &str = "cannot connect";
const DAMAGED: &str = "the body broke off or is damaged";

/// What an attempt came to.
pub(super) enum Answer {
    /// A success with its complete body.
    Body(Bytes),
    /// A success with a body over [`LARGEST_PAGE`].
    TooLarge,
    /// Worth another attempt.
    Trouble(Trouble),
    /// Not worth another attempt.
    Refused(FetchError),
}

/// Something that may be over at the next attempt.
pub(super) struct Trouble {
    /// What happened, without its cause.
    pub(super) text: String,
    pub(super) cause: Option<Box<dyn StdError + Send + Sync>>,
    /// How long the server asks to wait.
    pub(super) wait: Option<Duration>,
    /// It was too much for the whole workspace, not just for this request.
    pub(super) rate_limited: bool,
}

impl Trouble {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            cause: None,
            wait: None,
            rate_limited: false,
        }
    }

    /// Whether nobody was there to answer.
    pub(super) fn is_unreached(&self) -> bool {
        self.text == UNREACHED
    }

    fn network(error: reqwest::Error) -> Self {
        let text = match &error {
            e if e.is_timeout() => "timed out",
            e if e.is_connect() => UNREACHED,
            e if e.is_body() || e.is_decode() => DAMAGED,
            _ => "the connection broke",
        };
        Self {
            // The URL is named with its meaning where the error is made.
            cause: Some(Box::new(error.without_url())),
            ..Self::new(text)
        }
    }

    fn body(error: BodyError) -> Self {
        match error {
            BodyError::Network(error) => Self::network(error),
            damaged @ BodyError::Damaged(_) => Self {
                cause: Some(Box::new(damaged)),
                ..Self::new(DAMAGED)
            },
        }
    }
}

impl fmt::Display for Trouble {
    /// With the innermost cause, which is the one that tells: `cannot connect: Connection refused (os error 111)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        let mut innermost = self.cause.as_deref().map(|cause| cause as &dyn StdError);
        while let Some(inner) = innermost.and_then(StdError::source) {
            innermost = Some(inner);
        }
        innermost.map_or(Ok(()), |cause| write!(f, ": {cause}"))
    }
}

impl Inner {
    /// Sends `request` once. The limiter has been paid.
    pub(super) async fn exchange(&self, base: &Url, request: &Request) -> Answer {
        let conversation = self.converse(base, request);
        // A body that drips forever never trips the idle timeout.
        timeout(self.patience, conversation).await.unwrap_or_else(|_| {
            let seconds = self.patience.as_secs_f64();
            Answer::Trouble(Trouble::new(format!("no complete answer in {seconds:.0} s")))
        })
    }

    async fn converse(&self, base: &Url, request: &Request) -> Answer {
        let started = Instant::now();
        let response = match self.send(base, request).await {
            Ok(response) => response,
            Err(error) => return Answer::Trouble(Trouble::network(error)),
        };
        let status = response.status();
        let answer = self.receive(response, base, request).await;
        let bytes = match &answer {
            Answer::Body(body) => body.len(),
            _ => 0,
        };
        let ms = started.elapsed().as_millis() as u64;
        tracing::debug!(name: "request", request = %request.describe(), status = status.as_u16(), ms, bytes, "answered");
        answer
    }

    async fn send(&self, base: &Url, request: &Request) -> reqwest::Result<reqwest::Response> {
        let method = match request.method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
        };
        let mut outgoing = self.http.request(method, request.url(base));
        outgoing = outgoing
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip");
        if let Some(body) = &request.body {
            outgoing = outgoing.json(body);
        }
        self.token.sign(outgoing).send().await
    }

    async fn receive(&self, mut response: reqwest::Response, base: &Url, request: &Request) -> Answer {
        let status = response.status();
        if status.is_success() {
            return match read_up_to(&mut response, LARGEST_PAGE).await {
                Ok(Some(body)) => Answer::Body(body),
                Ok(None) => Answer::TooLarge,
                Err(error) => Answer::Trouble(Trouble::body(error)),
            };
        }
        if is_passing(status) {
            let wait = retry_after(response.headers(), SystemTime::now());
            let reason = read_reason(response, &self.token).await;
            return Answer::Trouble(Trouble {
                wait,
                rate_limited: status == StatusCode::TOO_MANY_REQUESTS,
                ..Trouble::new(said(status, reason))
            });
        }
        let place = Place::new(base, request);
        Answer::Refused(if status.is_redirection() {
            place.redirected(status, &target(response.headers(), base))
        } else {
            place.refused(status, read_reason(response, &self.token).await)
        })
    }
}

/// Whether the same request may fare better in a while.
fn is_passing(status: StatusCode) -> bool {
    use StatusCode as Status;
    let of_the_moment = [
        Status::REQUEST_TIMEOUT,
        Status::CONFLICT,
        Status::LOCKED,
        Status::TOO_EARLY,
        Status::TOO_MANY_REQUESTS,
    ];
    of_the_moment.contains(&status) || status.is_server_error()
}

/// The host that a redirect leads to; the rest of the address may hold anything.
fn target(headers: &HeaderMap, base: &Url) -> String {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| base.join(location).ok());
    let host = url.as_ref().and_then(Url::host_str);
    host.unwrap_or("an unnamed address").to_owned()
}
