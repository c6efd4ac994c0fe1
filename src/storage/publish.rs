//! One of the two ways in which data changes: an object is put in place whole. The other is to take it away.

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload, PutResult, UpdateVersion};

use super::bucket::answer::Answer;
use super::bucket::client::{Again, is_unanswered};
use super::disk::Leftover;
use super::failure::failed;
use super::look::{Look, has_aged};
use super::staged::Body;
use super::upload::unreadable;
use super::{Content, FinishedObject, ObjectInfo, Storage};
use crate::crash::{Step, pass};
use crate::error::Result;

/// What must stand at a path for a publication to replace it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// The object that was read, as [`Storage::fetch`] or [`Storage::head`] described it.
    Same(ObjectInfo),
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

impl Storage {
    /// Puts a finished object at `path` if what stands there is what was `expected`.
    ///
    /// In a bucket the condition is the store's, and `still_ours` is asked just before, because a run that slept could meet an object
    /// that nobody has changed. An object that is too large for one put has no condition: it is sent in parts, and what stands there is
    /// looked at before it is completed. On disk the place is looked at before the rename; what makes two runs safe there is that the
    /// staging folder of the loser is gone.
    ///
    /// # Errors
    ///
    /// Storage. The object may have been published all the same (a lost answer).
    pub async fn publish<G>(
        &self,
        staged: FinishedObject,
        path: &str,
        expected: &Expected,
        still_ours: impl Fn() -> G,
    ) -> Result<Published>
    where
        G: Future<Output = Result<bool>>,
    {
        let to = self.locate(path)?;
        let unwritten = |cause| failed("write", &self.place(path), cause);
        let content = match &staged.body {
            Body::File(file) => return self.rename(file, &to, expected).await.map_err(unwritten),
            Body::Content(content) => content,
        };
        let mut again = Again::within(self.patience());
        loop {
            let last_look = || Look::take(&still_ours, again.attempt());
            let sent = if self.fits_one_put(staged.bytes()) {
                self.put(content, staged.bytes(), &to, expected, last_look).await?
            } else {
                let wanted = async || match self.stands(&to, expected).await.map_err(unwritten)? {
                    true => last_look().await,
                    false => Ok(None),
                };
                self.upload(content, staged.bytes(), &to, wanted).await?
            };
            let cause = match sent {
                Ok(Some(stored)) => return Ok(Published::Done(described(&staged, &to, stored))),
                // What stands there may be our own, of an attempt that was given up for lost.
                Ok(None) => {
                    return Ok(self
                        .own(&staged, &to)
                        .await
                        .map_or(Published::Conflict, Published::Done));
                }
                Err(cause) => cause,
            };
            if has_aged(&cause) && again.wait().await {
                continue;
            }
            let unanswered = is_unanswered(&cause);
            match self.settle(cause, &staged, &to, expected).await {
                // Should the first one arrive after all, the condition decides.
                Err(_) if unanswered && again.wait().await => {}
                settled => return settled.map_err(unwritten),
            }
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
            Ok(meta) => Ok(matches!(expected, Expected::Same(info) if meta.e_tag == info.etag)),
            Err(StoreError::NotFound { .. }) => Ok(*expected == Expected::Absent),
            Err(cause) => Err(cause),
        }
    }

    /// One put with its condition; `None` when the last look finds that the table is not ours any more.
    async fn put<G>(
        &self,
        content: &Content,
        bytes: u64,
        to: &Path,
        expected: &Expected,
        last_look: impl FnOnce() -> G,
    ) -> Result<object_store::Result<Option<PutResult>>>
    where
        G: Future<Output = Result<Option<Look>>>,
    {
        let _memory = self.memory_for(bytes).await?;
        let bytes = match content.chunk(0, usize::try_from(bytes).unwrap_or(usize::MAX)) {
            Ok(bytes) => PutPayload::from(bytes),
            Err(cause) => return Ok(Err(unreadable(cause))),
        };
        let Some(look) = last_look().await? else {
            return Ok(Ok(None));
        };
        let put = self.store().put_opts(to, bytes, mode(expected).into());
        Ok(look.guard(put).await.map(Some))
    }

    /// A lost answer is not a lost write: the client may also have sent it twice, and then the second one met the first.
    async fn settle(
        &self,
        cause: StoreError,
        staged: &FinishedObject,
        to: &Path,
        expected: &Expected,
    ) -> object_store::Result<Published> {
        if refused_for_good(&cause) {
            return Err(cause);
        }
        if let Some(info) = self.own(staged, to).await {
            return Ok(Published::Done(info));
        }
        if is_conflict(&cause, expected) {
            Ok(Published::Conflict)
        } else {
            Err(cause)
        }
    }
}

impl Storage {
    /// What stands at `to` if it holds the very bytes of `staged`.
    async fn own(&self, staged: &FinishedObject, to: &Path) -> Option<ObjectInfo> {
        let found = self.fetch(to.as_ref()).await.ok().flatten()?;
        if found.info.bytes != staged.bytes() {
            return None;
        }
        let info = found.info.clone();
        let sha256 = tokio::task::spawn_blocking(move || found.sha256()).await;
        let same = sha256.is_ok_and(|sha256| sha256.is_ok_and(|sha256| sha256 == staged.sha256()));
        same.then_some(info)
    }
}

fn described(staged: &FinishedObject, to: &Path, stored: PutResult) -> ObjectInfo {
    ObjectInfo {
        path: to.to_string(),
        bytes: staged.bytes(),
        etag: stored.e_tag,
        version: stored.version,
        modified: None,
    }
}

/// The condition in the store's terms: Google's compares generations, the others ETags.
fn mode(expected: &Expected) -> PutMode {
    match expected {
        Expected::Absent => PutMode::Create,
        Expected::Same(ObjectInfo { etag, version, .. }) if etag.is_some() || version.is_some() => {
            PutMode::Update(UpdateVersion {
                e_tag: etag.clone(),
                version: version.clone(),
            })
        }
        Expected::Any | Expected::Same(_) => PutMode::Overwrite,
    }
}

/// Whether the store said that it will not, so that nothing was done.
pub(super) fn refused_for_good(cause: &StoreError) -> bool {
    let kind = matches!(
        cause,
        StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::NotSupported { .. }
    );
    kind || Answer::of(cause).is_some_and(|answer| answer.is_for_good())
}

/// "Not found" is a conflict only where there was something to replace; else it is the bucket that is missing.
fn is_conflict(cause: &StoreError, expected: &Expected) -> bool {
    match cause {
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => true,
        StoreError::NotFound { .. } if matches!(expected, Expected::Same(_)) => true,
        // Whoever took the table over has aborted it.
        _ => Answer::of(cause).is_some_and(|answer| answer.code == "NoSuchUpload"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::unreliable::{Fault, Unreliable};
    use crate::storage::{Owner, Removed, RunId};

    const PATH: &str = "t/date=2026-11-22/part-0.parquet";

    async fn lakes(run: &RunId) -> (tempfile::TempDir, [Storage; 2]) {
        let home = tempfile::tempdir().unwrap();
        let lakes = [Storage::at(home.path()).unwrap(), Storage::in_memory()];
        for lake in &lakes {
            lake.open_staging(run, &Owner::current()).await.unwrap();
        }
        (home, lakes)
    }

    async fn ours() -> Result<bool> {
        Ok(true)
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
                lake.publish(finished(&lake, &run, text), PATH, &expected, ours)
                    .await
                    .unwrap()
            };
            let other = ObjectInfo {
                path: PATH.to_owned(),
                bytes: 1,
                etag: Some("x".into()),
                version: None,
                modified: None,
            };
            assert_eq!(publish("0", Expected::Same(other)).await, Published::Conflict);
            let Published::Done(first) = publish("1", Expected::Absent).await else {
                panic!("conflict on an empty path")
            };
            assert_eq!(lake.head(PATH).await.unwrap().unwrap().etag, first.etag);
            assert_eq!(publish("2", Expected::Absent).await, Published::Conflict);

            let same = Expected::Same(first);
            assert!(matches!(publish("33", same.clone()).await, Published::Done(info) if info.bytes == 2));
            assert_eq!(publish("4", same).await, Published::Conflict);
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
            let expected = lake.head(PATH).await.unwrap();
            let expected = expected.map_or(Expected::Absent, Expected::Same);
            store.plan(move |number, _| (number == 1).then_some(fault));
            let published = lake.publish(finished(&lake, &run, text), PATH, &expected, ours).await;
            let Ok(Published::Done(info)) = published else {
                panic!("{fault:?}: {published:?}")
            };
            assert_eq!(lake.head(PATH).await.unwrap().unwrap().etag, info.etag);
        }
        store.plan(|number, _| (number == 1).then_some(Fault::Fails));
        let published = lake
            .publish(finished(&lake, &run, "3"), PATH, &Expected::Any, ours)
            .await;
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
        lake.publish(staged, PATH, &Expected::Absent, ours).await.unwrap();
        lake.publish(finished(lake, &run, "y"), PATH, &Expected::Absent, ours)
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
        lake.publish(finished(lake, &run, "kept"), PATH, &Expected::Absent, ours)
            .await
            .unwrap();
        let sleeping = finished(lake, &run, "late");
        lake.evict(&run, "t").await.unwrap();
        // A spill that is written late makes its own folder again, and that must not matter.
        std::fs::create_dir_all(lake.spill_dir(&run, None)).unwrap();

        assert_eq!(
            lake.publish(sleeping, PATH, &Expected::Any, ours).await.unwrap(),
            Published::Conflict
        );
        assert!(matches!(lake.remove(&run, PATH, ours).await, Ok(Removed::Conflict)));
        assert_eq!(lake.get(PATH).await.unwrap().unwrap(), "kept");
        let error = lake.stage(&run).err().unwrap();
        assert_eq!(error.kind(), crate::error::ErrorKind::Held);
        assert!(!home.path().join("_staging/r/objects").exists());
    }
}
