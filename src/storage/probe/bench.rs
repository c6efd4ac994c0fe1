//! The operations, each on its own.

use std::io::Write;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::{ObjectStoreExt, PutPayload};

use super::clock::{Between, judge, skew};
use super::report::Trouble;
use crate::error::{Error, Result};
use crate::storage::failure::failed;
use crate::storage::{Created, Expected, FinishedObject, ObjectInfo, Owner, Published, Removed, RunId, Storage};

const RANGE: std::ops::Range<u64> = 4..12;

const NOT_PUT: Trouble = Trouble::Skipped("nothing could be put");
const NOT_READ: Trouble = Trouble::Skipped("nothing could be read");
const NOT_REPLACED: Trouble = Trouble::Skipped("nothing could be replaced");
const NO_TIME: Trouble = Trouble::Skipped("no time of an object is known");

/// A lake, and what is put there and deleted again.
pub(super) struct Bench<'a> {
    pub(super) lake: &'a Storage,
    pub(super) run: &'a RunId,
    /// Holds all that is put.
    pub(super) folder: String,
    pub(super) clock: fn() -> Timestamp,
}

impl Bench<'_> {
    pub(super) async fn open(&self, owner: &Owner) -> Result<(), Trouble> {
        self.lake.open_staging(self.run, owner).await?;
        let looked = self.lake.look().await;
        Ok(looked.map_err(|cause| failed("open", &self.lake.to_string(), cause))?)
    }

    pub(super) async fn create(&self) -> Result<Between, Trouble> {
        let before = (self.clock)();
        let created = self.lake.create(&self.object(), self.content("first")).await?;
        let after = (self.clock)();
        // The client may have sent it twice, and the second met the first.
        if created == Created::Exists && self.lake.get(&self.object()).await? != Some(self.content("first")) {
            return Err(self.wrong("holds something that nobody has put there; give the same command again"));
        }
        Ok([before, after])
    }

    pub(super) async fn create_again(&self, is_put: bool) -> Result<(), Trouble> {
        given(is_put, NOT_PUT)?;
        match self.lake.create(&self.object(), self.content("first")).await? {
            Created::Exists => Ok(()),
            Created::Done => Err(self.wrong(
                "was put although it was there already: the store takes no notice of the condition that keeps two runs apart; use one that does (If-None-Match), without a proxy before it that drops the header",
            )),
        }
    }

    pub(super) async fn read(&self, is_put: bool) -> Result<ObjectInfo, Trouble> {
        given(is_put, NOT_PUT)?;
        let found = self.lake.fetch(&self.object()).await?;
        let found =
            found.ok_or_else(|| self.wrong("was put and is not there: use a store that shows at once what was put"))?;
        let content = self.content("first");
        let same = found
            .content
            .chunk(0, content.len() + 1)
            .is_ok_and(|bytes| bytes == content);
        given(
            same,
            self.wrong("does not hold what was put: something between here and the store changes it"),
        )?;
        Ok(found.info)
    }

    pub(super) async fn read_range(&self, is_put: bool) -> Result<(), Trouble> {
        given(is_put, NOT_PUT)?;
        let path = self.lake.locate(&self.object())?;
        let read = self.lake.store().get_range(&path, RANGE).await;
        let read = read.map_err(|cause| failed("read a range of", &self.lake.place(&self.object()), cause))?;
        // Both ends lie inside the content.
        let wanted = self.content("first").slice(4..12);
        given(
            read == wanted,
            self.wrong(
                "was asked for bytes 4 to 12 and others came: query engines read ranges; use a store that serves them",
            ),
        )
    }

    pub(super) async fn list(&self, is_put: bool) -> Result<Option<ObjectInfo>, Trouble> {
        let object = self.object();
        let listed = self.lake.list(&self.folder).await?;
        let found = listed.into_iter().find(|info| info.path == object);
        given(
            found.is_some() || !is_put,
            self.wrong("was put and is not listed: use a store whose lists show at once what was put"),
        )?;
        Ok(found)
    }

    pub(super) async fn replace(&self, read: Option<&ObjectInfo>) -> Result<(), Trouble> {
        let read = read.ok_or(NOT_READ)?;
        match self.publish("second", read).await? {
            Published::Done(_) => Ok(()),
            Published::Conflict => Err(self.wrong(
                "is said to have changed since it was read: the ETag of a read is not the one that the store compares; use a store, or a proxy, that keeps it",
            )),
        }
    }

    pub(super) async fn replace_outdated(&self, outdated: Option<&ObjectInfo>) -> Result<(), Trouble> {
        let outdated = outdated.ok_or(NOT_REPLACED)?;
        match self.publish("third", outdated).await? {
            Published::Conflict => Ok(()),
            Published::Done(_) => Err(self.wrong(
                "was replaced although it had changed: the store takes no notice of the condition that keeps two runs apart; use one that does (If-Match), without a proxy before it that drops the header",
            )),
        }
    }

    pub(super) async fn upload(&self) -> Result<(), Trouble> {
        let place = self.lake.place(&self.parts());
        let path = self.lake.locate(&self.parts())?;
        let begun = self.lake.store().put_multipart(&path).await;
        let mut upload = begun.map_err(|cause| failed("begin an upload of", &place, cause))?;
        let sent = upload.put_part(PutPayload::from(self.content("part"))).await;
        let aborted = upload.abort().await;
        sent.map_err(|cause| failed("send a part of", &place, cause))?;
        aborted.map_err(|cause| failed("abort the upload of", &place, cause))?;
        let seen = matches!(self.lake.head(&self.parts()).await, Ok(Some(_)));
        let text = format!("{place} is there although its upload was aborted: use a store that keeps uploads apart");
        given(!seen, Error::storage(text).into())
    }

    pub(super) async fn list_uploads(&self) -> Result<(), Trouble> {
        let count = async || Ok::<_, Error>(self.lake.count_uploads(&self.folder).await?.unwrap_or_default());
        if count().await? == 0 {
            return Ok(());
        }
        // One whose beginning was answered in vain was begun twice, and nobody knows the first.
        self.lake.abort_uploads(&self.folder).await?;
        let text = format!(
            "uploads below {} stay although they are aborted: let a rule of the bucket remove unfinished uploads",
            self.lake.place(&self.folder)
        );
        given(count().await? == 0, Error::storage(text).into())
    }

    pub(super) async fn compare_clocks(&self, seen: Option<(Timestamp, Between)>) -> Result<(), Trouble> {
        let (stored, between) = seen.ok_or(NO_TIME)?;
        judge(skew(stored, between))
    }

    pub(super) async fn delete(&self, is_put: bool) -> Result<(), Trouble> {
        given(is_put, NOT_PUT)?;
        let removed = match self
            .lake
            .remove(self.run, &self.object(), || async { Ok(true) })
            .await?
        {
            Removed::Refused(error) => return Err(error.into()),
            Removed::Conflict => false,
            Removed::Done => true,
        };
        // A key that may not look has been told so; the delete was answered.
        let seen = matches!(self.lake.head(&self.object()).await, Ok(Some(_)));
        let gone = removed && !seen;
        given(
            gone,
            self.wrong("was deleted and is still there: use a store that shows at once what was deleted"),
        )
    }

    async fn publish(&self, what: &str, expected: &ObjectInfo) -> Result<Published> {
        let (lake, run, content) = (self.lake.clone(), self.run.clone(), self.content(what));
        let staged = tokio::task::spawn_blocking(move || stage(&lake, &run, &content)).await;
        let staged = staged.map_err(|cause| Error::internal("work on the disk broke off").caused_by(cause))??;
        let expected = Expected::Same(expected.clone());
        self.lake
            .publish(staged, &self.object(), &expected, || async { Ok(true) })
            .await
    }

    fn wrong(&self, what: &str) -> Trouble {
        Error::storage(format!("{} {what}", self.lake.place(&self.object()))).into()
    }

    pub(super) fn object(&self) -> String {
        format!("{}/object", self.folder)
    }

    pub(super) fn parts(&self) -> String {
        format!("{}/parts", self.folder)
    }

    fn content(&self, what: &str) -> Bytes {
        format!("put by cio2parquet check {}: {what}\n", self.run).into()
    }
}

fn stage(lake: &Storage, run: &RunId, content: &[u8]) -> Result<FinishedObject> {
    let mut staged = lake.stage(run)?;
    let written = staged.write_all(content);
    written.map_err(|cause| failed("write into", &lake.to_string(), cause))?;
    staged.finish()
}

fn given(holds: bool, otherwise: Trouble) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(otherwise) }
}
