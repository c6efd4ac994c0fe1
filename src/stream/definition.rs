//! A stream: where its rows come from, what identifies them, how they are laid out and kept up to date.

use jiff::SignedDuration;
use serde::Deserialize;

use super::column::{Column, yes};
use super::rules::ColumnRules;
use super::treatment::Treatment;

/// One `schemas/<stream>.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The stream's name, and its table's default name.
    pub stream: String,
    /// What one row is.
    pub doc: String,
    /// Raised whenever a column is added; written into every data file.
    pub version: u32,
    /// Exported when no stream is named; the others are exported only when they are.
    #[serde(default = "yes")]
    pub core: bool,
    /// Where the rows come from.
    pub fetch: Fetch,
    /// The column that identifies a row within a partition.
    pub key: String,
    /// The columns by which a partition is sorted; the last one is the key, so that the order is total.
    pub order: Vec<String>,
    /// How rows are spread over objects.
    pub partition: Partition,
    /// How a run finds out what is new.
    pub sync: Shape,
    /// What a row takes in a data file, typically; for forecasts of a table that is empty.
    #[serde(default = "row_bytes")]
    pub row_bytes: u64,
    /// In the order of the table; `_extra` is the last.
    pub columns: Vec<Column>,
    /// What becomes of the fields of a row, by the names that are served.
    #[serde(skip)]
    pub row: Treatment,
    /// The same, of what goes to `_extra` and of rows that are set aside.
    #[serde(skip)]
    pub kept: Treatment,
    /// Nothing goes to `_extra`, and a row that is set aside is withheld.
    #[serde(skip)]
    pub drops_extra: bool,
    /// The rules that this stream is under; files say which they were written under.
    #[serde(skip)]
    pub rules: ColumnRules,
}

fn row_bytes() -> u64 {
    100
}

/// An endpoint of the App API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// The HTTP method.
    pub method: Method,
    /// The path; `{id}` stands for the id of a transactional message.
    pub path: String,
    /// Fixed query parameters.
    #[serde(default)]
    pub query: Vec<(String, String)>,
    /// The JSON body of a POST.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
    /// The keys that lead to the rows in a response: an array of rows, or one object that is the row.
    pub rows: Vec<String>,
    /// Absent when one response holds everything.
    #[serde(default)]
    pub paging: Option<Paging>,
    /// Rows are asked for once per row of this other stream, by its `id`.
    #[serde(default)]
    pub each: Option<String>,
}

/// The HTTP methods that read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Everything in the URL.
    Get,
    /// A filter in the body.
    Post,
}

/// Cursor paging: `next` in the response goes back as `start`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Rows asked for in one page.
    pub limit: u32,
}

/// How rows are spread over objects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", deny_unknown_fields)]
pub enum Partition {
    /// One object holds the whole table.
    None,
    /// `date=` the UTC day of a time column.
    Day {
        /// The time column.
        column: String,
    },
    /// `date=` the UTC day of the run's idea of now.
    RunDay,
}

/// How a run finds out what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "shape", deny_unknown_fields)]
pub enum Shape {
    /// The whole list, each time.
    List,
    /// Newest first without a time filter: from the newest row back to a bound.
    Scan {
        /// Days read again before the mark.
        lookback_days: u32,
        /// Days for which the API promises to serve rows.
        retention_days: u32,
    },
    /// The present values, a row per transactional message, kept by day.
    Snapshot,
    /// Time windows of each transactional message.
    Windows {
        /// Days read again before the mark.
        lookback_days: u32,
        /// Days before now that a first run takes when nothing is said.
        first_days: u32,
        /// The longest window that is asked for at once, in days; the API shortens a request of more than twelve months silently.
        window_days: u32,
    },
}

impl Shape {
    /// How far before the mark an incremental run reads again.
    pub fn lookback(self) -> Option<SignedDuration> {
        match self {
            Self::Scan { lookback_days, .. } | Self::Windows { lookback_days, .. } => {
                Some(SignedDuration::from_hours(24 * i64::from(lookback_days)))
            }
            Self::List | Self::Snapshot => None,
        }
    }
}

impl Stream {
    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The position of the column called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The time column that decides a row's partition, where there is one.
    pub fn time_column(&self) -> Option<&str> {
        match &self.partition {
            Partition::Day { column } => Some(column),
            Partition::None | Partition::RunDay => None,
        }
    }

    /// A fingerprint of names and types: tables written with equal fingerprints hold equal columns.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for field in super::schema::arrow_schema(self).fields() {
            hash.update(format!("{}\t{}\n", field.name(), field.data_type()));
        }
        hash.finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
