//! The end of a full-table run: rows that the API was proven not to serve any more are taken away, all at once or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::committer::{Work, emptied, enter, merge_all};
use super::pipeline::Ended;
use super::table::Table;
use crate::columnar::Fetched;
use crate::error::Result;
use crate::manifest::FullTable;
use crate::storage::layout;

/// Tables of up to this many rows may shrink as they like.
const SMALL: u64 = 100;

/// Keys that are not served any more, by the partition's path relative to the table's folder.
type Candidates = BTreeMap<String, Vec<String>>;

/// Makes `keys` of the partition at `path` candidates; a day that is read again speaks against the same rows again.
pub fn speak_against(full: &mut FullTable, path: &str, keys: Vec<String>) {
    let known = full.candidates.entry(path.to_owned()).or_default();
    known.extend(keys);
    known.sort_unstable();
    known.dedup();
}

/// Takes the candidates of `full` away from the table, or leaves it as it is and says so. Answers whether that completes the
/// full-table run.
///
/// Rows that were set aside do not keep it from being complete: reading everything once more would set them aside again. A run that
/// served no row at all, or would take more than half of the table away, proves nothing but that something is wrong, unless the user
/// said otherwise.
///
/// # Errors
/// Stopped, Storage, Held.
pub async fn remove(table: &Arc<Table>, full: &FullTable) -> Result<bool, Ended> {
    let candidates = &full.candidates;
    let doomed: u64 = candidates.values().map(|keys| keys.len() as u64).sum();
    if doomed == 0 {
        return Ok(true);
    }
    if full.rejected > 0 {
        table.tally.counts().gaps.push(format!(
            "{doomed} rows of table {:?} were left although they were not served: {} rows were set aside that may be theirs",
            table.job.table, full.rejected
        ));
        return Ok(true);
    }
    // What this run has added says nothing about what it may take away.
    let stored = full.stored;
    let too_many = stored > SMALL && doomed * 2 > stored;
    if (too_many || full.fetched == 0) && !table.run.settings.allow_shrink {
        table.tally.counts().gaps.push(format!(
            "{doomed} of {stored} rows of table {:?} are not served any more; they were left as they are, --allow-shrink takes them away",
            table.job.table
        ));
        return Ok(false);
    }
    let work = candidates
        .iter()
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(path, keys)| {
            let day = layout::partition_date(path);
            Work::removal(day, keys.iter().cloned().collect())
        });
    let merged = merge_all(table, work.collect()).await?;
    table.commit(|state| enter(state, &merged)).await?;
    table.remove(emptied(&merged)).await?;
    Ok(true)
}

/// A row that turns up after all is no candidate any more.
///
/// # Errors
/// Storage, when fetched rows that went to disk cannot be read.
pub fn spare(candidates: &mut Candidates, path: &str, fetched: &Fetched) -> Result<()> {
    let mut left = Vec::new();
    for key in candidates.remove(path).unwrap_or_default() {
        if !fetched.contains(&key)? {
            left.push(key);
        }
    }
    if !left.is_empty() {
        candidates.insert(path.to_owned(), left);
    }
    Ok(())
}
