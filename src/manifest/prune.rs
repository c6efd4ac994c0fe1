//! Forgetting versions that nobody needs any more.

use jiff::{SignedDuration, Timestamp};

use super::TableWriter;
use crate::crash::{Step, pass};
use crate::error::Result;
use crate::storage::ObjectInfo;
use crate::storage::layout::{parse_version_path, version_folder};

const LEAST_KEPT: usize = 200;
const YOUNGEST_PRUNED: SignedDuration = SignedDuration::from_hours(7 * 24);

impl TableWriter {
    /// Deletes versions that are neither among the newest 200 nor younger than seven days; how many.
    ///
    /// The oldest goes first: a version that is gone implies that all before it are gone, on which a release relies.
    pub async fn prune(&self) -> Result<usize> {
        let mut versions = self.storage.list(&version_folder(&self.state().table)).await?;
        versions.retain(|info| parse_version_path(&info.path).is_some());
        let limit = (self.clock)().checked_sub(YOUNGEST_PRUNED).unwrap_or(Timestamp::MIN);
        let old = surplus(&versions, limit);
        for version in old {
            self.storage.delete(&version.path).await?;
            pass(Step::VersionPruned);
        }
        Ok(old.len())
    }
}

/// The leading versions that may go; `versions` are in order of number.
fn surplus(versions: &[ObjectInfo], limit: Timestamp) -> &[ObjectInfo] {
    let beyond = versions.len().saturating_sub(LEAST_KEPT);
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
        surplus(&versions(days_old), limit).len()
    }

    #[test]
    fn two_hundred_versions_and_seven_days_are_kept() {
        assert_eq!(pruned(std::iter::repeat_n(90, 200)), 0);
        assert_eq!(pruned(std::iter::repeat_n(90, 205)), 5);
        assert_eq!(pruned(std::iter::repeat_n(6, 300)), 0);
        assert_eq!(pruned([9, 8].into_iter().chain(std::iter::repeat_n(6, 300))), 2);
    }

    #[test]
    fn no_hole_is_left_below_a_version_that_stays() {
        assert_eq!(pruned([9, 1, 9].into_iter().chain(std::iter::repeat_n(6, 300))), 1);
    }
}
