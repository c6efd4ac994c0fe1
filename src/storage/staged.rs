//! An object on its way: written, counted, hashed, finished.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::disk::{Leftover, StagedFile};
use super::spool::Spool;
use super::{Content, RunId, Storage};
use crate::error::{Error, Result};

/// An object while it is written. Dropped unpublished it leaves nothing behind.
pub struct StagedObject {
    sink: Sink,
    digest: Sha256,
    bytes: u64,
}

enum Sink {
    File(StagedFile),
    Spool(Spool),
}

/// An object that is complete and, on disk, synced. Dropped unpublished it leaves nothing behind.
pub struct FinishedObject {
    pub(super) body: Body,
    bytes: u64,
    sha256: String,
}

pub(super) enum Body {
    /// Renamed into place.
    File(Leftover),
    /// Put into a bucket.
    Content(Content),
}

impl Storage {
    /// A new object of `run`: a file of its staging folder on disk; memory, and beyond some size a file without a name, for a
    /// bucket.
    ///
    /// # Errors
    ///
    /// Held when another run took the staging folder away; storage.
    pub fn stage(&self, run: &RunId) -> Result<StagedObject> {
        let sink = match self.disk() {
            Some(disk) => Sink::File(disk.stage(run)?),
            None => Sink::Spool(Spool::new(self.spool_dir())),
        };
        Ok(StagedObject {
            sink,
            digest: Sha256::new(),
            bytes: 0,
        })
    }
}

impl StagedObject {
    /// Completes the object: on disk it is synced when this returns. Blocks; not for a thread that waits for others.
    pub fn finish(self) -> Result<FinishedObject> {
        let body = match self.sink {
            Sink::File(file) => Body::File(file.finish()?),
            Sink::Spool(spool) => Body::Content(spool.finish().map_err(full)?),
        };
        Ok(FinishedObject {
            body,
            bytes: self.bytes,
            sha256: hex(&self.digest.finalize()),
        })
    }
}

impl Write for StagedObject {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = match &mut self.sink {
            Sink::File(file) => file.write(buffer)?,
            Sink::Spool(spool) => spool
                .write(buffer)
                .map_err(|cause| io::Error::new(cause.kind(), full(cause)))?,
        };
        self.digest.update(buffer.get(..taken).unwrap_or(buffer));
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(file) => file.flush(),
            Sink::Spool(spool) => spool.flush(),
        }
    }
}

impl FinishedObject {
    /// The object's size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of its bytes, in lowercase hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// The folder for temporary files, not the lake, is where it fails.
fn full(cause: io::Error) -> Error {
    let text = "cannot keep an object on its way in the folder for temporary files, name another with --temp-dir";
    Error::storage(text).caused_by(cause)
}

/// Lowercase hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Owner;

    #[test]
    fn bytes_and_checksum_are_those_of_what_was_written() {
        let mut staged = Storage::in_memory().stage(&"r".parse().unwrap()).unwrap();
        staged.write_all(b"a").unwrap();
        staged.write_all(b"bc").unwrap();
        let finished = staged.finish().unwrap();
        assert_eq!(finished.bytes(), 3);
        assert_eq!(
            finished.sha256(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[tokio::test]
    async fn what_is_dropped_leaves_no_file() {
        let home = tempfile::tempdir().unwrap();
        let lake = Storage::at(home.path()).unwrap();
        let run: RunId = "r".parse().unwrap();
        lake.open_staging(&run, &Owner::current()).await.unwrap();
        let objects = home.path().join("_staging/r/objects");
        let count = || objects.read_dir().unwrap().count();

        let mut staged = lake.stage(&run).unwrap();
        staged.write_all(b"x").unwrap();
        assert_eq!(count(), 1);
        drop(staged);
        assert_eq!(count(), 0);

        let finished = lake.stage(&run).unwrap().finish().unwrap();
        assert_eq!(count(), 1);
        drop(finished);
        assert_eq!(count(), 0);
    }
}
