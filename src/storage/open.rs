//! From what `--to` says to a place that has been proved writable.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use super::disk::Disk;
use crate::error::{Error, Result};

/// A lake: bytes at paths, on a disk or in a bucket. Cheap to clone; clones are the same lake.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn ObjectStore>,
    /// Present when the objects are files.
    disk: Option<Disk>,
    /// What stands before a path in messages.
    location: String,
    creates_conditionally: AtomicBool,
}

impl Storage {
    /// Opens the lake that a path or a `file://` URL names, creates its folder and proves that it can be written.
    ///
    /// # Errors
    ///
    /// Input for a scheme that is not supported; storage for a file in the way or a folder that cannot be written.
    pub fn open(to: &str) -> Result<Self> {
        Disk::create(&local_path(to)?).map(Self::on)
    }

    /// Opens a lake that is only read: nothing is created and nothing is written.
    ///
    /// # Errors
    ///
    /// As for [`Storage::open`], and storage when there is no such folder.
    pub fn open_existing(to: &str) -> Result<Self> {
        Disk::existing(&local_path(to)?).map(Self::on)
    }

    /// A lake that ends with the process.
    pub fn in_memory() -> Self {
        Self::over(Arc::new(InMemory::new()), "memory://")
    }

    /// A lake in any object store but a disk; `location` stands before paths in messages.
    pub fn over(store: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self::new(store, None, location.to_owned())
    }

    fn on(disk: Disk) -> Self {
        let location = disk.root().display().to_string();
        Self::new(disk.store(), Some(disk), location)
    }

    fn new(store: Arc<dyn ObjectStore>, disk: Option<Disk>, location: String) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                disk,
                location,
                creates_conditionally: AtomicBool::new(false),
            }),
        }
    }

    /// Whether a second creation of a path has been refused since this lake was opened.
    pub fn creates_conditionally(&self) -> bool {
        self.inner.creates_conditionally.load(Ordering::Relaxed)
    }

    /// Remembers that a second creation of a path was refused.
    pub fn saw_conditional_create(&self) {
        self.inner.creates_conditionally.store(true, Ordering::Relaxed);
    }

    /// `path` as a person would look for it.
    pub fn place(&self, path: &str) -> String {
        format!("{}/{path}", self.inner.location.trim_end_matches('/'))
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.inner.store
    }

    pub(super) fn disk(&self) -> Option<&Disk> {
        self.inner.disk.as_ref()
    }
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

fn local_path(to: &str) -> Result<PathBuf> {
    match to.split_once("://") {
        _ if to.is_empty() => Err(Error::input("--to is empty: give a folder, as in --to ./cio-lake")),
        None => Ok(Path::new(to).to_owned()),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => file_url(to),
        Some((scheme, _)) => Err(Error::input(format!(
            "`{scheme}://` is not supported by this version: --to takes a path or a file:// URL"
        ))),
    }
}

fn file_url(to: &str) -> Result<PathBuf> {
    let wrong = || Error::input(format!("`{to}` names no local folder: write file:///absolute/path"));
    let url = Url::parse(to).map_err(|cause| wrong().caused_by(cause))?;
    url.to_file_path().map_err(|()| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refusal(to: &str) -> (ErrorKind, String) {
        let error = Storage::open(to).unwrap_err();
        (error.kind(), error.chain())
    }

    #[test]
    fn a_folder_is_made_and_left_clean() {
        let home = tempfile::tempdir().unwrap();
        let lake = home.path().join("a/b");
        Storage::open(lake.to_str().unwrap()).unwrap();
        assert!(lake.join("_staging").is_dir());
        assert_eq!(lake.join("_staging").read_dir().unwrap().count(), 0);
        let url = format!("file://{}/with%20space", lake.display());
        Storage::open(&url).unwrap();
        assert!(lake.join("with space").is_dir());
    }

    #[test]
    fn a_scheme_without_support_is_an_input_error_that_says_what_is_supported() {
        for to in ["s3://bucket/lake", "gs://b", "az://b", "http://x/y"] {
            let (kind, text) = refusal(to);
            assert_eq!(kind, ErrorKind::Input, "{to}");
            assert!(text.contains("path or a file:// URL"), "{text}");
        }
        assert_eq!(refusal("file://relative/path").0, ErrorKind::Input);
        assert_eq!(refusal("").0, ErrorKind::Input);
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

    #[test]
    fn reading_creates_nothing() {
        let home = tempfile::tempdir().unwrap();
        let typo = home.path().join("typo");
        let error = Storage::open_existing(typo.to_str().unwrap()).unwrap_err();
        assert!(error.chain().contains("no such place"), "{}", error.chain());
        assert!(!typo.exists());
        Storage::open_existing(home.path().to_str().unwrap()).unwrap();
        assert_eq!(home.path().read_dir().unwrap().count(), 0);
    }
}
