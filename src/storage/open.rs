//! From what a destination says to a place that has been looked at: written to on a disk, listed in a bucket.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path as Prefix;
use object_store::prefix::PrefixStore;
use tokio::sync::Semaphore;

use super::bucket::unfinished::Uploads;
use super::bucket::{azure, gcs, s3};
use super::destination::{BucketPlace, Destination, Place, Provider};
use super::disk::Disk;
use super::failure::failed;
use super::layout::MANIFEST;
use crate::error::{Error, Result};

/// What a lake that was opened without settings may hold of an upload in memory.
const UPLOAD_MEMORY: u64 = 32 << 20;

/// A lake: bytes at paths, on a disk or in a bucket. Cheap to clone; clones are the same lake.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn ObjectStore>,
    means: Means,
    /// What stands before a path in messages.
    location: String,
    heeds_conditions: AtomicBool,
    /// `upload_memory` in KiB.
    uploads_at_once: Semaphore,
}

/// What a lake has beside its store.
pub(super) struct Means {
    /// Present when the objects are files.
    pub(super) disk: Option<Disk>,
    /// What unfinished uploads are found with, where a store keeps them.
    pub(super) uploads: Option<Uploads>,
    /// The bytes that objects on their way into a bucket may take in memory.
    pub(super) upload_memory: u64,
    /// The largest object that goes in one put.
    pub(super) one_put: u64,
    /// Where objects go that do not fit into memory; for a bucket only.
    pub(super) spool_dir: PathBuf,
    /// How long a request that was not answered is sent again; for a bucket only.
    pub(super) patience: Duration,
}

impl Default for Means {
    fn default() -> Self {
        Self {
            disk: None,
            uploads: None,
            upload_memory: UPLOAD_MEMORY,
            one_put: UPLOAD_MEMORY,
            spool_dir: std::env::temp_dir(),
            patience: Duration::ZERO,
        }
    }
}

impl Storage {
    /// Opens the lake that `destination` names. A folder is created and proved writable; a bucket is listed, so that a wrong name, key
    /// or region is known before anything else happens.
    ///
    /// # Errors
    ///
    /// Input for settings that cannot be used; storage for a place that cannot.
    pub async fn open(destination: &Destination) -> Result<Self> {
        match place_of(destination)? {
            Place::Folder(folder) => Self::at(&folder),
            Place::Bucket(place) => Self::bucket(&place, destination).await,
        }
    }

    /// Opens a lake that is only read: nothing is created and nothing is written.
    ///
    /// # Errors
    ///
    /// As for [`Storage::open`], and Input when there is no such folder.
    pub async fn open_existing(destination: &Destination) -> Result<Self> {
        Self::existing(place_of(destination)?, destination).await
    }

    /// Like [`Storage::open_existing`]; `None` when the folder is not there yet.
    ///
    /// # Errors
    ///
    /// As for [`Storage::open`].
    pub async fn open_if_there(destination: &Destination) -> Result<Option<Self>> {
        let place = place_of(destination)?;
        if let Place::Folder(folder) = &place {
            let there = folder.try_exists();
            let there = there.map_err(|cause| failed("open the folder", &folder.display().to_string(), cause))?;
            if !there {
                return Ok(None);
            }
        }
        Self::existing(place, destination).await.map(Some)
    }

    async fn existing(place: Place, destination: &Destination) -> Result<Self> {
        match place {
            Place::Folder(folder) => Disk::existing(&folder).map(Self::on),
            Place::Bucket(place) => Self::bucket(&place, destination).await,
        }
    }

    /// Opens the lake in a folder, creates the folder and proves that it can be written.
    ///
    /// # Errors
    ///
    /// Storage for a file in the way or a folder that cannot be written.
    pub fn at(folder: &Path) -> Result<Self> {
        Disk::create(folder).map(Self::on)
    }

    /// A lake that ends with the process.
    pub fn in_memory() -> Self {
        Self::over(Arc::new(InMemory::new()), "memory://")
    }

    /// A lake in any object store but a disk; `location` stands before paths in messages.
    pub fn over(store: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self::new(store, location.to_owned(), Means::default())
    }

    fn on(disk: Disk) -> Self {
        let (store, location) = (disk.store(), disk.root().display().to_string());
        let means = Means {
            disk: Some(disk),
            ..Means::default()
        };
        Self::new(store, location, means)
    }

    async fn bucket(place: &BucketPlace, destination: &Destination) -> Result<Self> {
        let lake = Self::unlisted(place, destination).await?;
        lake.look()
            .await
            .map_err(|cause| failed("open", &place.to_string(), cause))?;
        Ok(lake)
    }

    /// The cheapest request that shows whether name, key and region are right.
    pub(super) async fn look(&self) -> object_store::Result<()> {
        let listed = self.store().list_with_delimiter(Some(&Prefix::from(MANIFEST))).await;
        listed.map(drop)
    }

    /// A bucket that nothing was asked of yet.
    ///
    /// # Errors
    ///
    /// As for [`Storage::open`].
    pub(super) async fn unlisted(place: &BucketPlace, destination: &Destination) -> Result<Self> {
        // The first one in a process counts, and it is always this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (store, uploads): (Arc<dyn ObjectStore>, _) = match place.provider {
            Provider::S3 => {
                let store = s3::open(place, destination).await?;
                let uploads = Uploads::s3(store.clone(), place, destination)?;
                (Arc::new(store), Some(uploads))
            }
            Provider::Gcs => {
                let store = gcs::open(place, destination).await?;
                let uploads = Uploads::gcs(store.clone(), place, destination)?;
                (Arc::new(store), Some(uploads))
            }
            // Blocks that were never committed are seen by nobody, and Azure forgets them after a week.
            Provider::Azure => (Arc::new(azure::open(place, destination).await?), None),
        };
        let store = Arc::new(PrefixStore::new(store, place.prefix.clone()));
        let spool_dir = destination.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&spool_dir).map_err(|cause| {
            failed(
                "make the folder for temporary files",
                &spool_dir.display().to_string(),
                cause,
            )
        })?;
        let means = Means {
            disk: None,
            uploads,
            upload_memory: destination.memory,
            one_put: destination.largest_put(),
            spool_dir,
            patience: destination.patience,
        };
        Ok(Self::new(store, place.to_string(), means))
    }

    pub(super) fn new(store: Arc<dyn ObjectStore>, location: String, means: Means) -> Self {
        let kib = usize::try_from(means.upload_memory / 1024).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            inner: Arc::new(Inner {
                store,
                means,
                location,
                heeds_conditions: AtomicBool::new(false),
                uploads_at_once: Semaphore::new(kib),
            }),
        }
    }

    /// Whether a second creation of a path, and a replacement of what is not there, have been refused since this lake was opened.
    pub fn heeds_conditions(&self) -> bool {
        self.inner.heeds_conditions.load(Ordering::Relaxed)
    }

    /// Remembers that both were refused.
    pub fn saw_conditions(&self) {
        self.inner.heeds_conditions.store(true, Ordering::Relaxed);
    }

    /// `path` as a person would look for it.
    pub fn place(&self, path: &str) -> String {
        format!("{}/{path}", self.inner.location.trim_end_matches('/'))
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.inner.store
    }

    pub(super) fn disk(&self) -> Option<&Disk> {
        self.inner.means.disk.as_ref()
    }

    pub(super) fn uploads(&self) -> Option<&Uploads> {
        self.inner.means.uploads.as_ref()
    }

    pub(super) fn spool_dir(&self) -> &Path {
        &self.inner.means.spool_dir
    }

    pub(super) fn upload_memory(&self) -> u64 {
        self.inner.means.upload_memory
    }

    pub(super) fn patience(&self) -> Duration {
        self.inner.means.patience
    }

    pub(super) fn one_put(&self) -> u64 {
        self.inner.means.one_put
    }

    pub(super) fn uploads_at_once(&self) -> &Semaphore {
        &self.inner.uploads_at_once
    }
}

/// What `destination` names, after the folder for temporary files that it names was proved writable: nothing may need that for hours.
///
/// # Errors
///
/// Input.
fn place_of(destination: &Destination) -> Result<Place> {
    let place = Place::parse(&destination.to)?;
    if let Some(folder) = &destination.temp_dir {
        let proved = std::fs::create_dir_all(folder).and_then(|()| prove(folder));
        proved.map_err(|cause| {
            let text = format!(
                "--temp-dir {} cannot be used, name a folder with room that this user can write into",
                folder.display()
            );
            Error::input(text).caused_by(cause)
        })?;
    }
    Ok(place)
}

/// A byte goes into a file without a name, so that nothing is left of it.
fn prove(folder: &Path) -> std::io::Result<()> {
    tempfile::tempfile_in(folder)?.write_all(b"x")
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.location)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refusal(to: &str) -> (ErrorKind, String) {
        let error = Storage::at(Path::new(to)).unwrap_err();
        (error.kind(), error.chain())
    }

    #[tokio::test]
    async fn a_folder_is_made_and_left_clean() {
        let home = tempfile::tempdir().unwrap();
        let lake = home.path().join("a/b");
        Storage::open(&Destination::new(lake.to_str().unwrap())).await.unwrap();
        assert!(lake.join("_staging").is_dir());
        assert_eq!(lake.join("_staging").read_dir().unwrap().count(), 0);
        let url = format!("file://{}/with%20space", lake.display());
        Storage::open(&Destination::new(&url)).await.unwrap();
        assert!(lake.join("with space").is_dir());
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("lake");
        std::fs::write(&file, "x").unwrap();
        for to in [file.clone(), file.join("below")] {
            let (kind, text) = refusal(to.to_str().unwrap());
            assert_eq!(kind, ErrorKind::Storage);
            assert!(
                text.contains(to.to_str().unwrap()) && text.contains("move it away"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let (kind, text) = refusal("/proc/cio2parquet");
        assert_eq!(kind, ErrorKind::Storage);
        assert!(text.contains("/proc/cio2parquet"), "{text}");
    }

    #[tokio::test]
    async fn reading_creates_nothing() {
        let home = tempfile::tempdir().unwrap();
        let typo = home.path().join("typo");
        let error = Storage::open_existing(&Destination::new(typo.to_str().unwrap()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.chain().contains("no such place"), "{}", error.chain());
        assert!(!typo.exists());
        Storage::open_existing(&Destination::new(home.path().to_str().unwrap()))
            .await
            .unwrap();
        assert_eq!(home.path().read_dir().unwrap().count(), 0);
    }
}
