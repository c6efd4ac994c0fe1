//! The listing of a table's folder against the entries of its manifest: what is there, what is not, and what is to be read.

use jiff::civil::Date;

use super::finding::{Finding, FindingKind};
use crate::manifest::{Difference, DifferenceKind, PartitionFile, TableState, compare};
use crate::storage::ObjectInfo;
use crate::storage::layout::{object_path, parse_partition_path};
use crate::stream::{Partition, Stream};

/// What to do about a partition that cannot be trusted.
pub const REMEDY: &str =
    "restore it from a copy, or move it away and run `export`, which asks again for what is still served";

/// A stored partition.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where it is.
    pub info: ObjectInfo,
    /// The UTC day in its path.
    pub day: Option<Date>,
    /// What the manifest says of it.
    pub entry: Option<PartitionFile>,
}

/// The stored partitions of a table, without what is listed as going.
pub fn subjects(listing: &[ObjectInfo], state: &TableState, stream: Option<&Stream>) -> Vec<Subject> {
    let subject = |info: &ObjectInfo| {
        let name = inside(info, state)?;
        let day = parse_partition_path(&info.path)?.date;
        let wanted = !state.removing.iter().any(|going| going == name) && fits(stream, day);
        wanted.then(|| Subject {
            info: info.clone(),
            day,
            entry: state.partitions.get(name).cloned(),
        })
    };
    listing.iter().filter_map(subject).collect()
}

/// What the listing alone shows; partitions without an entry and of another size are judged by whoever knows more of them.
pub fn absent_and_foreign(listing: &[ObjectInfo], state: &TableState, stream: Option<&Stream>) -> Vec<Finding> {
    let differences = compare(listing, &state.table, state);
    let mut findings: Vec<Finding> = differences.iter().filter_map(|one| of_difference(one, state)).collect();
    for info in listing {
        let Some(name) = inside(info, state) else { continue };
        if state.removing.iter().any(|going| going == name) {
            let detail = "listed as going and still there; the next `export` deletes it";
            findings.push(Finding::new(FindingKind::Removing, &info.path, detail));
        } else if parse_partition_path(&info.path).is_some_and(|path| !fits(stream, path.date)) {
            findings.push(foreign(&info.path));
        }
    }
    findings
}

fn of_difference(difference: &Difference, state: &TableState) -> Option<Finding> {
    let path = object_path(&state.table, &difference.path);
    match (difference.kind, &difference.entry) {
        (DifferenceKind::Foreign, _) => Some(foreign(&path)),
        (DifferenceKind::Missing, entry) => {
            let rows = entry.as_ref().map_or(0, |entry| entry.rows);
            let detail = format!(
                "the manifest names it with {rows} rows and it is not there; restore it from a copy, or run `export`, which asks again for what is still served"
            );
            Some(Finding::new(FindingKind::Missing, path, detail))
        }
        _ => None,
    }
}

fn foreign(path: &str) -> Finding {
    let detail = "no partition of this table; move it out of the folder, for readers take it for data or trip over it";
    Finding::new(FindingKind::Foreign, path, detail)
}

fn inside<'a>(info: &'a ObjectInfo, state: &TableState) -> Option<&'a str> {
    info.path.strip_prefix(&state.table)?.strip_prefix('/')
}

/// Whether a table of the stream has partitions by day, or one object, as the path has.
fn fits(stream: Option<&Stream>, day: Option<Date>) -> bool {
    stream.is_none_or(|stream| day.is_some() != (stream.partition == Partition::None))
}
