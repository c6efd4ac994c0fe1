//! What may stand in the file. The doc comments are the descriptions in its schema.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::mistake::Written;
use super::text::Text;
use crate::error::Error;

/// What a nightly export of `cio2parquet` says every night; a flag or the environment wins over it, and the key is never in it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "cio2parquet.toml")]
pub struct Config {
    /// What the export is for, on one line: `catalog` shows it, and the manifest keeps it.
    #[schemars(length(max = 140), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    #[schemars(extend("examples" = ["Production workspace, nightly"]))]
    pub description: Option<Text>,
    /// Where the lake is: a folder, or a file://, s3://, gs:// or az:// URL.
    #[schemars(length(min = 1), extend("examples" = ["./cio-lake", "s3://acme-lake/customerio"]))]
    pub to: Option<Text>,
    /// The workspace's region; both are tried when it is not given.
    #[schemars(extend("enum" = ["us", "eu"]))]
    pub region: Option<Text>,
    /// When `schedule` runs: minute, hour, day of the month, month and day of the week, as in a crontab.
    #[schemars(extend("examples" = ["0 3 * * *"]))]
    pub trigger: Option<Text>,
    /// The IANA time zone in which `trigger` and `full_sync` are meant; UTC when it is not given.
    #[schemars(extend("examples" = ["Europe/Berlin"]))]
    pub timezone: Option<Text>,
    /// When a full-table run is due, in the form of `trigger`: the first run at or after it is one, until one completes.
    #[schemars(extend("examples" = ["0 4 * * SUN"]))]
    pub full_sync: Option<Text>,
    /// Put before every table name.
    #[schemars(length(max = 128), regex(pattern = r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$"))]
    #[schemars(extend("examples" = ["cio_"]))]
    pub prefix: Option<Text>,
    /// How the store that `to` names is reached. Its keys stay in its own variables.
    #[serde(default)]
    pub storage: StorageConfig,
    /// Columns that are left out or hashed, in every stream that has them.
    #[serde(default)]
    pub columns: ColumnsConfig,
    /// The streams to export, a section for each; every core stream when there is none.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamConfig>,
    #[serde(skip)]
    pub(super) written: Written,
}

/// What is said about the store. Keys are never in it.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// The address of a store that speaks S3, Google's or Azure's protocol; plain http only on this machine.
    #[schemars(regex(pattern = "^https?://[^@?#]+$"), extend("examples" = ["https://minio.example.com"]))]
    pub endpoint: Option<Text>,
    /// The region of an S3 bucket.
    #[schemars(extend("examples" = ["eu-central-1"]))]
    pub region: Option<Text>,
    /// Whether an S3 bucket stands in the path of a URL (true) or in its host name (false).
    pub path_style: Option<bool>,
    /// The section of the AWS profile files that holds the keys.
    #[schemars(extend("examples" = ["lake"]))]
    pub profile: Option<Text>,
}

/// What is said about one stream.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// The table's name, without the prefix; the stream's own when it is not given.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"))]
    #[schemars(extend("examples" = ["people"]))]
    pub table: Option<Text>,
    /// Upsert what is new (incremental), or make the table what the API serves now (full-table); incremental when it is not given.
    #[schemars(extend("enum" = ["incremental", "full-table"]))]
    pub sync: Option<Text>,
    /// The beginning of the range: a date, an instant, or how long ago; rounded down to a UTC day.
    #[schemars(extend("examples" = ["365d", "2026-01-31", "2026-01-31T08:00:00Z"]))]
    pub since: Option<Text>,
    /// How far before the mark rows are read again.
    #[schemars(regex(pattern = r"^\s*[0-9]+\s*(s|m|min|h|d|w|y)\s*$"), extend("examples" = ["30d"]))]
    pub lookback: Option<Text>,
    /// Columns of this stream that are left out or hashed, besides those that are in every stream.
    #[serde(default)]
    pub columns: ColumnsConfig,
}

/// Columns by their path: `recipient`, `identifiers.email`, or `_extra.phone` for what has no column.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnsConfig {
    /// They are left out of the lake.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("examples" = [["subject"]]))]
    pub exclude: Vec<Spanned<String>>,
    /// Their HMAC-SHA-256 stands in their place; its key is in CIO_HASH_KEY.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("examples" = [["recipient", "identifiers.email"]]))]
    pub hash: Vec<Spanned<String>>,
}

impl ColumnsConfig {
    /// Every path, with its place.
    pub fn paths(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.exclude.iter().chain(&self.hash)
    }
}

impl Config {
    /// The file, as errors name it; empty when none was read.
    pub fn name(&self) -> &str {
        self.written.name()
    }

    /// A mistake at a place of the file, for what only those who know more than the file can find.
    pub fn fault(&self, at: Range<usize>, what: &str) -> Error {
        Error::input(format!("{}: {what}", self.written.place(at)))
    }
}
