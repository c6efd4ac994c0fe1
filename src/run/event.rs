//! What a run tells while it goes on; the engine speaks, the terminal listens.

use std::sync::Arc;

use super::report::StreamReport;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// A stream begins to read.
    Started {
        /// The stream's name.
        stream: String,
        /// How many days lie ahead; `None` where nobody can know.
        days: Option<u64>,
    },
    /// How much there is to ask for is known better; may be told again.
    Expected {
        /// The stream's name.
        stream: String,
        /// The requests that it will have sent when it is done, as far as can be told.
        requests: u64,
    },
    /// A page was read and decoded.
    Page {
        /// The stream's name.
        stream: String,
        /// Rows in the page.
        rows: u64,
        /// Requests sent for this stream so far, retries included.
        requests: u64,
    },
    /// Rows are in the lake; the manifest names them now, or with its next version, without which the next run adopts them.
    Committed {
        /// The stream's name.
        stream: String,
        /// What it was, for people.
        what: String,
        /// How many of the days that lay ahead; `None` where days are not what is counted.
        days: Option<u64>,
    },
    /// Something the user should know that does not end the stream.
    Notice {
        /// The stream's name.
        stream: String,
        /// One sentence, lowercase, no full stop.
        text: String,
    },
    /// A stream has ended, well or not.
    Ended(Box<StreamReport>),
}

/// Receives every event, in order per stream; must not block.
pub type Listener = Arc<dyn Fn(RunEvent) + Send + Sync>;
