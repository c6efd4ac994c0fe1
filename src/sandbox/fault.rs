//! What can go wrong with one answer.

use serde::{Deserialize, Serialize};

/// What goes wrong with one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// This status: 429 with the documented body, everything else with a page of HTML.
    Status {
        /// The HTTP status.
        code: u16,
        /// The value of a `Retry-After` header.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// This status, with a body that repeats every header of the request, the key among them.
    Echo {
        /// The HTTP status.
        code: u16,
    },
    /// A redirect to another address.
    Redirect {
        /// The HTTP status.
        code: u16,
        /// The value of the `Location` header.
        to: String,
    },
    /// A request with a cursor is refused with 400, as if the cursor had expired; others are answered as usual.
    ExpiredCursor,
    /// The connection is cut before the first byte of the body.
    CutBefore,
    /// The connection is cut in the middle of the body.
    CutInside,
    /// The connection is reset before the first byte of the answer.
    Reset,
    /// The connection is reset in the middle of the body.
    ResetInside,
    /// `Content-Length` announces more than comes before the connection is closed.
    LongLength,
    /// `Content-Length` announces half of what comes; the connection stays open with the rest on it.
    ShortLength,
    /// The body comes in pieces over so many milliseconds.
    Slow {
        /// How long the body takes.
        ms: u64,
    },
    /// Half of the body comes, then nothing.
    Stall {
        /// After so many milliseconds the other half comes; never when not said.
        #[serde(default)]
        ms: Option<u64>,
    },
    /// 200 with a page of HTML.
    Html,
    /// 200 with bytes that are no text.
    Garbage,
    /// 200 with JSON that ends in the middle, on a connection that does not.
    Truncated,
    /// 200 with white space before the JSON, up to a size that says nothing about the rows.
    Padded {
        /// The size of the decoded body.
        bytes: usize,
    },
    /// 200 without the envelope's data key.
    NoEnvelope,
    /// 200 with an empty array as the last page.
    Empty,
    /// 200 with an empty page that leads on to another one, without end.
    EndlessPages,
    /// The page's `next` is the cursor that asked for it.
    RepeatCursor,
    /// The page's `next` leads to the same page under another cursor, and from there back.
    CursorLoop,
}
