//! The other way in which data changes: an object is taken away for good.

use object_store::{Error as StoreError, ObjectStoreExt};

use super::bucket::answer::Answer;
use super::bucket::client::Again;
use super::failure::failed;
use super::look::{Look, has_aged};
use super::publish::refused_for_good;
use super::{RunId, Storage};
use crate::error::{Error, Result};

/// How a fenced removal ended.
#[derive(Debug)]
pub enum Removed {
    /// Nothing stands there any more.
    Done,
    /// The run was fenced off; nothing was touched.
    Conflict,
    /// The credentials may write and not delete; the object stands.
    Refused(Error),
}

impl Storage {
    /// Removes an object for good unless `run` was fenced off; one that is missing is fine.
    ///
    /// A bucket has no conditional delete: `still_ours` is asked just before.
    pub async fn remove<G>(&self, run: &RunId, path: &str, still_ours: impl Fn() -> G) -> Result<Removed>
    where
        G: Future<Output = Result<bool>>,
    {
        let location = self.locate(path)?;
        let (run, object) = (run.clone(), path.to_owned());
        let withdrawn = self
            .on_disk("delete", path, move |disk| disk.withdraw(&run, &object))
            .await?;
        match withdrawn {
            Some(true) => return Ok(Removed::Done),
            Some(false) => return Ok(Removed::Conflict),
            None => {}
        }
        let mut again = Again::within(self.patience());
        loop {
            let Some(look) = Look::take(&still_ours, again.attempt()).await? else {
                return Ok(Removed::Conflict);
            };
            match look.guard(self.store().delete(&location)).await {
                Ok(()) | Err(StoreError::NotFound { .. }) => return Ok(Removed::Done),
                Err(cause) if may_pass(&cause) && again.wait().await => {}
                Err(cause) if refused_for_good(&cause) => {
                    return Ok(Removed::Refused(failed("delete", &self.place(path), cause)));
                }
                Err(cause) => return Err(failed("delete", &self.place(path), cause)),
            }
        }
    }
}

/// Whether a delete may succeed when it is sent again: the library does not look into the answers inside a batch.
fn may_pass(cause: &StoreError) -> bool {
    let busy = |answer: Answer| matches!(answer.status, 429 | 500..) && !answer.is_for_good();
    has_aged(cause) || Answer::of(cause).is_some_and(busy)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::Owner;

    const PATH: &str = "t/date=2026-11-22/part-0.parquet";

    async fn ours() -> Result<bool> {
        Ok(true)
    }

    #[tokio::test]
    async fn removing_takes_an_empty_partition_folder_along() {
        let run: RunId = "r".parse().unwrap();
        let home = tempfile::tempdir().unwrap();
        for lake in [
            Storage::at(home.path()).unwrap(),
            Storage::over(Arc::new(InMemory::new()), "memory://"),
        ] {
            lake.open_staging(&run, &Owner::current()).await.unwrap();
            lake.create(PATH, Bytes::from("x")).await.unwrap();
            for _ in 0..2 {
                assert!(matches!(lake.remove(&run, PATH, ours).await, Ok(Removed::Done)));
                assert_eq!(lake.head(PATH).await.unwrap(), None);
            }
        }
        assert!(!home.path().join("t/date=2026-11-22").exists());
    }

    #[tokio::test]
    async fn who_has_lost_removes_nothing_from_a_bucket() {
        let lake = Storage::in_memory();
        lake.create(PATH, Bytes::from("x")).await.unwrap();
        let removed = lake.remove(&"r".parse().unwrap(), PATH, || async { Ok(false) }).await;
        assert!(matches!(removed, Ok(Removed::Conflict)));
        assert!(lake.head(PATH).await.unwrap().is_some());
    }
}
