//! Every path of a lake, built and parsed; relative to the lake, with `/` between segments.

use jiff::civil::Date;

use super::RunId;
use crate::error::{Error, Result};

/// Where the versions of every table's state lie.
pub const MANIFEST: &str = "_manifest";
/// Where rows that could not be taken lie.
pub const REJECTED: &str = "_rejected";
/// Where objects on their way lie, on disk only.
pub const STAGING: &str = "_staging";
/// Where `check` puts what it deletes again.
pub const CHECK: &str = "_check";

/// How long the name of a table may be.
pub const LONGEST_NAME: usize = 128;
const OBJECT: &str = "part-0.parquet";

/// What the path of a stored partition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPath {
    /// The table's name.
    pub table: String,
    /// The UTC day; `None` for the one object of a table without partitions.
    pub date: Option<Date>,
}

/// What the path of a manifest version says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPath {
    /// The table's name.
    pub table: String,
    /// The version's number.
    pub number: u64,
}

/// `activities/date=2026-11-22/part-0.parquet`, or `customers/part-0.parquet` for a table without partitions.
pub fn partition_path(table: &str, date: Option<Date>) -> String {
    object_path(table, &partition_name(date))
}

/// A partition's path inside its table's folder, as the manifest names it: `date=2026-11-22/part-0.parquet`.
pub fn partition_name(date: Option<Date>) -> String {
    match date {
        Some(date) => format!("date={date}/{OBJECT}"),
        None => OBJECT.to_owned(),
    }
}

/// The UTC day in what [`partition_name`] builds.
pub fn partition_date(name: &str) -> Option<Date> {
    // The table's name does not matter here; only the rest is read.
    parse_partition_path(&object_path("table", name))?.date
}

/// An object inside a table's folder, as a path of the lake.
pub fn object_path(table: &str, name: &str) -> String {
    format!("{table}/{name}")
}

/// Reads what [`partition_path`] builds, and nothing else.
pub fn parse_partition_path(path: &str) -> Option<PartitionPath> {
    let (table, name) = path.split_once('/')?;
    validate_table_name(table).ok()?;
    let date = match name.strip_prefix("date=") {
        Some(rest) => Some(rest.strip_suffix(OBJECT)?.strip_suffix('/')?.parse().ok()?),
        None => None,
    };
    // Dates are parsed in more forms than they are written in; a second form would be a second object of the same partition.
    (partition_path(table, date) == path).then(|| PartitionPath {
        table: table.to_owned(),
        date,
    })
}

/// The folder of a table's versions.
pub fn version_folder(table: &str) -> String {
    format!("{MANIFEST}/{table}")
}

/// `_manifest/<table>/00000000000000000042.json`: twenty digits, so that paths sort as numbers do.
pub fn version_path(table: &str, number: u64) -> String {
    format!("{MANIFEST}/{table}/{number:020}.json")
}

/// Reads what [`version_path`] builds, and nothing else.
pub fn parse_version_path(path: &str) -> Option<VersionPath> {
    let (table, name) = path.strip_prefix(MANIFEST)?.strip_prefix('/')?.split_once('/')?;
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (version_path(table, number) == path).then(|| VersionPath {
        table: table.to_owned(),
        number,
    })
}

/// The folder of a table's rows that could not be taken.
pub fn rejected_folder(table: &str) -> String {
    format!("{REJECTED}/{table}")
}

/// `_rejected/<table>/<sha256 of the row>.json`: a row set aside twice is kept once.
pub fn rejected_path(table: &str, sha256: &str) -> String {
    format!("{REJECTED}/{table}/{sha256}.json")
}

/// The folder of what a run has on its way.
pub fn staging_folder(run: &RunId) -> String {
    format!("{STAGING}/{run}")
}

/// The folder of what a check puts and deletes again.
pub fn check_folder(run: &RunId) -> String {
    format!("{CHECK}/{run}")
}

/// Refuses a table name that is no safe folder name or that would hide the table from a reader.
///
/// # Errors
///
/// Input, naming the table.
pub fn validate_table_name(name: &str) -> Result<()> {
    validate(
        "table name",
        name,
        "a letter or a digit, then letters, digits, `_` and `-`",
    )?;
    if name.is_empty() {
        return Err(Error::input("a table name is empty: give the table a name"));
    }
    Ok(())
}

/// Refuses a prefix of table names that would make one invalid; an empty one is fine.
///
/// # Errors
///
/// Input, naming the prefix.
pub fn validate_prefix(prefix: &str) -> Result<()> {
    validate(
        "table prefix",
        prefix,
        "a letter or a digit, then letters, digits, `_` and `-`",
    )
}

/// Names that start with `_`, `.` or `-` are hidden by some readers and taken for options by others.
fn validate(what: &str, name: &str, remedy: &str) -> Result<()> {
    let known = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !known || name.starts_with(['_', '-']) {
        return Err(Error::input(format!(
            "the {what} `{name}` cannot be used: write {remedy}"
        )));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::input(format!(
            "the {what} `{name}` is too long: use at most {LONGEST_NAME} characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_paths_of_the_contract() {
        let day = Some(date(2026, 11, 22));
        assert_eq!(
            partition_path("activities", day),
            "activities/date=2026-11-22/part-0.parquet"
        );
        assert_eq!(partition_path("customers", None), "customers/part-0.parquet");
        assert_eq!(
            version_path("customers", 42),
            "_manifest/customers/00000000000000000042.json"
        );
        assert_eq!(rejected_path("customers", "ab"), "_rejected/customers/ab.json");
        let run = "r-1".parse().unwrap();
        assert_eq!(staging_folder(&run), "_staging/r-1");
        assert_eq!(check_folder(&run), "_check/r-1");
    }

    #[test]
    fn only_our_own_paths_are_partitions() {
        for foreign in [
            "activities/date=20261122/part-0.parquet",
            "activities/date=2026-11-22/part-1.parquet",
            "activities/date=2026-11-22/part-0.parquet.tmp",
            "activities/date=2026-11-22/part-0.parquet/part-0.parquet",
            "activities/date=2026-02-30/part-0.parquet",
            "activities/year=2026/part-0.parquet",
            "activities/_x.parquet",
            "_staging/part-0.parquet",
            "part-0.parquet",
        ] {
            assert_eq!(parse_partition_path(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn only_our_own_versions_are_versions() {
        for foreign in [
            "_manifest/a/42.json",
            "_manifest/a/+0000000000000000042.json",
            "_manifest/a/00000000000000000042.json.bak",
            "_manifest/00000000000000000042.json",
            "a/00000000000000000042.json",
        ] {
            assert_eq!(parse_version_path(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_table_name_that_readers_or_file_systems_trip_over_is_refused() {
        for name in ["activities", "Cio_2-x", "9"] {
            assert!(validate_table_name(name).is_ok(), "{name}");
        }
        for name in ["", "_x", ".x", "-x", "a/b", "..", "a b", "ä", "a.b", &"x".repeat(129)] {
            assert!(validate_table_name(name).is_err(), "{name}");
        }
        assert!(validate_prefix("").is_ok() && validate_prefix("cio_").is_ok() && validate_prefix("_cio").is_err());
    }

    proptest! {
        #[test]
        fn paths_round_trip(table in "[a-z0-9][a-z0-9_-]{0,20}", days in -700_000i32..2_900_000, number: u64) {
            let day = date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
            for date in [None, Some(day)] {
                let found = parse_partition_path(&partition_path(&table, date));
                prop_assert_eq!(found, Some(PartitionPath { table: table.clone(), date }));
            }
            let found = parse_version_path(&version_path(&table, number));
            prop_assert_eq!(found, Some(VersionPath { table, number }));
        }
    }
}
