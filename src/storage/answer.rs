//! What a store answered when it refused: `object_store` hands it on as text.

use std::error::Error as StdError;
use std::fmt;

use reqwest::StatusCode;

use super::client::answered;

const STATUS: &str = "status code: ";
const REDIRECT: &str = "redirect without LOCATION";

/// A refusal in the store's own words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// Its name for what is wrong; empty when it gave none, as on HEAD.
    pub(super) code: String,
    phrase: String,
    message: String,
    region: Option<String>,
    retries: Option<String>,
}

impl Answer {
    /// The refusal inside `cause`; `None` when the store did not answer at all.
    pub(super) fn of(cause: &(dyn StdError + 'static)) -> Option<Self> {
        let text = chain(cause);
        if text.contains(REDIRECT) {
            return Some(Self {
                status: 301,
                code: String::new(),
                phrase: "a redirect".to_owned(),
                message: String::new(),
                region: Some(String::new()),
                retries: None,
            });
        }
        let (before, after) = text.split_once(STATUS)?;
        let phrase = after.split([':', '<']).next().unwrap_or_default().trim();
        let code = element(after, "Code");
        let status = answered(phrase.split(' ').next()?.parse().ok()?);
        let name = StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let said = format!("{status} {}", name.unwrap_or_default()).trim_end().to_owned();
        let malformed = matches!(
            code,
            "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException"
        );
        Some(Self {
            status,
            code: code.to_owned(),
            phrase: said,
            message: element(after, "Message").replace('\n', " "),
            region: malformed.then(|| element(after, "Region").to_owned()),
            retries: before
                .split_once("after ")
                .and_then(|(_, rest)| rest.split_once(" retries"))
                .map(|(count, _)| count.to_owned()),
        })
    }

    /// The region that the bucket lies in, when that is what is wrong; empty when the store does not say which.
    pub(super) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store answered {}", self.phrase)?;
        if !self.code.is_empty() {
            write!(f, ", {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match &self.retries {
            Some(count) => write!(f, " (after {count} retries)"),
            None => Ok(()),
        }
    }
}

impl StdError for Answer {}

/// Every text in the chain; libraries repeat their causes, which does no harm here.
fn chain(cause: &(dyn StdError + 'static)) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(error) = next {
        text.push(' ');
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// The text of the first `<name>` element.
fn element<'a>(text: &'a str, name: &str) -> &'a str {
    let inside = text.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    inside
        .and_then(|rest| rest.split('<').next())
        .unwrap_or_default()
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_failed_is_no_answer() {
        let cause = std::io::Error::other("connection reset");
        assert_eq!(Answer::of(&cause), None);
    }

    #[test]
    fn an_answer_without_a_body_has_its_status() {
        let cause = std::io::Error::other(
            "Error performing HEAD x in 2s, after 3 retries, max_retries: 10 - Server returned non-2xx status code: 503 Service Unavailable: ",
        );
        let answer = Answer::of(&cause).unwrap();
        assert_eq!((answer.status, answer.code.as_str()), (503, ""));
        assert_eq!(
            answer.to_string(),
            "the store answered 503 Service Unavailable (after 3 retries)"
        );
    }
}
