//! A store that fails by plan, for tests.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// What goes wrong with one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and an error says so.
    Fails,
    /// Nothing happens, and no answer comes.
    Unanswered,
    /// Nothing happens: the key lacks the right.
    Denied,
    /// Nothing happens: there is no space left.
    Full,
    /// It happens, and the answer is lost.
    Lost,
    /// It happens, its answer is lost, and a client below us does it again.
    Repeated,
    /// It happens late.
    Late,
    /// It happens whatever its condition says.
    Unconditional,
}

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A put without the condition that nothing is there.
    Put,
    /// A put where nothing is.
    Create,
    /// A read, of data or of metadata.
    Get,
    /// A delete.
    Delete,
    /// A list.
    List,
}

/// Decides on each operation, which are numbered from 1.
type Plan = Box<dyn FnMut(u64, Kind) -> Option<Fault> + Send>;

/// A store in memory with faults.
#[derive(Clone)]
pub struct Unreliable {
    inner: Arc<InMemory>,
    plan: Arc<Mutex<Progress>>,
}

/// What was asked since the plan was made.
struct Progress {
    plan: Plan,
    operations: u64,
    struck: u64,
}

impl Progress {
    fn of(plan: impl FnMut(u64, Kind) -> Option<Fault> + Send + 'static) -> Self {
        Self {
            plan: Box::new(plan),
            operations: 0,
            struck: 0,
        }
    }
}

impl Unreliable {
    /// A store over `inner` that does not fail yet.
    pub fn over(inner: InMemory) -> Self {
        Self {
            inner: Arc::new(inner),
            plan: Arc::new(Mutex::new(Progress::of(|_, _| None))),
        }
    }

    /// Another store with the same objects, which does not fail yet.
    pub fn fork(&self) -> Self {
        Self::over(self.inner.fork())
    }

    /// From now on `plan` decides, and operations are numbered from 1 again.
    pub fn plan(&self, plan: impl FnMut(u64, Kind) -> Option<Fault> + Send + 'static) {
        *self.plan.lock().unwrap() = Progress::of(plan);
    }

    /// How many operations were struck since the plan was made.
    pub fn struck(&self) -> u64 {
        self.plan.lock().unwrap().struck
    }

    async fn strike(&self, kind: Kind) -> Result<Option<Fault>> {
        let fault = {
            let mut progress = self.plan.lock().unwrap();
            progress.operations += 1;
            let number = progress.operations;
            let fault = (progress.plan)(number, kind);
            progress.struck += u64::from(fault.is_some());
            fault
        };
        match fault {
            Some(Fault::Fails) => Err(broken("the connection was reset")),
            Some(Fault::Unanswered) => {
                let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                Err(broken(HttpError::new(HttpErrorKind::Interrupted, reset)))
            }
            Some(Fault::Denied) => Err(Error::PermissionDenied {
                path: "somewhere".to_owned(),
                source: "403 Forbidden".into(),
            }),
            Some(Fault::Full) => Err(broken(std::io::Error::from(std::io::ErrorKind::StorageFull))),
            Some(Fault::Late) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    /// An operation that can be done again without harm; its fault makes an error of its answer at most.
    async fn harmless<T>(&self, kind: Kind, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.strike(kind).await? {
            Some(Fault::Lost) => work.await.and_then(|_| Err(lost())),
            _ => work.await,
        }
    }

    fn streamed<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(&InMemory) -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let store = self.clone();
        let answered = async move {
            match store.strike(kind).await {
                Err(error) => futures::stream::once(async { Err(error) }).boxed(),
                Ok(Some(Fault::Lost)) => {
                    let _: Vec<_> = work(&store.inner).collect().await;
                    futures::stream::once(async { Err(lost()) }).boxed()
                }
                Ok(_) => work(&store.inner),
            }
        };
        futures::stream::once(answered).flatten().boxed()
    }
}

fn lost() -> Error {
    broken("the answer was lost")
}

fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic {
        store: "Unreliable",
        source: source.into(),
    }
}

impl fmt::Debug for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
        let kind = match options.mode {
            PutMode::Create => Kind::Create,
            _ => Kind::Put,
        };
        let fault = self.strike(kind).await?;
        let put = |options: PutOptions| self.inner.put_opts(location, payload.clone(), options);
        match fault {
            Some(Fault::Lost) => put(options).await.and_then(|_| Err(lost())),
            Some(Fault::Repeated) => {
                put(options.clone()).await?;
                put(options).await
            }
            Some(Fault::Unconditional) => put(PutOptions::from(PutMode::Overwrite)).await,
            _ => put(options).await,
        }
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.harmless(Kind::Put, self.inner.put_multipart_opts(to, options))
            .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.harmless(Kind::Get, self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.harmless(Kind::Get, self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.streamed(Kind::Delete, |inner| inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.streamed(Kind::List, move |inner| inner.list(prefix.as_ref()))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.streamed(Kind::List, move |inner| {
            inner.list_with_offset(prefix.as_ref(), &offset)
        })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.harmless(Kind::List, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.harmless(Kind::Put, self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.harmless(Kind::Put, self.inner.rename_opts(from, to, options))
            .await
    }
}
