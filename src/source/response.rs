//! What a caller reads, and how it says that it could not.

use std::fmt;

use bytes::Bytes;

/// A complete body that came with a success.
#[derive(Clone)]
pub struct Response {
    /// Decoded, at most 32 MiB.
    pub body: Bytes,
    /// The number of the logical request in the whole run, drawn when its first attempt started: of two rows with the same
    /// key the one with the larger number is the newer. Retries keep the number.
    pub sequence: u64,
}

/// A body is personal data: only its size is printed.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("bytes", &self.body.len())
            .field("sequence", &self.sequence)
            .finish()
    }
}

/// Why a caller's `read` could not use a body; the text names the place inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no complete JSON, and may be at the next attempt.
    NotJson(String),
    /// It is complete, but not all of it can be read: if it stays the same, this is what the server has to say.
    Content(String),
    /// It parses, but what must stand around the rows is missing or wrong.
    Envelope(String),
}

impl Unreadable {
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::NotJson(reason) | Self::Content(reason) | Self::Envelope(reason) => reason,
        }
    }
}
