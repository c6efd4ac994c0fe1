//! One numbered version: created once, never changed; the highest is the truth.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::TableState;
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::storage::layout::{MANIFEST, parse_version_path, version_folder, version_path};
use crate::storage::{Created, ObjectInfo, RunId, Storage};

/// The stored form that this binary writes, and the highest that it reads.
pub const FORMAT: u32 = 3;

/// How often a version may vanish between being listed and being read.
const LOOKS: u32 = 5;

/// A version of a table's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1 on.
    pub number: u64,
    /// The whole state.
    pub state: TableState,
    /// When it was written, on the real clock.
    pub written_at: Timestamp,
    /// The run that wrote it.
    pub run: RunId,
}

/// How the creation of a version ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Creation {
    /// It is stored as we wrote it.
    Done,
    /// Another version of this run has the number: an earlier attempt whose answer was lost.
    OtherOfOurs,
    /// Another run has the number.
    Taken,
}

/// The stored form, for writing (`S` is a reference) and for reading.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<S> {
    format: u32,
    version: u64,
    written_at: Timestamp,
    run: RunId,
    state: S,
}

/// What is read of a version before anything else: the rest may have any form in another format.
#[derive(Deserialize)]
struct Envelope {
    format: u32,
}

/// The newest version of a table; `None` when the table was never written.
///
/// # Errors
///
/// Storage, also for a version of a newer format or one that is damaged.
pub async fn newest(storage: &Storage, table: &str) -> Result<Option<Version>> {
    Ok(newest_listed(storage, table).await?.0)
}

/// The newest version, and all that are there, in order.
pub(super) async fn newest_listed(storage: &Storage, table: &str) -> Result<(Option<Version>, Vec<ObjectInfo>)> {
    // A listed version may be pruned before it is read; by then there are newer ones.
    for _ in 0..LOOKS {
        let mut listed = storage.list(&version_folder(table)).await?;
        listed.retain(|info| parse_version_path(&info.path).is_some());
        let Some(last) = listed.last().and_then(|info| parse_version_path(&info.path)) else {
            return Ok((None, listed));
        };
        if let Some(version) = read(storage, table, last.number).await? {
            return Ok((Some(version), listed));
        }
    }
    let place = storage.place(&version_folder(table));
    Err(Error::storage(format!(
        "the versions in {place} vanish while they are read, give the same command again"
    )))
}

/// What a stored version turned out to be.
#[derive(Debug)]
pub enum Reading {
    /// It can be read.
    Good(Box<Version>),
    /// There is none, or none any more.
    Gone,
    /// A newer binary wrote it.
    Newer(Error),
    /// It cannot be read, or is not what its name says.
    Damaged(Error),
}

/// The numbers of all versions of a table, in order.
///
/// # Errors
///
/// Storage, when they cannot be listed.
pub async fn numbers(storage: &Storage, table: &str) -> Result<Vec<u64>> {
    let found = storage.list(&version_folder(table)).await?;
    Ok(found
        .iter()
        .filter_map(|info| Some(parse_version_path(&info.path)?.number))
        .collect())
}

/// Reads one version and tells what is wrong with it, where [`newest`] fails.
///
/// # Errors
///
/// Storage, when the store does not answer.
pub async fn look(storage: &Storage, table: &str, number: u64) -> Result<Reading> {
    let path = version_path(table, number);
    let Some(bytes) = storage.get(&path).await? else {
        return Ok(Reading::Gone);
    };
    Ok(match decode(&storage.place(&path), table, number, &bytes) {
        Ok(version) => Reading::Good(Box::new(version)),
        Err(Fault::Newer(error)) => Reading::Newer(error),
        Err(Fault::Damaged(error)) => Reading::Damaged(error),
    })
}

/// The names of all tables that have a version, in order.
pub async fn tables(storage: &Storage) -> Result<Vec<String>> {
    let versions = storage.list(MANIFEST).await?;
    let names: BTreeSet<String> = versions
        .iter()
        .filter_map(|info| Some(parse_version_path(&info.path)?.table))
        .collect();
    Ok(names.into_iter().collect())
}

/// The highest number above `number`.
pub(super) async fn highest_after(storage: &Storage, table: &str, number: u64) -> Result<Option<u64>> {
    let later = storage
        .list_after(&version_folder(table), &version_path(table, number))
        .await?;
    Ok(later
        .iter()
        .filter_map(|info| Some(parse_version_path(&info.path)?.number))
        // Not every store heeds where a list is to begin.
        .filter(|later| *later > number)
        .max())
}

impl Version {
    /// Stores the version unless its number is taken.
    ///
    /// # Errors
    ///
    /// Storage. It may be stored all the same; creating it again is safe.
    pub(super) async fn create(&self, storage: &Storage) -> Result<Creation> {
        let path = version_path(&self.state.table, self.number);
        let bytes = self.encode()?;
        for _ in 0..LOOKS {
            pass(Step::VersionDue);
            let created = storage.create(&path, bytes.clone()).await;
            pass(Step::VersionStored);
            if matches!(created, Ok(Created::Done)) {
                return Ok(Creation::Done);
            }
            // A lost answer is not a lost write: only what is stored tells who has the number.
            return match (storage.get(&path).await, created) {
                (Ok(Some(stored)), _) if stored == bytes => Ok(Creation::Done),
                (Ok(Some(stored)), _) => self.compare(&storage.place(&path), &stored),
                (Ok(None), Err(cause)) => Err(cause),
                // A store may refuse one of two that come at once, and then the other one too.
                (Ok(None), Ok(_)) => continue,
                (Err(_), Err(cause)) | (Err(cause), Ok(_)) => Err(self.in_doubt(storage, cause)),
            };
        }
        Ok(Creation::Taken)
    }

    /// A version that was just created below others, in a hole that pruning had left, describes nothing; it goes again.
    pub(super) async fn retract(&self, storage: &Storage) {
        let path = version_path(&self.state.table, self.number);
        if let Err(error) = storage.delete(&path).await {
            tracing::warn!(error = %error.chain(), "cannot take a version back that nobody follows; it does no harm");
        }
    }

    /// `cause` leaves open whether this version is the newest; the next run finds out.
    pub(super) fn in_doubt(&self, storage: &Storage, cause: Error) -> Error {
        let place = storage.place(&version_path(&self.state.table, self.number));
        let text =
            format!("cannot tell whether {place} was created and counts; the same command finds out and goes on");
        Error::storage(text).caused_by(cause)
    }

    fn compare(&self, place: &str, stored: &[u8]) -> Result<Creation> {
        let other = decode(place, &self.state.table, self.number, stored)?;
        Ok(if other.run == self.run {
            Creation::OtherOfOurs
        } else {
            Creation::Taken
        })
    }

    /// The stored form.
    ///
    /// # Errors
    ///
    /// Internal, never in practice.
    pub fn encode(&self) -> Result<Bytes> {
        let stored = Stored {
            format: FORMAT,
            version: self.number,
            written_at: self.written_at,
            run: self.run.clone(),
            state: &self.state,
        };
        let mut text = serde_json::to_vec_pretty(&stored)
            .map_err(|cause| Error::internal("a manifest version cannot be written as JSON").caused_by(cause))?;
        text.push(b'\n');
        Ok(text.into())
    }

    /// Reads the stored form, whatever number and table it names; `place` stands in errors.
    ///
    /// # Errors
    ///
    /// Storage, for a newer format and for what is damaged.
    pub fn parse(place: &str, bytes: &[u8]) -> Result<Self> {
        Ok(parse(place, bytes)?)
    }
}

/// Why a version cannot be read.
#[derive(Debug)]
enum Fault {
    Newer(Error),
    Damaged(Error),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Newer(error) | Fault::Damaged(error) => error,
        }
    }
}

async fn read(storage: &Storage, table: &str, number: u64) -> Result<Option<Version>> {
    let path = version_path(table, number);
    let bytes = storage.get(&path).await?;
    let version = bytes.map(|bytes| decode(&storage.place(&path), table, number, &bytes));
    Ok(version.transpose()?)
}

fn decode(place: &str, table: &str, number: u64, bytes: &[u8]) -> Result<Version, Fault> {
    let version = parse(place, bytes)?;
    if version.number != number || version.state.table != table {
        let text = format!("it says version {} of table {}", version.number, version.state.table);
        return Err(damaged(place, text));
    }
    Ok(version)
}

fn parse(place: &str, bytes: &[u8]) -> Result<Version, Fault> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|cause| damaged(place, cause))?;
    if envelope.format > FORMAT {
        return Err(Fault::Newer(Error::storage(format!(
            "{place} has format {}, this version of cio2parquet reads up to {FORMAT}: use a newer one",
            envelope.format
        ))));
    }
    let stored: Stored<TableState> = serde_json::from_slice(bytes).map_err(|cause| damaged(place, cause))?;
    Ok(Version {
        number: stored.version,
        state: stored.state,
        written_at: stored.written_at,
        run: stored.run,
    })
}

fn damaged(place: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    let text = format!("{place} is damaged, move it away to go back to the version before it");
    Fault::Damaged(Error::storage(text).caused_by(cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SchemaRef;
    use crate::manifest::tests::{strike_next_create, unreliable_lake};
    use crate::storage::unreliable::Fault;
    use crate::stream::ColumnRules;

    fn version(number: u64, run: &str) -> Version {
        let schema = SchemaRef {
            version: 1,
            fingerprint: "f".into(),
        };
        Version {
            number,
            state: TableState::new("activities", "t", schema),
            written_at: Timestamp::UNIX_EPOCH,
            run: run.parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn the_highest_is_the_newest_and_comes_back_as_it_was() {
        let lake = Storage::in_memory();
        assert_eq!(newest(&lake, "t").await.unwrap(), None);
        for number in [9, 10, 2] {
            assert_eq!(version(number, "r").create(&lake).await.unwrap(), Creation::Done);
        }
        assert_eq!(newest(&lake, "t").await.unwrap(), Some(version(10, "r")));
        assert_eq!(highest_after(&lake, "t", 10).await.unwrap(), None);
        assert_eq!(tables(&lake).await.unwrap(), ["t"]);
    }

    #[tokio::test]
    async fn a_number_is_given_once() {
        let lake = Storage::in_memory();
        version(1, "a").create(&lake).await.unwrap();
        assert_eq!(version(1, "b").create(&lake).await.unwrap(), Creation::Taken);
        let mut other = version(1, "a");
        other.state.rejected = 1;
        assert_eq!(other.create(&lake).await.unwrap(), Creation::OtherOfOurs);
        assert_eq!(newest(&lake, "t").await.unwrap(), Some(version(1, "a")));
    }

    #[tokio::test]
    async fn a_lost_answer_is_not_a_lost_write() {
        let (store, lake) = unreliable_lake();
        for (number, fault) in [(1, Fault::Repeated), (2, Fault::Lost)] {
            strike_next_create(&store, fault);
            assert_eq!(
                version(number, "r").create(&lake).await.unwrap(),
                Creation::Done,
                "{fault:?}"
            );
        }
        strike_next_create(&store, Fault::Fails);
        assert!(version(3, "r").create(&lake).await.is_err());
        assert_eq!(version(3, "r").create(&lake).await.unwrap(), Creation::Done);
    }

    #[test]
    fn a_newer_format_is_refused_by_name_whatever_else_it_holds() {
        let error = decode("/lake/v", "t", 1, br#"{"format": 4, "marks": []}"#).unwrap_err();
        let error = Error::from(error);
        assert!(error.chain().contains("/lake/v has format 4"), "{}", error.chain());
    }

    #[test]
    fn what_is_unknown_or_out_of_place_is_not_guessed_at() {
        let good = String::from_utf8(version(1, "r").encode().unwrap().to_vec()).unwrap();
        assert!(decode("v", "t", 1, good.as_bytes()).is_ok());
        for bad in [
            good.replace("\"mark\"", "\"marks\""),
            good.replace("\"t\"", "\"u\""),
            good.replacen('}', "", 1),
            String::new(),
        ] {
            let error = Error::from(decode("v", "t", 1, bad.as_bytes()).unwrap_err());
            assert!(error.chain().starts_with("v is damaged"), "{}", error.chain());
        }
        assert!(decode("v", "t", 2, good.as_bytes()).is_err());
    }

    /// Old data must stay readable: the example in the documentation is never edited for a format that was released.
    #[test]
    fn the_documented_example_is_what_is_written() {
        let page = include_str!("../../docs/format.md");
        let (_, rest) = page.split_once("```json\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let version = decode("docs/format.md", "deliveries", 42, example.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(version.encode().unwrap().to_vec()).unwrap(), example);
    }

    #[test]
    fn format_2_is_read_with_the_default_that_the_documentation_names() {
        let page = include_str!("../../docs/format.md");
        let example = page.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
        let old = example.replace("\"format\": 3", "\"format\": 2");
        let old = old.replace(",\n      \"topped\": null", "");
        assert!(!old.contains("topped") && old.contains("\"reached\""));
        let state = decode("old", "deliveries", 42, old.as_bytes()).unwrap().state;
        assert_eq!(state.scan.unwrap().topped, None);
    }

    /// Written once by the first release and never edited.
    #[test]
    fn format_1_is_read_with_the_defaults_that_the_documentation_names() {
        let old = include_bytes!("../../tests/golden/manifest-format-1.json");
        let state = decode("old", "deliveries", 42, old).unwrap().state;
        assert_eq!((state.rows(), state.runs.len()), (2, 1));
        assert_eq!((state.prefix, state.full_synced), (None, None));
        assert_eq!(state.columns, ColumnRules::default());
    }
}
