//! What goes into the decoding of one response body, and what comes out of it.

use arrow::array::RecordBatch;
use jiff::Timestamp;

/// What the request knows and the response does not: the values of columns with a `context`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageContext {
    /// The transactional message in the path.
    pub transactional_id: Option<i64>,
    /// The run's idea of now.
    pub requested_at: Timestamp,
    /// The bucket size asked for.
    pub period: Option<String>,
    /// The number of buckets asked for.
    pub steps: Option<i64>,
}

/// One page as rows of the table.
#[derive(Debug, Clone)]
pub struct DecodedPage {
    /// The rows in the order served, in exactly the table's schema.
    pub rows: RecordBatch,
    /// The cursor to the next page; `None` when it is missing, null or empty.
    pub next: Option<String>,
    /// Rows that cannot stand in the table, in the order served.
    pub rejected: Vec<RejectedRow>,
    /// What was served and is not in the schema, by path.
    pub drift: Vec<Drift>,
    /// Rows in the page, rejected ones included.
    pub served: usize,
}

/// A row that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Where it lies in the page, as a JSON pointer: `/activities/3`.
    pub pointer: String,
    /// Why it cannot stand in the table, as a fragment without a full stop.
    pub reason: String,
    /// Its compact JSON text, or its bytes as text where it cannot be read as JSON.
    pub json: String,
}

/// One way in which served rows differ from the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The field as `_extra` names it: `metrics.secondary:delivered`.
    pub path: String,
    /// How it differs.
    pub kind: DriftKind,
    /// In how many rows of the page.
    pub count: u64,
}

/// How a field differs from the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftKind {
    /// No column is made from it.
    UnknownField,
    /// Its value does not fit its column, or contradicts the value that does.
    Misfit,
}

/// A body that is no page of the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Complete, with rows of which not all can be read: they are for [`decode_carefully`](super::PageDecoder::decode_carefully).
    #[error("not every row of the response can be read: {0}")]
    Rows(String),
    /// Broken syntax, cut short, followed by other text, or not an object.
    #[error("the response is not a JSON object: {0}")]
    NotJson(String),
    /// The pointer to something that a page must have and this one has not, or not of a usable type.
    #[error("the response has nothing usable at {0}")]
    MissingRows(String),
}
