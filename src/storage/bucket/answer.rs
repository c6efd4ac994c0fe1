//! What a store answered when it refused: `object_store` hands it on as text.

use std::error::Error as StdError;
use std::fmt;

use reqwest::StatusCode;

use super::client::answered;

const STATUS: &str = "status code: ";
/// How a refusal is told that stands inside another answer: Azure deletes many objects with one request.
const INSIDE: &str = "Bulk delete request failed";
const REDIRECT: &str = "redirect without LOCATION";

/// A refusal in the store's own words.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::storage) struct Answer {
    /// The HTTP status.
    pub(in crate::storage) status: u16,
    /// Its name for what is wrong; empty when it gave none, as on HEAD.
    pub(in crate::storage) code: String,
    /// Whether it is about one object of a request that was answered itself.
    inside: bool,
    phrase: String,
    message: String,
    region: Option<String>,
    retries: Option<String>,
}

impl Answer {
    /// The refusal inside `cause`; `None` when the store did not answer at all.
    pub(in crate::storage) fn of(cause: &(dyn StdError + 'static)) -> Option<Self> {
        let text = chain(cause);
        if let Some((_, inside)) = text.split_once(INSIDE) {
            return Self::inside(inside);
        }
        if text.contains(REDIRECT) {
            return Some(Self {
                status: 301,
                code: String::new(),
                inside: false,
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
        let malformed = matches!(
            code,
            "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException"
        );
        Some(Self {
            status,
            code: code.to_owned(),
            inside: false,
            phrase: named(status),
            message: element(after, "Message").replace('\n', " "),
            region: malformed.then(|| element(after, "Region").to_owned()),
            retries: before
                .split_once("after ")
                .and_then(|(_, rest)| rest.split_once(" retries"))
                .map(|(count, _)| count.to_owned()),
        })
    }

    /// From " for key KEY: REASON (code: NNN)"; a key has no colon followed by a space that the reason has not.
    fn inside(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(" (code: ")?;
        let status = after.split(')').next()?.parse().ok()?;
        let (_, reason) = before.split_once(": ").unwrap_or_default();
        Some(Self {
            status,
            code: String::new(),
            inside: true,
            phrase: named(status),
            message: reason.to_owned(),
            region: None,
            retries: None,
        })
    }

    /// Whether the store will not do it however often it is asked. A conflict inside is no race: Azure says so of an object that a policy
    /// or a legal hold keeps.
    pub(in crate::storage) fn is_for_good(&self) -> bool {
        matches!(self.status, 401 | 403 | 501) || (self.inside && self.status == 409)
    }

    /// The region that the bucket lies in, when that is what is wrong; empty when the store does not say which.
    pub(in crate::storage) fn region(&self) -> Option<&str> {
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

/// A status with its name.
fn named(status: u16) -> String {
    let name = StatusCode::from_u16(status).ok();
    let name = name.and_then(|status| status.canonical_reason());
    format!("{status} {}", name.unwrap_or_default()).trim_end().to_owned()
}

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

    #[test]
    fn a_refusal_inside_an_answer_is_one() {
        for (text, status, for_good) in [
            (
                "This request is not authorized to perform this operation using this permission.",
                403,
                true,
            ),
            (
                "This operation is not permitted as the blob is immutable due to a policy.",
                409,
                true,
            ),
            ("Server Busy", 503, false),
            ("There is currently a lease on the blob.", 412, false),
        ] {
            let cause = object_store::Error::Generic {
                store: "MicrosoftAzure",
                source: format!("Bulk delete request failed for key t/date=x/part-0.parquet: {text} (code: {status})")
                    .into(),
            };
            let answer = Answer::of(&cause).unwrap();
            assert_eq!((answer.status, answer.is_for_good()), (status, for_good));
            let said = answer.to_string();
            assert!(said.starts_with(&format!("the store answered {status} ")), "{said}");
            assert!(said.ends_with(&format!(": {text}")), "{said}");
        }
        let unanswered = std::io::Error::other("Error performing bulk delete request: connection reset");
        assert_eq!(Answer::of(&unanswered), None);
    }
}
