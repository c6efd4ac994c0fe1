//! One error type for every room: what kind it is decides the exit code, the text names the thing, the place and the remedy.

use std::error::Error as StdError;
use std::{fmt, io};

/// The result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act, and with which exit code a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A fault of the program itself.
    Internal,
    /// Settings or input that cannot be used; nothing was sent.
    Input,
    /// Customer.io does not know the key (401), in no region that was asked.
    Key,
    /// The key lacks the right (403).
    Forbidden,
    /// Customer.io could not be read.
    Api,
    /// The lake could not be read or written.
    Storage,
    /// Another run holds a table.
    Held,
}

impl ErrorKind {
    /// The process exit code of a run that ends with this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Input => 2,
            Self::Key => 3,
            Self::Forbidden => 4,
            Self::Api => 5,
            Self::Storage => 6,
            Self::Held => 7,
        }
    }
}

/// A kind, one sentence without a full stop, and what caused it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    others: Vec<String>,
}

impl Error {
    /// An error of `kind`; `message` is a lowercase fragment that names the thing, the place and the remedy.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            others: Vec::new(),
        }
    }

    /// A fault of the program itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Settings or input that cannot be used.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// Customer.io could not be read.
    pub fn api(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Api, message)
    }

    /// The lake could not be read or written.
    pub fn storage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Storage, message)
    }

    /// Chains the cause; it is printed after the message, never pasted into it.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// More of the same kind that is wrong, found in the same look: each is a line of its own.
    pub fn and(mut self, others: impl IntoIterator<Item = String>) -> Self {
        self.others.extend(others);
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message followed by every cause, on one line.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let part = error.to_string();
            // Libraries often repeat their cause in their own text.
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text.replace('\n', " ")
    }

    /// What there is to tell: the chain, and a line for each other thing that is wrong.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let others = self.others.iter().map(|other| other.replace('\n', " "));
        std::iter::once(self.chain()).chain(others)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// The one of `known` that was most likely meant by `name`, for the remedy of a mistake.
pub fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    let likenesses = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(known.as_ref(), name), known));
    let likely = likenesses.filter(|(likeness, _)| *likeness > LIKELY);
    likely.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// How alike two names must be, from 0 to 1, for one to be taken for the other.
const LIKELY: f64 = 0.75;

/// What the operating system said, however deep a library has wrapped it.
pub fn io_kind(cause: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(cause);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found.kind());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_every_cause_once() {
        let inner = std::io::Error::other("disk on fire");
        let error = Error::storage("cannot write part-0.parquet").caused_by(inner);
        assert_eq!(error.chain(), "cannot write part-0.parquet: disk on fire");
        assert_eq!(error.kind().exit_code(), 6);
    }

    #[test]
    fn what_else_is_wrong_has_lines_of_its_own() {
        let cause = std::io::Error::other("why");
        let error = Error::input("a").caused_by(cause).and(["b\nc".to_owned()]);
        assert_eq!(error.lines().collect::<Vec<_>>(), ["a: why", "b c"]);
    }
}
