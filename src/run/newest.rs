//! What the manifest says of a run's tables before it claims them.

use futures::future::try_join_all;

use super::settings::Job;
use crate::error::Result;
use crate::manifest::{TableState, newest};
use crate::storage::Storage;

/// The newest state of each job's table, in the order of the jobs; `None` for one that was never written.
///
/// # Errors
/// Storage, also for a version that is damaged or of a newer format.
pub async fn newest_states(jobs: &[Job], storage: &Storage) -> Result<Vec<Option<TableState>>> {
    let versions = jobs.iter().map(|job| newest(storage, &job.table));
    let versions = try_join_all(versions).await?;
    Ok(versions
        .into_iter()
        .map(|version| version.map(|version| version.state))
        .collect())
}
