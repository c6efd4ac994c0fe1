//! The one file that knows a disk: folders, syncing, renames, and the staging folder that fences a run.
//!
//! ```text
//! _staging/<run>/owner.json     who runs
//! _staging/<run>/objects/<n>    objects on their way, renamed into place when finished
//! _staging/<run>/spill/         sorted runs that did not fit in memory, in files without names
//! ```
//!
//! Nothing ever makes `objects/` again once it is gone, while a spill may well make `spill/` again: that is why they are two folders.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as Kind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::failure::{failed, misplaced};
use super::layout::{CHECK, MANIFEST, REJECTED, STAGING, staging_folder};
use super::{Owner, RunId};
use crate::crash::{Step, pass};
use crate::error::{Error, ErrorKind, Result};

const OWNER: &str = "owner.json";
const OBJECTS: &str = "objects";
const SPILL: &str = "spill";
/// A run id holds no dot, so neither suffix can be mistaken for a run.
const OPENING: &str = ".opening";
const EVICTED: &str = ".evicted";
/// What begins the name of the file with which a folder is tried.
const PROBE: &str = ".tmp";
/// How old a file must be to be no creation under way.
const ABANDONED: Duration = Duration::from_hours(24);

/// A folder of the local file system that holds a lake.
pub(super) struct Disk {
    root: PathBuf,
    store: Arc<LocalFileSystem>,
    staged: AtomicU64,
}

impl Disk {
    /// Creates the folder if need be and proves that a file can be written in it.
    pub(super) fn create(root: &Path) -> Result<Self> {
        let staging = root.join(STAGING);
        make_folder(&staging)
            .and_then(|()| probe(&staging))
            .map_err(|cause| failed("write into the folder", &root.display().to_string(), cause))?;
        Self::existing(root)
    }

    /// Takes the folder as it is.
    pub(super) fn existing(root: &Path) -> Result<Self> {
        let place = root.display().to_string();
        let root = fs::canonicalize(root).map_err(|cause| misplaced("open the folder", &place, cause))?;
        if !root.is_dir() {
            return Err(failed("open the folder", &place, io::Error::from(Kind::NotADirectory)));
        }
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|cause| failed("open the folder", &place, cause))?
            .with_fsync(true);
        Ok(Self {
            root,
            store: Arc::new(store),
            staged: AtomicU64::new(0),
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as _
    }

    pub(super) fn spill_dir(&self, run: &RunId) -> PathBuf {
        self.folder(run).join(SPILL)
    }

    /// A new file on its way. A folder that is gone stays gone: it was taken away by a run that took over.
    pub(super) fn stage(&self, run: &RunId) -> Result<StagedFile> {
        let name = self.staged.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}/{OBJECTS}/{name}", staging_folder(run));
        let file = self.root.join(&path);
        let opened = OpenOptions::new().write(true).create_new(true).open(&file);
        match opened {
            Ok(open) => Ok(StagedFile {
                open,
                guard: Leftover { file, path },
            }),
            Err(cause) if cause.kind() == Kind::NotFound => Err(fenced(run, &file).caused_by(cause)),
            Err(cause) => Err(failed("create", &file.display().to_string(), cause)),
        }
    }

    /// Takes the object at `path` away; `false` when the run's folder is gone, in which case nothing was touched.
    ///
    /// It is moved into the run's folder first, so that a run that slept through a take-over cannot delete what stands there now.
    pub(super) fn withdraw(&self, run: &RunId, path: &str) -> io::Result<bool> {
        let object = self.root.join(path);
        let objects = self.folder(run).join(OBJECTS);
        let parked = objects.join(self.staged.fetch_add(1, Ordering::Relaxed).to_string());
        match fs::rename(&object, &parked) {
            Ok(()) => {
                pass(Step::ObjectParked);
                fs::remove_file(&parked)?;
            }
            Err(cause) if cause.kind() == Kind::NotFound => return Ok(objects.is_dir()),
            Err(cause) => return Err(cause),
        }
        if let Some(folder) = object.parent() {
            File::open(folder)?.sync_all()?;
            // Fails while something else is inside, and then the folder is wanted.
            fs::remove_dir(folder).ok();
        }
        Ok(true)
    }

    /// Makes the run's folder, complete in one rename, so that a sweep never meets one without an owner.
    pub(super) fn open_staging(&self, run: &RunId, owner: &[u8]) -> io::Result<()> {
        let opening = self.root.join(staging_folder(run) + OPENING);
        let filled = fs::create_dir_all(opening.join(OBJECTS))
            .and_then(|()| fs::create_dir_all(opening.join(SPILL)))
            .and_then(|()| write_synced(&opening.join(OWNER), owner))
            .and_then(|()| fs::rename(&opening, self.folder(run)));
        filled.inspect_err(|_| {
            // The first failure is the one to report.
            fs::remove_dir_all(&opening).ok();
        })
    }

    /// Removes the run's folder and what is left in it.
    pub(super) fn close_staging(&self, run: &RunId) -> io::Result<()> {
        remove_tree(&self.folder(run))
    }

    /// Takes a run's folder away under its feet. The rename is what fences on a local disk; the removal, complete before this
    /// returns, fences on a network file system, where another machine may still know the folder by its handle.
    pub(super) fn evict(&self, run: &RunId) -> io::Result<()> {
        let away = self.root.join(staging_folder(run) + EVICTED);
        remove_tree(&away)?;
        match fs::rename(self.folder(run), &away) {
            Err(cause) if cause.kind() != Kind::NotFound => Err(cause),
            _ => remove_tree(&away),
        }
    }

    /// Removes what dead runs left behind; the number of folders.
    pub(super) fn sweep(&self, is_dead: &dyn Fn(&Owner) -> bool) -> io::Result<usize> {
        let mut swept = 0;
        for entry in entries(&self.root.join(STAGING))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let dead = || match owner_of(&entry.path()) {
                Ok(Some(owner)) => is_dead(&owner),
                // A kill or a power cut left it half made.
                Ok(None) => is_old(&entry),
                Err(_) => false,
            };
            if name.ends_with(EVICTED) || (name.ends_with(OPENING) && dead()) {
                remove_tree(&entry.path())?;
                swept += 1;
            } else if let (Ok(run), true) = (name.parse::<RunId>(), is_remnant(&entry.path()) || dead()) {
                self.evict(&run)?;
                swept += 1;
            }
        }
        self.sweep_creations()?;
        if let Err(error) = self.sweep_probes() {
            tracing::warn!(%error, "what killed checks have left in the lake cannot be swept; nothing needs it gone");
        }
        Ok(swept)
    }

    /// What a kill has left of the byte that is written when a lake is opened, and of the objects of a `check`.
    fn sweep_probes(&self) -> io::Result<()> {
        for entry in entries(&self.root.join(STAGING))? {
            if entry.file_name().to_string_lossy().starts_with(PROBE) && is_old(&entry) {
                unless_gone(fs::remove_file(entry.path()))?;
            }
        }
        let checks = self.root.join(CHECK);
        for entry in entries(&checks)?.iter().filter(|entry| is_old(entry)) {
            remove_tree(&entry.path())?;
        }
        // Fails where a check is under way, or where there never was one.
        fs::remove_dir(checks).ok();
        Ok(())
    }

    /// object_store creates a file as `<name>#<n>` beside its target and links it into place; a kill in between leaves it there.
    fn sweep_creations(&self) -> io::Result<()> {
        for folder in [MANIFEST, REJECTED] {
            for table in entries(&self.root.join(folder))? {
                for file in entries(&table.path())? {
                    if is_old(&file) && file.file_name().to_string_lossy().contains(".json#") {
                        unless_gone(fs::remove_file(file.path()))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn folder(&self, run: &RunId) -> PathBuf {
        self.root.join(staging_folder(run))
    }
}

/// An open file on its way; it is removed unless it is published.
pub(super) struct StagedFile {
    open: File,
    guard: Leftover,
}

impl StagedFile {
    /// Syncs the file and closes it.
    pub(super) fn finish(self) -> Result<Leftover> {
        let synced = self.open.sync_all();
        synced.map_err(|cause| failed("sync", &self.guard.file.display().to_string(), cause))?;
        Ok(self.guard)
    }
}

impl Write for StagedFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.open.write(buffer).map_err(|cause| {
            let place = self.guard.file.display().to_string();
            io::Error::new(cause.kind(), failed("write", &place, cause))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.flush()
    }
}

/// A file of the staging folder that goes with this value. Names are never used twice, so removing a published one is harmless.
pub(super) struct Leftover {
    file: PathBuf,
    path: String,
}

impl Leftover {
    /// The file as a path of the lake.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        // What cannot be removed now is swept with the folder.
        fs::remove_file(&self.file).ok();
    }
}

fn fenced(run: &RunId, file: &Path) -> Error {
    let text = format!(
        "run {run} may not write any more, another run took its staging folder away ({})",
        file.display()
    );
    Error::new(ErrorKind::Held, text)
}

/// Creating a file may work on a full disk; writing a byte does not.
fn probe(folder: &Path) -> io::Result<()> {
    let file = tempfile::Builder::new().prefix(PROBE).tempfile_in(folder);
    file?.write_all(b"x")
}

/// Makes a folder and those above it, so that they are still there after a power cut: each stands in the one above it.
fn make_folder(folder: &Path) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.is_dir()).collect();
    fs::create_dir_all(&folder)?;
    for above in missing.into_iter().filter_map(Path::parent) {
        match File::open(above) {
            Ok(above) => above.sync_all()?,
            // Who may write into a folder need not be let read it, and then it cannot be synced.
            Err(cause) if cause.kind() == Kind::PermissionDenied => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

fn write_synced(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Who runs in a folder; `None` when nobody has written that down whole.
fn owner_of(folder: &Path) -> io::Result<Option<Owner>> {
    match fs::read(folder.join(OWNER)) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(cause) if cause.kind() == Kind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// A run's folder appears with its owner inside, so one without was made by a late spill of a run that had been evicted.
fn is_remnant(folder: &Path) -> bool {
    folder.join(OWNER).try_exists().is_ok_and(|there| !there)
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > ABANDONED))
}

fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(cause) if matches!(cause.kind(), Kind::NotFound | Kind::NotADirectory) => Ok(Vec::new()),
        Err(cause) => Err(cause),
    }
}

/// What another run has removed meanwhile is as good as removed.
fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(cause) if cause.kind() == Kind::NotFound => Ok(()),
        other => other,
    }
}

/// A run that still writes may add a file while the folder is emptied.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..5 {
        result = unless_gone(fs::remove_dir_all(folder));
        if !matches!(&result, Err(cause) if cause.kind() == Kind::DirectoryNotEmpty) {
            break;
        }
    }
    result
}
