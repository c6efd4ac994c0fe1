//! What is done at the end, however the operations went: nothing of it may stay.

use object_store::{ObjectStoreExt, PutPayload};
use tokio::time::timeout;

use super::bench::Bench;
use super::report::{Operation, ProbeReport};
use super::walk::LIMIT;
use crate::storage::layout::STAGING;

impl Bench<'_> {
    /// Takes away whatever may be there still; what could not be, as a person would look for it.
    pub(super) async fn clean(&self, report: &ProbeReport) -> Vec<String> {
        let mut left = Vec::new();
        if report.tried(Operation::Create) && !report.good(Operation::Delete) {
            left.extend(self.clear(&self.object(), report.good(Operation::Create)).await);
        }
        let listed = !report.tried(Operation::ListUploads) || report.good(Operation::ListUploads);
        if report.tried(Operation::Upload) && !(report.good(Operation::Upload) && listed) {
            left.extend(self.clear(&self.parts(), false).await);
            left.extend(self.clear_uploads().await);
        }
        // Where nothing may be deleted, what is put in the place of the parts would stay too.
        if report.tried(Operation::Upload) && !report.refused(Operation::Delete) && self.lake.uploads().is_none() {
            left.extend(self.drop_parts().await);
        }
        if self.lake.close_staging(self.run).await.is_err() {
            left.push(self.lake.place(STAGING));
        }
        self.remove_folders().await;
        left
    }

    /// On disk only. A folder that something else is inside of is wanted, or told already.
    async fn remove_folders(&self) {
        let folder = self.folder.clone();
        let removed = self.lake.on_disk("remove", &self.folder, move |disk| {
            let folder = disk.root().join(folder);
            std::fs::remove_dir(&folder).ok();
            folder.parent().map(std::fs::remove_dir);
            Ok(())
        });
        // Folders without anything inside are no loss.
        removed.await.ok();
    }

    /// Deletes what may stand at `path`; names it when it stays, as far as anybody knows.
    async fn clear(&self, path: &str, was_put: bool) -> Option<String> {
        let cleared = timeout(LIMIT, async {
            let mut deleted = self.lake.delete(path).await;
            if deleted.is_err() {
                // An answer that was lost, or a moment that was bad.
                deleted = self.lake.delete(path).await;
            }
            (deleted.is_ok(), self.lake.head(path).await)
        });
        let stays = match cleared.await {
            Ok((_, Ok(found))) => found.is_some(),
            Ok((true, Err(_))) => false,
            Ok((false, Err(_))) | Err(_) => was_put,
        };
        stays.then(|| self.lake.place(path))
    }

    /// Azure knows no abort, and keeps parts out of sight for a week unless something is put in their place.
    async fn drop_parts(&self) -> Option<String> {
        let path = self.lake.locate(&self.parts()).ok()?;
        let put = self.lake.store().put(&path, PutPayload::new());
        let put = timeout(LIMIT, put).await;
        self.clear(&self.parts(), matches!(put, Ok(Ok(_)))).await
    }

    async fn clear_uploads(&self) -> Option<String> {
        let aborted = timeout(LIMIT, self.lake.abort_uploads(&self.folder)).await;
        let listed = timeout(LIMIT, self.lake.count_uploads(&self.folder)).await;
        // Where neither can be done, the abort that failed has been told.
        let stay = aborted.is_err() || matches!(listed, Ok(Ok(Some(1..))));
        stay.then(|| format!("an unfinished upload below {}", self.lake.place(&self.folder)))
    }
}
