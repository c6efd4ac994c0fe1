//! A store that fails on demand, for tests.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::Storage;

/// What goes wrong with the next conditional creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is stored, and a retry below us answers that it exists.
    StoredButExists,
    /// It is stored, and the answer is lost.
    StoredButFails,
    /// It is not stored.
    Fails,
    /// From now on every condition is ignored.
    Overwrites,
}

/// A store in memory with faults.
#[derive(Debug)]
pub(crate) struct Unreliable {
    inner: InMemory,
    fault: Mutex<Option<Fault>>,
}

impl Unreliable {
    /// The store, and a lake in it.
    pub(crate) fn lake() -> (Arc<Self>, Storage) {
        let store = Arc::new(Self {
            inner: InMemory::new(),
            fault: Mutex::new(None),
        });
        (store.clone(), Storage::over(store, "memory://"))
    }

    /// Makes the next conditional creation fail.
    pub(crate) fn next(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    fn take(&self) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap();
        match *fault {
            Some(Fault::Overwrites) => *fault,
            _ => fault.take(),
        }
    }
}

impl fmt::Display for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unreliable")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Unreliable {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let lost = || Error::Generic {
            store: "Unreliable",
            source: "the answer was lost".into(),
        };
        let fault = if options.mode == PutMode::Create {
            self.take()
        } else {
            None
        };
        match fault {
            None => self.inner.put_opts(location, payload, options).await,
            Some(Fault::Overwrites) => self.inner.put(location, payload).await,
            Some(Fault::Fails) => Err(lost()),
            Some(Fault::StoredButFails) => {
                self.inner.put_opts(location, payload, options).await?;
                Err(lost())
            }
            Some(Fault::StoredButExists) => {
                self.inner.put_opts(location, payload.clone(), options.clone()).await?;
                self.inner.put_opts(location, payload, options).await
            }
        }
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
