//! The name of one run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

const LONGEST: usize = 64;

/// Names one run in claims, versions and staging folders; ids made later sort later when the caller makes them so (UUID v7).
///
/// It is the name of a folder: one to 64 ASCII letters, digits and `-`, the first a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if text.is_empty() || text.len() > LONGEST || text.starts_with('-') || !known {
            return Err(Error::input(format!(
                "`{text}` is not a run id: use one to {LONGEST} letters, digits and `-`"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RunId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_a_safe_folder_name() {
        let id = uuid::Uuid::now_v7().to_string();
        assert_eq!(id.parse::<RunId>().unwrap().to_string(), id);
        for bad in ["", "..", "a/b", "-rf", "a.evicted", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stored_run_id_is_validated_too() {
        assert!(serde_json::from_str::<RunId>("\"../etc\"").is_err());
        assert_eq!(serde_json::from_str::<RunId>("\"r-1\"").unwrap().as_str(), "r-1");
    }
}
