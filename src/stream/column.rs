//! A column: its name in the lake, its type, where it comes from in the JSON and how Parquet stores it.

use serde::Deserialize;

/// One column, or one field of a struct column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The name in the lake.
    pub name: String,
    /// The type, and what the JSON means.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// The JSON names, the first that fits wins; empty means the column's own name.
    #[serde(default)]
    pub from: Vec<String>,
    /// The value comes from the request; `from` then only names aliases that must agree.
    #[serde(default)]
    pub context: Option<Context>,
    /// False for the key only.
    #[serde(default = "yes")]
    pub nullable: bool,
    /// How Parquet stores it.
    #[serde(default)]
    pub encoding: Encoding,
    /// Not compared when rows are: a row in which nothing else changed keeps its stored value.
    #[serde(default)]
    pub volatile: bool,
    /// It tells whom a row is about, as an e-mail address does.
    #[serde(default)]
    pub personal: bool,
    /// What it means, for `streams` and `docs/streams.md`.
    pub doc: String,
    /// The fields of a struct.
    #[serde(default)]
    pub fields: Vec<Column>,
}

/// The types of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// UTF-8 text; a number becomes its text.
    Text,
    /// A signed 64-bit integer; a numeric string or `1.0` becomes the integer.
    Integer,
    /// A boolean.
    Boolean,
    /// Unix seconds in JSON, `timestamp[us, UTC]` in the lake.
    Time,
    /// Any JSON value, kept as its text.
    Json,
    /// A list of integers.
    Integers,
    /// An object with known fields.
    Struct,
    /// `_extra`: what no other column could hold, as JSON text.
    Extra,
}

/// A value that the request knows and the response does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// The transactional message in the path.
    TransactionalId,
    /// The run's idea of now.
    RequestedAt,
    /// The bucket size asked for.
    Period,
    /// The number of buckets asked for.
    Steps,
}

/// How Parquet stores a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Dictionary: few distinct values.
    #[default]
    Dictionary,
    /// `DELTA_LENGTH_BYTE_ARRAY`: text in which values seldom repeat; a file in whose first rows they do takes a dictionary.
    DeltaLength,
    /// `DELTA_BINARY_PACKED`: times and counters.
    DeltaPacked,
}

impl Column {
    /// The JSON names under which the value may arrive, the first that fits wins.
    pub fn json_names(&self) -> impl Iterator<Item = &str> {
        let own = (self.from.is_empty() && self.context.is_none()).then_some(self.name.as_str());
        own.into_iter().chain(self.from.iter().map(String::as_str))
    }

    /// Whether `name` means this column, in the lake or in JSON.
    pub fn goes_by(&self, name: &str) -> bool {
        self.name == name || self.json_names().any(|served| served == name)
    }
}

pub(super) fn yes() -> bool {
    true
}
