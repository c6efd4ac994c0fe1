//! What is stored against what the manifest says.

use std::collections::BTreeMap;

use super::{PartitionFile, TableState};
use crate::storage::ObjectInfo;
use crate::storage::layout::parse_partition_path;

/// One object or entry that does not have its counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path inside the table's folder.
    pub path: String,
    /// What is wrong.
    pub kind: DifferenceKind,
    /// What is stored there.
    pub info: Option<ObjectInfo>,
    /// What the manifest says of it.
    pub entry: Option<PartitionFile>,
}

/// What can differ between store and manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// A stored partition without an entry: to be adopted.
    Unknown,
    /// A stored partition whose size is not that of its entry: to be adopted.
    Changed,
    /// Only the ETag differs: to be compared by checksum, for it changes on disk whenever a lake is copied.
    Look,
    /// An entry without an object.
    Missing,
    /// An object in the table's folder that is no partition: readers take it for data or trip over it.
    Foreign,
}

/// How `listing` (which may hold more than the table) differs from `state`, in order of path. Objects that are listed as going are
/// not reported.
pub fn compare(listing: &[ObjectInfo], table: &str, state: &TableState) -> Vec<Difference> {
    let mut entries: BTreeMap<&str, &PartitionFile> = state.partitions.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut differences = Vec::new();
    for info in listing {
        let Some(name) = info.path.strip_prefix(table).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let entry = entries.remove(name);
        if state.removing.iter().any(|going| going == name) {
            continue;
        }
        differences.extend(judge(info, entry).map(|kind| Difference {
            path: name.to_owned(),
            kind,
            info: Some(info.clone()),
            entry: entry.cloned(),
        }));
    }
    differences.extend(entries.into_iter().map(|(name, entry)| Difference {
        path: name.to_owned(),
        kind: DifferenceKind::Missing,
        info: None,
        entry: Some(entry.clone()),
    }));
    differences.sort_by(|a, b| a.path.cmp(&b.path));
    differences
}

fn judge(info: &ObjectInfo, entry: Option<&PartitionFile>) -> Option<DifferenceKind> {
    if parse_partition_path(&info.path).is_none() {
        return Some(DifferenceKind::Foreign);
    }
    let Some(entry) = entry else {
        return Some(DifferenceKind::Unknown);
    };
    if info.bytes != entry.bytes {
        return Some(DifferenceKind::Changed);
    }
    match (&info.etag, &entry.etag) {
        (Some(stored), Some(known)) if bare(stored) != bare(known) => Some(DifferenceKind::Look),
        _ => None,
    }
}

/// Azure quotes ETags everywhere but in lists, and some proxies call them weak.
pub fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SchemaRef;

    fn info(path: &str, bytes: u64, etag: &str) -> ObjectInfo {
        ObjectInfo {
            path: path.into(),
            bytes,
            etag: Some(etag.into()),
            version: None,
            modified: None,
        }
    }

    fn entry(bytes: u64, etag: Option<&str>) -> PartitionFile {
        PartitionFile {
            rows: 1,
            bytes,
            sha256: String::new(),
            etag: etag.map(Into::into),
            schema: 1,
            least_time: None,
            greatest_time: None,
            least_key: None,
            greatest_key: None,
        }
    }

    fn name(day: u8) -> String {
        format!("date=2026-11-{day:02}/part-0.parquet")
    }

    #[test]
    fn every_kind_of_difference_is_found_and_nothing_else() {
        let schema = SchemaRef {
            version: 1,
            fingerprint: String::new(),
        };
        let mut state = TableState::new("s", "t", schema);
        for (day, file) in [
            (1, entry(10, Some("a"))),
            (2, entry(10, Some("a"))),
            (3, entry(10, Some("a"))),
            (4, entry(10, Some("a"))),
            (5, entry(10, None)),
            (7, entry(10, Some("\"a\""))),
        ] {
            state.partitions.insert(name(day), file);
        }
        state.removing.push(name(9));
        let listing = [
            info(&format!("t/{}", name(1)), 10, "a"),
            info(&format!("t/{}", name(2)), 11, "a"),
            info(&format!("t/{}", name(3)), 10, "b"),
            info(&format!("t/{}", name(5)), 10, "b"),
            info(&format!("t/{}", name(6)), 10, "a"),
            info(&format!("t/{}", name(7)), 10, "a"),
            info(&format!("t/{}", name(9)), 10, "a"),
            info("t/notes.txt", 10, "a"),
            info("t2/notes.txt", 10, "a"),
        ];
        let found: Vec<_> = compare(&listing, "t", &state)
            .into_iter()
            .map(|d| (d.path, d.kind))
            .collect();
        let expected = [
            (name(2), DifferenceKind::Changed),
            (name(3), DifferenceKind::Look),
            (name(4), DifferenceKind::Missing),
            (name(6), DifferenceKind::Unknown),
            ("notes.txt".to_owned(), DifferenceKind::Foreign),
        ];
        assert_eq!(found, expected);
    }
}
