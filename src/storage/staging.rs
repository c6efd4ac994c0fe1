//! The staging folder of a run: opened before its first claim, closed at its end, taken away when another run takes over.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::failure::failed;
use super::layout::{STAGING, staging_folder};
use super::{Owner, RunId, Storage};
use crate::error::{Error, Result};

impl Storage {
    /// The folder for what `run` cannot keep in memory: `temp_dir` when one is given, else one in its staging folder on disk, else the
    /// folder for temporary files. What lies there has no name.
    pub fn spill_dir(&self, run: &RunId, temp_dir: Option<&Path>) -> PathBuf {
        match (temp_dir, self.disk()) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(disk)) => disk.spill_dir(run),
            (None, None) => self.spool_dir().to_owned(),
        }
    }

    /// Makes the staging folder of `run`, with who runs in it: once a run, before its first claim. Nothing to do in a bucket.
    pub async fn open_staging(&self, run: &RunId, owner: &Owner) -> Result<()> {
        let owner =
            serde_json::to_vec(owner).map_err(|cause| Error::internal("cannot write an owner").caused_by(cause))?;
        self.in_staging("open", run, move |disk, run| disk.open_staging(run, &owner))
            .await
    }

    /// Removes the staging folder of `run` with all that is in it.
    pub async fn close_staging(&self, run: &RunId) -> Result<()> {
        self.in_staging("remove", run, Disk::close_staging).await
    }

    /// Fences a run off that held the table in `folder`. On disk nothing that it staged can be published from now on, and it can neither
    /// stage nor remove; in a bucket its uploads in parts come to nothing, and conditions keep the rest away.
    pub async fn evict(&self, run: &RunId, folder: &str) -> Result<()> {
        self.in_staging("take over", run, Disk::evict).await?;
        match self.abort_uploads(folder).await {
            Ok(0) => {}
            Ok(count) => tracing::info!("aborted {count} unfinished uploads below {}", self.place(folder)),
            // They are seen by nobody, and who completes one looks at its claim before; but somebody pays for them.
            Err(error) => tracing::warn!(
                error = %error.chain(),
                "cannot abort uploads that a dead run may have left; let the credentials list and abort them, or the bucket's own rule"
            ),
        }
        Ok(())
    }

    /// Removes what runs left behind whose owner `is_dead`; the number of folders. In a bucket nothing is ever left.
    pub async fn sweep_staging(&self, is_dead: impl Fn(&Owner) -> bool + Send + 'static) -> Result<usize> {
        let swept = self.on_disk("sweep", STAGING, move |disk| disk.sweep(&is_dead)).await?;
        Ok(swept.unwrap_or_default())
    }

    async fn in_staging(
        &self,
        verb: &str,
        run: &RunId,
        work: impl FnOnce(&Disk, &RunId) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let (folder, run) = (staging_folder(run), run.clone());
        self.on_disk(verb, &folder, move |disk| work(disk, &run))
            .await
            .map(|_| ())
    }

    /// Does blocking work where there is a disk; `None` where there is none.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        verb: &str,
        path: &str,
        work: impl FnOnce(&Disk) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let lake = self.clone();
        let done = tokio::task::spawn_blocking(move || lake.disk().map(work).transpose()).await;
        done.map_err(|cause| Error::internal("work on the disk broke off").caused_by(cause))?
            .map_err(|cause| failed(verb, &self.place(path), cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead() -> Owner {
        Owner {
            process: format!("{}:1", std::process::id()),
            ..Owner::current()
        }
    }

    #[tokio::test]
    async fn a_sweep_removes_what_the_dead_left_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let lake = Storage::at(home.path()).unwrap();
        for (run, owner) in [("dead", dead()), ("alive", Owner::current())] {
            lake.open_staging(&run.parse().unwrap(), &owner).await.unwrap();
        }
        let staging = home.path().join("_staging");
        std::fs::create_dir(staging.join("cut-short.evicted")).unwrap();
        std::fs::create_dir_all(staging.join("evicted-before/spill")).unwrap();
        std::fs::create_dir(staging.join("starting.opening")).unwrap();
        std::fs::create_dir(staging.join("unknown")).unwrap();
        std::fs::write(staging.join("unknown/owner.json"), "?").unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(48);
        for name in ["half-made.opening", "torn"] {
            let folder = staging.join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("owner.json"), "").unwrap();
            std::fs::File::open(folder).unwrap().set_modified(long_ago).unwrap();
        }

        assert_eq!(lake.sweep_staging(Owner::is_dead).await.unwrap(), 5);
        let mut left: Vec<_> = staging.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["alive", "starting.opening", "unknown"]);
        assert_eq!(Storage::in_memory().sweep_staging(Owner::is_dead).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_abandoned_creation_is_swept_but_not_one_under_way() {
        let home = tempfile::tempdir().unwrap();
        let lake = Storage::at(home.path()).unwrap();
        let folders = ["_manifest/t", "_rejected/t"].map(|folder| home.path().join(folder));
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(48);
        for folder in &folders {
            std::fs::create_dir_all(folder).unwrap();
            for name in ["1.json", "1.json#1", "2.json#1"] {
                std::fs::write(folder.join(name), "x").unwrap();
            }
            for name in ["1.json", "1.json#1"] {
                let file = std::fs::File::options().write(true).open(folder.join(name)).unwrap();
                file.set_modified(long_ago).unwrap();
            }
        }
        for (folder, old) in [("old", true), ("new", false)] {
            let check = home.path().join("_check").join(folder);
            std::fs::create_dir_all(&check).unwrap();
            std::fs::write(check.join("object"), "x").unwrap();
            let probe = home.path().join(format!("_staging/.tmp{folder}"));
            std::fs::write(&probe, "x").unwrap();
            for left in [check, probe].into_iter().filter(|_| old) {
                std::fs::File::open(left).unwrap().set_modified(long_ago).unwrap();
            }
        }
        lake.sweep_staging(Owner::is_dead).await.unwrap();
        for (folder, name) in [("_check", "new"), ("_staging", ".tmpnew")] {
            let left = home.path().join(folder).read_dir().unwrap();
            let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, [name]);
        }
        for folder in &folders {
            let mut left: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
            left.sort();
            assert_eq!(left, ["1.json", "2.json#1"]);
        }
    }

    #[tokio::test]
    async fn staging_is_closed_with_all_that_is_in_it_and_evicting_twice_is_fine() {
        let home = tempfile::tempdir().unwrap();
        let lake = Storage::at(home.path()).unwrap();
        let run: RunId = "r".parse().unwrap();
        lake.open_staging(&run, &Owner::current()).await.unwrap();
        let spill = lake.spill_dir(&run, None);
        assert!(spill.is_dir());
        std::fs::write(spill.join("1"), "x").unwrap();
        lake.close_staging(&run).await.unwrap();
        lake.close_staging(&run).await.unwrap();
        lake.evict(&run, "t").await.unwrap();
        assert_eq!(home.path().join("_staging").read_dir().unwrap().count(), 0);
    }

    #[test]
    fn spills_go_where_the_user_said() {
        let run: RunId = "r".parse().unwrap();
        let spill = Storage::in_memory().spill_dir(&run, Some(Path::new("/big")));
        assert_eq!(spill, Path::new("/big"));
    }
}
