//! Forgetting versions that nobody needs any more.

use jiff::{SignedDuration, Timestamp};

use super::TableWriter;
use crate::crash::{Step, pass};
use crate::error::Result;
use crate::storage::ObjectInfo;
use crate::storage::layout::parse_version_path;

const LEAST_KEPT: usize = 200;
/// No younger version is ever pruned.
pub(super) const YOUNGEST_PRUNED: SignedDuration = SignedDuration::from_hours(7 * 24);

impl TableWriter {
    /// Deletes versions that are neither among the newest 200 nor younger than seven days; how many.
    ///
    /// The oldest goes first: a version that is gone implies that all before it are gone, on which a release relies. What was listed
    /// when the table was claimed is all that can be old enough.
    pub async fn prune(&mut self) -> Result<usize> {
        let limit = (self.clock)().checked_sub(YOUNGEST_PRUNED).unwrap_or(Timestamp::MIN);
        let last = self.listed.last().and_then(|info| parse_version_path(&info.path));
        let since = last.map_or(0, |last| self.number().saturating_sub(last.number));
        let old = surplus(&self.listed, usize::try_from(since).unwrap_or(usize::MAX), limit);
        let count = old.len();
        for version in old {
            self.storage.delete(&version.path).await?;
            pass(Step::VersionPruned);
        }
        self.listed.drain(..count);
        Ok(count)
    }
}

/// The leading versions that may go; `versions` are in order of number, and `since` more were made after them.
fn surplus(versions: &[ObjectInfo], since: usize, limit: Timestamp) -> &[ObjectInfo] {
    let beyond = versions.len().saturating_add(since).saturating_sub(LEAST_KEPT);
    let is_old = |info: &ObjectInfo| info.modified.is_some_and(|modified| modified < limit);
    let count = versions.iter().take(beyond).take_while(|info| is_old(info)).count();
    versions.get(..count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(days_old: impl Iterator<Item = i64>) -> Vec<ObjectInfo> {
        let now = Timestamp::from_second(100 * 86_400).unwrap();
        let info = |days: i64| ObjectInfo {
            path: String::new(),
            bytes: 0,
            etag: None,
            version: None,
            modified: now.checked_sub(SignedDuration::from_hours(24 * days)).ok(),
        };
        days_old.map(info).collect()
    }

    fn pruned(days_old: impl Iterator<Item = i64>) -> usize {
        let limit = Timestamp::from_second(93 * 86_400).unwrap();
        surplus(&versions(days_old), 0, limit).len()
    }

    #[test]
    fn two_hundred_versions_and_seven_days_are_kept() {
        assert_eq!(pruned(std::iter::repeat_n(90, 200)), 0);
        assert_eq!(pruned(std::iter::repeat_n(90, 205)), 5);
        assert_eq!(pruned(std::iter::repeat_n(6, 300)), 0);
        assert_eq!(pruned([9, 8].into_iter().chain(std::iter::repeat_n(6, 300))), 2);
    }

    #[test]
    fn versions_that_were_made_since_the_list_count_as_kept() {
        let limit = Timestamp::from_second(93 * 86_400).unwrap();
        assert_eq!(surplus(&versions(std::iter::repeat_n(90, 200)), 3, limit).len(), 3);
        assert_eq!(surplus(&versions(std::iter::repeat_n(90, 2)), 500, limit).len(), 2);
    }

    #[test]
    fn no_hole_is_left_below_a_version_that_stays() {
        assert_eq!(pruned([9, 1, 9].into_iter().chain(std::iter::repeat_n(6, 300))), 1);
    }
}
