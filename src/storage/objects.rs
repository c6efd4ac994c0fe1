//! Whole objects: read, list, delete, create.

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};

use super::Storage;
use super::bucket::client::{Again, is_unanswered};
use super::failure::failed;
use crate::error::{Error, Result};

/// A stored object, as the store describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Relative to the lake, `/` between segments.
    pub path: String,
    /// The object's size.
    pub bytes: u64,
    /// Changes whenever the object is replaced; on disk also when a lake is copied.
    pub etag: Option<String>,
    /// What Google's store compares in place of the ETag; known only of an object that was read, looked at or put.
    pub version: Option<String>,
    /// When it was stored; `None` for what has just been put, because a store does not say so in its answer.
    pub modified: Option<Timestamp>,
}

/// How a conditional creation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// Stored, and on disk synced.
    Done,
    /// Something stands at that path, untouched.
    Exists,
}

impl Storage {
    /// The object's bytes; `None` when there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let location = self.locate(path)?;
        let read = async { self.store().get(&location).await?.bytes().await };
        self.unless_missing(read.await, "read", path)
    }

    /// What the store knows of an object without reading it; `None` when there is none.
    pub async fn head(&self, path: &str) -> Result<Option<ObjectInfo>> {
        let found = self.store().head(&self.locate(path)?).await;
        Ok(self.unless_missing(found, "look at", path)?.map(ObjectInfo::from))
    }

    /// Every object below `prefix` (whole segments), in order of path.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let found = self.store().list(Some(&self.locate(prefix)?)).try_collect().await;
        self.listed(found, prefix)
    }

    /// Every object below `prefix` whose path sorts after `path`, in order of path.
    pub async fn list_after(&self, prefix: &str, path: &str) -> Result<Vec<ObjectInfo>> {
        let (within, offset) = (self.locate(prefix)?, self.locate(path)?);
        let found = self
            .store()
            .list_with_offset(Some(&within), &offset)
            .try_collect()
            .await;
        self.listed(found, prefix)
    }

    /// The names of the folders that lie directly in the lake, in order.
    pub async fn folders(&self) -> Result<Vec<String>> {
        let found = self.store().list_with_delimiter(None).await;
        let found = found.map_err(|cause| failed("list", &self.place(""), cause))?;
        let mut names: Vec<String> = found.common_prefixes.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes an object; one that is missing is fine. Not fenced: for data use [`Storage::remove`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        let deleted = self.store().delete(&self.locate(path)?).await;
        self.unless_missing(deleted, "delete", path).map(|_| ())
    }

    /// Stores an object where there is none. One whose answer was lost is found by its bytes.
    ///
    /// # Errors
    ///
    /// Storage. The object may have been stored all the same: read it back to know.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let location = self.locate(path)?;
        let mut again = Again::within(self.patience());
        loop {
            let (payload, options) = (PutPayload::from(bytes.clone()), PutOptions::from(PutMode::Create));
            let cause = match self.store().put_opts(&location, payload, options).await {
                Ok(_) => return Ok(Created::Done),
                Err(StoreError::AlreadyExists { .. }) => return Ok(Created::Exists),
                Err(cause) => cause,
            };
            if is_unanswered(&cause) {
                match self.get(path).await {
                    Ok(Some(found)) if found == bytes => return Ok(Created::Done),
                    Ok(Some(_)) => return Ok(Created::Exists),
                    // Should the first one arrive after all, it is found then.
                    Ok(None) if again.wait().await => continue,
                    _ => {}
                }
            }
            return Err(failed("create", &self.place(path), cause));
        }
    }

    /// Whether the store refuses to replace the object at `path` by `bytes` for an ETag that it does not have. On disk that is not what
    /// keeps runs apart, and the answer is yes.
    ///
    /// # Errors
    ///
    /// Storage, also for a store that does not know the condition.
    pub async fn refuses_outdated(&self, path: &str, bytes: Bytes) -> Result<bool> {
        if self.disk().is_some() {
            return Ok(true);
        }
        let outdated = PutMode::Update(UpdateVersion {
            e_tag: Some("\"00000000000000000000000000000000\"".to_owned()),
            version: Some("1".to_owned()),
        });
        let to = self.locate(path)?;
        let mut again = Again::within(self.patience());
        loop {
            let payload = PutPayload::from(bytes.clone());
            match self.store().put_opts(&to, payload, outdated.clone().into()).await {
                Ok(_) => return Ok(false),
                Err(StoreError::Precondition { .. }) => return Ok(true),
                Err(cause) if is_unanswered(&cause) && again.wait().await => {}
                Err(cause) => return Err(failed("write", &self.place(path), cause)),
            }
        }
    }

    pub(super) fn locate(&self, path: &str) -> Result<Path> {
        Path::parse(path).map_err(|cause| Error::internal(format!("`{path}` is no path of a lake")).caused_by(cause))
    }

    fn unless_missing<T>(&self, result: object_store::Result<T>, verb: &str, path: &str) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(cause) => Err(failed(verb, &self.place(path), cause)),
        }
    }

    fn listed(&self, found: object_store::Result<Vec<ObjectMeta>>, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let metas = found.map_err(|cause| failed("list", &self.place(prefix), cause))?;
        let mut infos: Vec<_> = metas.into_iter().map(ObjectInfo::from).collect();
        infos.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(infos)
    }
}

impl From<ObjectMeta> for ObjectInfo {
    fn from(meta: ObjectMeta) -> Self {
        let nanoseconds = i32::try_from(meta.last_modified.timestamp_subsec_nanos()).unwrap_or_default();
        Self {
            path: meta.location.to_string(),
            bytes: meta.size,
            etag: meta.e_tag,
            version: meta.version,
            modified: Timestamp::new(meta.last_modified.timestamp(), nanoseconds).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::open::Means;
    use crate::storage::unreliable::{Fault, Unreliable};

    fn lakes() -> (tempfile::TempDir, [Storage; 2]) {
        let home = tempfile::tempdir().unwrap();
        let disk = Storage::at(home.path()).unwrap();
        (home, [disk, Storage::in_memory()])
    }

    #[tokio::test]
    async fn whether_a_store_heeds_conditions_is_asked_again_when_no_answer_comes() {
        let store = Unreliable::over(InMemory::new());
        let means = Means {
            patience: Duration::from_secs(5),
            ..Means::default()
        };
        let lake = Storage::new(Arc::new(store.clone()), "memory://".to_owned(), means);
        let bytes = Bytes::from("x");
        lake.create("t/1", bytes.clone()).await.unwrap();
        store.plan(|number, _| (number <= 2).then_some(Fault::Unanswered));
        assert!(lake.refuses_outdated("t/1", bytes.clone()).await.unwrap());
        store.plan(|number, _| (number == 1).then_some(Fault::Fails));
        assert!(lake.refuses_outdated("t/1", bytes).await.is_err());
    }

    #[tokio::test]
    async fn what_no_list_gets_past_is_named_with_the_remedy() {
        use std::os::unix::{ffi::OsStrExt, fs::symlink};

        let home = tempfile::tempdir().unwrap();
        let lake = Storage::at(home.path()).unwrap();
        let table = home.path().join("t");
        std::fs::create_dir(&table).unwrap();
        let refused = async |told: &str| {
            for listed in [lake.list("t").await.map(drop), lake.list("").await.map(drop)] {
                let text = listed.unwrap_err().chain();
                assert!(
                    text.contains("move it out of the lake") && text.contains(told),
                    "{text}"
                );
            }
        };
        for (name, told) in [(&b"not-\xff-text"[..], "not-%FF-text"), (b"with\ttab", "with\ttab")] {
            let file = table.join(std::ffi::OsStr::from_bytes(name));
            std::fs::write(&file, "x").unwrap();
            refused(told).await;
            std::fs::rename(&file, home.path().join(file.file_name().unwrap())).unwrap();
            assert!(lake.folders().await.unwrap_err().chain().contains(told));
            std::fs::remove_file(home.path().join(file.file_name().unwrap())).unwrap();
        }
        for to in [home.path(), &table.join("loop")] {
            symlink(to, table.join("loop")).unwrap();
            refused("t/loop").await;
            std::fs::remove_file(table.join("loop")).unwrap();
        }
        assert_eq!(lake.list("t").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_path_out_of_the_lake_is_refused() {
        let (_home, lakes) = lakes();
        for lake in lakes {
            assert!(lake.get("../etc/passwd").await.is_err());
        }
    }
}
