//! An object on its way into a bucket: in one put with a condition as long as it fits, in parts beyond that.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, PutResult};
use tokio::sync::SemaphorePermit;

use super::bucket::client::{Again, is_unanswered};
use super::failure::failed;
use super::look::Look;
use super::{Content, Storage};
use crate::crash::{Step, pass};
use crate::error::{Error, Result};

/// The least size of a part; stores take no smaller ones but the last.
const PART: u64 = 8 << 20;

/// Stores take 10,000 parts at most; the size of a part grows with the object so that it has fewer.
const PARTS: u64 = 9_000;

/// Parts of one object that are sent at once.
const AT_ONCE: usize = 2;

impl Storage {
    /// Whether an object of `bytes` goes in one put.
    pub(super) fn fits_one_put(&self, bytes: u64) -> bool {
        bytes <= self.one_put()
    }

    /// Waits until `bytes` of an object may be in memory; more than the whole budget are granted as the whole budget.
    pub(super) async fn memory_for(&self, bytes: u64) -> Result<SemaphorePermit<'_>> {
        let most = self.upload_memory() / 1024;
        let kib = u32::try_from((bytes / 1024).clamp(1, most)).unwrap_or(u32::MAX);
        let permit = self.uploads_at_once().acquire_many(kib).await;
        permit.map_err(|cause| Error::internal("the budget of uploads is closed").caused_by(cause))
    }

    /// Sends `content` in parts, and completes it on the look that `last_look` takes once all of them are there; `None` when it takes none.
    ///
    /// An upload that is not completed is aborted at the store.
    ///
    /// # Errors
    ///
    /// What the store or `last_look` says. The object may have been completed all the same (a lost answer).
    pub(super) async fn upload<G>(
        &self,
        content: &Content,
        bytes: u64,
        to: &Path,
        last_look: impl FnOnce() -> G,
    ) -> Result<object_store::Result<Option<PutResult>>>
    where
        G: Future<Output = Result<Option<Look>>>,
    {
        let part = PART.max(bytes.div_ceil(PARTS));
        let _memory = self.memory_for(part * AT_ONCE as u64).await?;
        let (mut upload, twice) = match self.begin(to).await {
            Ok(begun) => begun,
            Err(cause) => return Ok(Err(cause)),
        };
        pass(Step::UploadBegun);
        let sent = send(upload.as_mut(), content, bytes, part).await;
        pass(Step::UploadSent);
        let look = match &sent {
            Ok(()) => last_look().await,
            Err(_) => Ok(None),
        };
        if let Ok(Some(look)) = look {
            let completed = look.guard(upload.complete()).await;
            match &completed {
                Err(_) => abort(upload.as_mut(), to).await,
                Ok(_) if twice => self.abort_others(to).await,
                Ok(_) => {}
            }
            return Ok(completed.map(Some));
        }
        abort(upload.as_mut(), to).await;
        look?;
        Ok(sent.map(|()| None))
    }

    /// Begins an upload, and tells whether another one may have been begun without an answer.
    async fn begin(&self, to: &Path) -> object_store::Result<(Box<dyn MultipartUpload>, bool)> {
        let mut again = Again::within(self.patience());
        loop {
            match self.store().put_multipart(to).await {
                Err(cause) if is_unanswered(&cause) && again.wait().await => {}
                begun => return begun.map(|upload| (upload, again.attempt() > 0)),
            }
        }
    }

    /// Aborts what was begun without an answer; nobody would ever complete it. Ours is completed, and the table was ours just now.
    async fn abort_others(&self, to: &Path) {
        if let Err(cause) = self.abort_uploads_of(to).await {
            let error = failed("list the unfinished uploads of", &self.place(to.as_ref()), cause);
            tracing::debug!(error = %error.chain(), "an upload that may have been begun was not looked for");
        }
    }
}

/// What was put aside cannot be read back.
pub(super) fn unreadable(cause: std::io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "the folder for temporary files",
        source: cause.into(),
    }
}

async fn send(upload: &mut dyn MultipartUpload, content: &Content, bytes: u64, part: u64) -> object_store::Result<()> {
    let length = usize::try_from(part).unwrap_or(usize::MAX);
    let mut in_flight = FuturesUnordered::new();
    let mut at = 0;
    while at < bytes {
        if in_flight.len() >= AT_ONCE {
            in_flight.next().await.transpose()?;
        }
        let chunk = content
            .chunk(at, length)
            .map_err(|cause| object_store::Error::Generic {
                store: "the folder for temporary files",
                source: cause.into(),
            })?;
        at += chunk.len() as u64;
        if chunk.is_empty() {
            return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into()));
        }
        in_flight.push(upload.put_part(PutPayload::from(chunk)));
    }
    while let Some(done) = in_flight.next().await {
        done?;
    }
    Ok(())
}

/// What cannot be aborted now costs room until the next run, or the bucket's own rule, removes it.
async fn abort(upload: &mut dyn MultipartUpload, to: &Path) {
    if let Err(cause) = upload.abort().await {
        let error = failed("abort the upload of", to.as_ref(), cause);
        tracing::debug!(error = %error.chain(), "an upload that came to nothing was not aborted");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::open::Means;
    use crate::storage::unreliable::{Fault, Kind, Unreliable};
    use crate::storage::{Expected, FinishedObject, Published, RunId};

    const PATH: &str = "t/part-0.parquet";

    /// A lake that takes at most a kibibyte in one put.
    fn lake() -> (Unreliable, Storage) {
        let store = Unreliable::over(InMemory::new());
        let means = Means {
            one_put: 1 << 10,
            ..Means::default()
        };
        let lake = Storage::new(Arc::new(store.clone()), "memory://".to_owned(), means);
        (store, lake)
    }

    fn large(lake: &Storage, fill: u8) -> FinishedObject {
        let run: RunId = "r".parse().unwrap();
        let mut staged = lake.stage(&run).unwrap();
        let row = vec![fill; 1 << 20];
        (0..20).for_each(|_| staged.write_all(&row).unwrap());
        staged.finish().unwrap()
    }

    async fn publish(lake: &Storage, fill: u8, expected: &Expected, ours: bool) -> Result<Published> {
        lake.publish(large(lake, fill), PATH, expected, || async move { Ok(ours) })
            .await
    }

    #[tokio::test]
    async fn a_large_object_goes_in_parts_and_holds_to_what_it_expects() {
        let (_store, lake) = lake();
        assert!(matches!(
            publish(&lake, 1, &Expected::Absent, true).await,
            Ok(Published::Done(_))
        ));
        let first = lake.fetch(PATH).await.unwrap().unwrap();
        assert_eq!(first.info.bytes, 20 << 20);
        assert_eq!(first.sha256().unwrap(), large(&lake, 1).sha256());

        assert_eq!(
            publish(&lake, 2, &Expected::Absent, true).await.unwrap(),
            Published::Conflict
        );
        let same = Expected::Same(first.info);
        assert_eq!(publish(&lake, 2, &same, false).await.unwrap(), Published::Conflict);
        assert!(matches!(publish(&lake, 3, &same, true).await, Ok(Published::Done(_))));
        assert_eq!(publish(&lake, 4, &same, true).await.unwrap(), Published::Conflict);
        let now = lake.fetch(PATH).await.unwrap().unwrap();
        assert_eq!(now.sha256().unwrap(), large(&lake, 3).sha256());
    }

    #[tokio::test]
    async fn what_cannot_be_begun_leaves_nothing() {
        let (store, lake) = lake();
        store.plan(|_, kind| (kind == Kind::Put).then_some(Fault::Fails));
        assert!(publish(&lake, 1, &Expected::Absent, true).await.is_err());
        store.plan(|_, _| None);
        assert_eq!(lake.head(PATH).await.unwrap(), None);
    }
}
