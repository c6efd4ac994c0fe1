//! What is found, under names that stay.

use serde::Serialize;

use crate::error::ErrorKind;
use crate::manifest::Version;

/// What can be found; `docs/format.md` lists the names, which never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A manifest version cannot be read.
    ManifestDamaged,
    /// A manifest version has a newer format.
    ManifestNewer,
    /// Partitions lie in a folder of which no manifest tells.
    ManifestMissing,
    /// This binary does not know the table's stream, so its rows cannot be checked.
    UnknownStream,
    /// An entry without an object.
    Missing,
    /// A partition without an entry.
    Unlisted,
    /// An object in the table's folder that is no partition of the table.
    Foreign,
    /// An object of another size than its entry says.
    Size,
    /// An object of other bytes than its entry says.
    Checksum,
    /// An object that is no Parquet file, or whose rows cannot be decoded.
    Unreadable,
    /// A file that names another stream in its footer.
    Stream,
    /// A file with other columns, or another schema version, than the table.
    Schema,
    /// Another number of rows than the entry says.
    Rows,
    /// Another least or greatest time or key than the entry says.
    Ends,
    /// Rows that are not in the table's order.
    Order,
    /// Rows of another day than the path says.
    Day,
    /// A key that stands more than once in one partition.
    DoubledInPartition,
    /// A key that stands in more than one partition of a table.
    DoubledInTable,
    /// Listed as going, and still there: the next run deletes it.
    Removing,
    /// Stored by a run that has not ended well, or not ended yet, and not entered: the next run adopts it.
    NotEntered,
}

impl FindingKind {
    /// Whether something is wrong; otherwise it is what an unfinished run leaves behind, and the next one puts it right.
    pub fn is_damage(self) -> bool {
        !matches!(self, Self::Removing | Self::NotEntered)
    }
}

/// One thing that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The object, relative to the lake.
    pub path: String,
    /// What is wrong.
    pub kind: FindingKind,
    /// Whether it counts: see [`FindingKind::is_damage`].
    pub damage: bool,
    /// What was found and what to do, for a person.
    pub detail: String,
    /// The other partition that a doubled key stands in.
    #[serde(skip)]
    pub also: Option<String>,
}

impl Finding {
    /// A finding on the object at `path`, which is relative to the lake.
    pub fn new(kind: FindingKind, path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind,
            damage: kind.is_damage(),
            detail: detail.into(),
            also: None,
        }
    }
}

/// What was found in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// The table's name.
    pub table: String,
    /// Its stream; `None` when no version of the manifest can be read.
    pub stream: Option<String>,
    /// The version that it was held against.
    pub version: Option<u64>,
    /// How many partitions that version names.
    pub partitions: usize,
    /// Their rows.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
    /// In order of path.
    pub findings: Vec<Finding>,
}

impl TableReport {
    /// A table of which nothing is known yet.
    pub fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            stream: None,
            version: None,
            partitions: 0,
            rows: 0,
            bytes: 0,
            findings: Vec::new(),
        }
    }

    /// Names the version that the table is held against.
    pub fn against(&mut self, version: &Version) {
        let state = &version.state;
        self.stream = Some(state.stream.clone());
        self.version = Some(version.number);
        self.partitions = state.partitions.len();
        self.rows = state.rows();
        self.bytes = state.partitions.values().map(|file| file.bytes).sum();
    }

    /// Whether anything is wrong.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.damage)
    }
}

/// What was found in a lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// 0 when nothing is wrong, 6 otherwise.
    pub exit_code: u8,
    /// In order of name.
    pub tables: Vec<TableReport>,
}

impl VerifyReport {
    /// The report on `tables`.
    pub fn of(mut tables: Vec<TableReport>) -> Self {
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        for table in &mut tables {
            table.findings.sort();
            // An object that cannot be read may fail in more than one pass.
            table
                .findings
                .dedup_by(|a, b| (&a.path, a.kind, &a.also) == (&b.path, b.kind, &b.also));
        }
        let damaged = tables.iter().any(TableReport::is_damaged);
        Self {
            exit_code: if damaged { ErrorKind::Storage.exit_code() } else { 0 },
            tables,
        }
    }
}
