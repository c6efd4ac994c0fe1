//! The config file: what a nightly export says every night. The key itself is never in it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

/// A description is shown on one line.
const DESCRIPTION_LENGTH: usize = 140;

/// The file's contents.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Shown by `catalog` and kept in the manifest.
    pub description: Option<String>,
    /// Where the lake is.
    pub to: Option<String>,
    /// The workspace's region.
    pub region: Option<String>,
    /// When a scheduler runs; only it reads this.
    pub trigger: Option<String>,
    /// The time zone of `trigger`.
    pub timezone: Option<String>,
    /// When a scheduler makes a run a full-table run.
    pub full_sync: Option<String>,
    /// Put before every table name.
    pub prefix: Option<String>,
    /// How the store that `to` names is reached.
    #[serde(default)]
    pub storage: StorageConfig,
    /// What of every stream's rows is left out or hashed.
    #[serde(default)]
    pub columns: ColumnsConfig,
    /// The streams to export; all of them when there is no such section.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamConfig>,
}

/// What is said about the store. Keys are never in it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// The address of a store that speaks S3, Google's or Azure's protocol.
    pub endpoint: Option<String>,
    /// The region of an S3 bucket.
    pub region: Option<String>,
    /// Whether an S3 bucket stands in the path of a URL or in its host name.
    pub path_style: Option<bool>,
    /// The section of the AWS profile files that holds the keys.
    pub profile: Option<String>,
}

/// What is said about one stream.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// The table's name.
    pub table: Option<String>,
    /// `incremental` or `full-table`.
    pub sync: Option<String>,
    /// The beginning of the range.
    pub since: Option<String>,
    /// How far before the mark rows are read again.
    pub lookback: Option<String>,
    /// What of its rows is left out or hashed besides.
    #[serde(default)]
    pub columns: ColumnsConfig,
}

/// Paths of columns, such as `recipient`, `identifiers.email` or `_extra.phone`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnsConfig {
    /// They are left out.
    pub exclude: Vec<String>,
    /// Their HMAC-SHA-256 stands in their place.
    pub hash: Vec<String>,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Input, naming the file, the line and the nearest known key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text =
            text.map_err(|e| Error::input(format!("cannot read the config file {}", path.display())).caused_by(e))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The file at `path`, or nothing said when none is given.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_or_default(path: Option<&Path>) -> Result<Self> {
        path.map_or_else(|| Ok(Self::default()), Self::read)
    }

    fn parse(text: &str, name: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| fault(text, name, &e))?;
        let length = config.description.as_deref().map_or(0, |text| text.chars().count());
        if length > DESCRIPTION_LENGTH {
            return Err(Error::input(format!(
                "{name}: description has {length} characters; shorten it to {DESCRIPTION_LENGTH}"
            )));
        }
        Ok(config)
    }
}

fn fault(text: &str, name: &str, error: &toml::de::Error) -> Error {
    let line = error
        .span()
        .map_or(1, |span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
    let message = error.message().replace('\n', " ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let nearest = quoted
        .next()
        .filter(|_| message.starts_with("unknown field"))
        .and_then(|wrong| {
            let known = quoted.map(|known| (strsim::jaro_winkler(known, wrong), known));
            known
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, known)| (wrong, known))
        });
    match nearest {
        Some((wrong, known)) => Error::input(format!("{name}:{line}: unknown key {wrong:?}; did you mean {known:?}?")),
        None => Error::input(format!("{name}:{line}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_gets_its_line_and_the_nearest_one() {
        let text = "to = \"./lake\"\n[streams.activities]\nsnyc = \"incremental\"\n";
        let error = Config::parse(text, "c.toml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "c.toml:3: unknown key \"snyc\"; did you mean \"sync\"?"
        );
    }

    #[test]
    fn a_description_fits_on_a_line() {
        let text = format!("description = \"{}\"", "x".repeat(141));
        assert!(Config::parse(&text, "c.toml").is_err());
    }
}
