//! The only two ways in which data changes: an object is put in place whole, or taken away.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};

use super::disk::Leftover;
use super::failure::failed;
use super::staged::Body;
use super::{FinishedObject, ObjectInfo, RunId, Storage};
use crate::crash::{Step, pass};
use crate::error::Result;

/// What must stand at a path for a publication to replace it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// The object with this ETag, as [`Storage::head`] or a list said before it was read.
    ETag(String),
    /// Whatever is there.
    Any,
}

/// How a publication ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The object is in place, whole and durable.
    Done(ObjectInfo),
    /// Something else stands there than was expected, or the run was fenced off: look at the claim, read again, merge again.
    Conflict,
}

/// How a fenced removal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Nothing stands there any more.
    Done,
    /// The run was fenced off; nothing was touched.
    Conflict,
}

impl Storage {
    /// Puts a finished object at `path` if what stands there is what was `expected`.
    ///
    /// In a bucket the condition is the store's. On disk it is looked at before the rename; what makes two runs safe there is that
    /// the staging folder of the loser is gone.
    ///
    /// # Errors
    ///
    /// Storage. The object may have been published all the same (a lost answer).
    pub async fn publish(&self, staged: FinishedObject, path: &str, expected: &Expected) -> Result<Published> {
        let to = self.locate(path)?;
        let published = match &staged.body {
            Body::File(file) => self.rename(file, &to, expected).await,
            Body::Memory(bytes) => self.put(bytes, &to, expected).await,
        };
        published.map_err(|cause| failed("write", &self.place(path), cause))
    }

    /// Removes an object for good unless `run` was fenced off; one that is missing is fine.
    ///
    /// A bucket has no conditional delete: look at the claim just before.
    pub async fn remove(&self, run: &RunId, path: &str) -> Result<Removed> {
        self.locate(path)?;
        let (run, object) = (run.clone(), path.to_owned());
        let withdrawn = self
            .on_disk("delete", path, move |disk| disk.withdraw(&run, &object))
            .await?;
        match withdrawn {
            None => self.delete(path).await.map(|()| Removed::Done),
            Some(true) => Ok(Removed::Done),
            Some(false) => Ok(Removed::Conflict),
        }
    }

    /// A staged file that is missing was taken away by the run that took over.
    async fn rename(&self, staged: &Leftover, to: &Path, expected: &Expected) -> object_store::Result<Published> {
        if !self.stands(to, expected).await? {
            return Ok(Published::Conflict);
        }
        pass(Step::ObjectChecked);
        let from = Path::parse(staged.path())?;
        // A rename keeps inode and time of change, so the ETag of the staged file is that of the object. Asked afterwards, it could
        // be that of the next one who publishes here.
        let renamed = async {
            let meta = self.store().head(&from).await?;
            self.store().rename(&from, to).await.map(|()| meta)
        };
        match renamed.await {
            Ok(meta) => Ok(Published::Done(ObjectInfo {
                path: to.to_string(),
                ..ObjectInfo::from(meta)
            })),
            Err(StoreError::NotFound { .. }) => Ok(Published::Conflict),
            Err(cause) => Err(cause),
        }
    }

    async fn stands(&self, path: &Path, expected: &Expected) -> object_store::Result<bool> {
        if *expected == Expected::Any {
            return Ok(true);
        }
        match self.store().head(path).await {
            Ok(meta) => Ok(matches!(expected, Expected::ETag(etag) if meta.e_tag.as_ref() == Some(etag))),
            Err(StoreError::NotFound { .. }) => Ok(*expected == Expected::Absent),
            Err(cause) => Err(cause),
        }
    }

    async fn put(&self, bytes: &Bytes, to: &Path, expected: &Expected) -> object_store::Result<Published> {
        let payload = PutPayload::from(bytes.clone());
        let cause = match self.store().put_opts(to, payload, mode(expected).into()).await {
            Ok(stored) => {
                return Ok(Published::Done(ObjectInfo {
                    path: to.to_string(),
                    bytes: bytes.len() as u64,
                    etag: stored.e_tag,
                    modified: None,
                }));
            }
            Err(cause) => cause,
        };
        // A lost answer is not a lost write: the client may also have sent it twice, and then the second one met the first.
        if let Ok(Some(info)) = self.read_back(bytes, to).await {
            return Ok(Published::Done(info));
        }
        if is_conflict(&cause, expected) {
            Ok(Published::Conflict)
        } else {
            Err(cause)
        }
    }

    /// What stands at `to` if it is these very bytes.
    async fn read_back(&self, bytes: &Bytes, to: &Path) -> object_store::Result<Option<ObjectInfo>> {
        let found = self.store().get(to).await?;
        let info = ObjectInfo::from(found.meta.clone());
        if info.bytes != bytes.len() as u64 {
            return Ok(None);
        }
        Ok((found.bytes().await? == *bytes).then_some(info))
    }
}

/// The condition in the store's terms. Google's store compares generations, not ETags: its `version` belongs here too.
fn mode(expected: &Expected) -> PutMode {
    match expected {
        Expected::Absent => PutMode::Create,
        Expected::Any => PutMode::Overwrite,
        Expected::ETag(etag) => PutMode::Update(UpdateVersion {
            e_tag: Some(etag.clone()),
            version: None,
        }),
    }
}

/// "Not found" is a conflict only where there was something to replace; else it is the bucket that is missing.
fn is_conflict(cause: &StoreError, expected: &Expected) -> bool {
    match cause {
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => true,
        StoreError::NotFound { .. } => matches!(expected, Expected::ETag(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::Owner;
    use crate::storage::unreliable::{Fault, Unreliable};

    const PATH: &str = "t/date=2026-11-22/part-0.parquet";

    async fn lakes(run: &RunId) -> (tempfile::TempDir, [Storage; 2]) {
        let home = tempfile::tempdir().unwrap();
        let lakes = [
            Storage::open(home.path().to_str().unwrap()).unwrap(),
            Storage::in_memory(),
        ];
        for lake in &lakes {
            lake.open_staging(run, &Owner::current()).await.unwrap();
        }
        (home, lakes)
    }

    fn finished(lake: &Storage, run: &RunId, text: &str) -> FinishedObject {
        let mut staged = lake.stage(run).unwrap();
        staged.write_all(text.as_bytes()).unwrap();
        staged.finish().unwrap()
    }

    #[tokio::test]
    async fn a_publication_holds_to_what_it_expects() {
        let run: RunId = "r".parse().unwrap();
        let (_home, lakes) = lakes(&run).await;
        for lake in lakes {
            let publish = async |text: &str, expected: Expected| {
                lake.publish(finished(&lake, &run, text), PATH, &expected)
                    .await
                    .unwrap()
            };
            assert_eq!(publish("0", Expected::ETag("x".into())).await, Published::Conflict);
            let Published::Done(first) = publish("1", Expected::Absent).await else {
                panic!("conflict on an empty path")
            };
            assert_eq!(lake.head(PATH).await.unwrap().unwrap().etag, first.etag);
            assert_eq!(publish("2", Expected::Absent).await, Published::Conflict);

            let etag = Expected::ETag(first.etag.unwrap());
            assert!(matches!(publish("33", etag.clone()).await, Published::Done(info) if info.bytes == 2));
            assert_eq!(publish("4", etag).await, Published::Conflict);
            assert!(matches!(publish("5", Expected::Any).await, Published::Done(_)));
            assert_eq!(lake.get(PATH).await.unwrap().unwrap(), "5");
        }
    }

    #[tokio::test]
    async fn a_lost_answer_is_not_a_lost_publication() {
        let run: RunId = "r".parse().unwrap();
        let store = Unreliable::over(InMemory::new());
        let lake = Storage::over(Arc::new(store.clone()), "memory://");
        for (fault, text) in [(Fault::Lost, "1"), (Fault::Repeated, "2")] {
            let expected = lake.head(PATH).await.unwrap().and_then(|info| info.etag);
            let expected = expected.map_or(Expected::Absent, Expected::ETag);
            store.plan(move |number, _| (number == 1).then_some(fault));
            let published = lake.publish(finished(&lake, &run, text), PATH, &expected).await;
            let Ok(Published::Done(info)) = published else {
                panic!("{fault:?}: {published:?}")
            };
            assert_eq!(lake.head(PATH).await.unwrap().unwrap().etag, info.etag);
        }
        store.plan(|number, _| (number == 1).then_some(Fault::Fails));
        let published = lake.publish(finished(&lake, &run, "3"), PATH, &Expected::Any).await;
        assert!(published.is_err(), "{published:?}");
    }

    #[tokio::test]
    async fn a_table_folder_holds_nothing_but_finished_objects() {
        let run: RunId = "r".parse().unwrap();
        let (home, lakes) = lakes(&run).await;
        let lake = &lakes[0];
        let large = "x".repeat(1 << 20);
        let staged = finished(lake, &run, &large);
        assert!(!home.path().join("t").exists());
        lake.publish(staged, PATH, &Expected::Absent).await.unwrap();
        lake.publish(finished(lake, &run, "y"), PATH, &Expected::Absent)
            .await
            .unwrap();
        let names: Vec<_> = home
            .path()
            .join("t/date=2026-11-22")
            .read_dir()
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["part-0.parquet"]);
        assert_eq!(lake.get(PATH).await.unwrap().unwrap().len(), large.len());
        assert_eq!(home.path().join("_staging/r/objects").read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_run_that_was_evicted_can_neither_publish_nor_stage_nor_remove() {
        let run: RunId = "r".parse().unwrap();
        let (home, lakes) = lakes(&run).await;
        let lake = &lakes[0];
        lake.publish(finished(lake, &run, "kept"), PATH, &Expected::Absent)
            .await
            .unwrap();
        let sleeping = finished(lake, &run, "late");
        lake.evict_staging(&run).await.unwrap();
        // A spill that is written late makes its own folder again, and that must not matter.
        std::fs::create_dir_all(lake.spill_dir(&run, None)).unwrap();

        assert_eq!(
            lake.publish(sleeping, PATH, &Expected::Any).await.unwrap(),
            Published::Conflict
        );
        assert_eq!(lake.remove(&run, PATH).await.unwrap(), Removed::Conflict);
        assert_eq!(lake.get(PATH).await.unwrap().unwrap(), "kept");
        let error = lake.stage(&run).err().unwrap();
        assert_eq!(error.kind(), crate::error::ErrorKind::Held);
        assert!(!home.path().join("_staging/r/objects").exists());
    }

    #[tokio::test]
    async fn removing_takes_an_empty_partition_folder_along() {
        let run: RunId = "r".parse().unwrap();
        let (home, lakes) = lakes(&run).await;
        for lake in lakes {
            lake.publish(finished(&lake, &run, "x"), PATH, &Expected::Absent)
                .await
                .unwrap();
            assert_eq!(lake.remove(&run, PATH).await.unwrap(), Removed::Done);
            assert_eq!(lake.remove(&run, PATH).await.unwrap(), Removed::Done);
            assert_eq!(lake.head(PATH).await.unwrap(), None);
        }
        assert!(!home.path().join("t/date=2026-11-22").exists());
    }
}
