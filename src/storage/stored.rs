//! An object as it was at one moment: one request, one ETag, and within the memory budget whatever its size.

use std::io::Write;

use bytes::Bytes;
use futures::StreamExt;
use object_store::{Error as StoreError, GetResult, GetResultPayload, ObjectStoreExt};
use sha2::{Digest, Sha256};

use super::failure::failed;
use super::spool::{IN_MEMORY, Spool};
use super::staged::hex;
use super::{Content, ObjectInfo, Storage};
use crate::error::{Error, Result};

/// Bytes that are hashed at a time.
const CHUNK: usize = 1 << 20;

/// An object that was read, or on disk opened: what becomes of its place afterwards does not matter any more.
#[derive(Debug)]
pub struct StoredObject {
    /// What it was when it was read.
    pub info: ObjectInfo,
    /// Its bytes.
    pub content: Content,
}

impl Storage {
    /// Reads the object at `path`; `None` when there is none.
    ///
    /// A break is mended by asking for the rest of the same ETag; when the object was replaced in between it is read again.
    ///
    /// # Errors
    ///
    /// Storage; also when the folder for temporary files is full.
    pub async fn fetch(&self, path: &str) -> Result<Option<StoredObject>> {
        let location = self.locate(path)?;
        let mut last = None;
        for _ in 0..TRIES {
            let got = match self.store().get(&location).await {
                Ok(got) => got,
                Err(StoreError::NotFound { .. }) => return Ok(None),
                Err(cause) => return Err(failed("read", &self.place(path), cause)),
            };
            match self.keep(got, path).await? {
                Ok(object) => return Ok(Some(object)),
                Err(broken) => last = Some(broken),
            }
        }
        let cause = last.unwrap_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        Err(failed("read", &self.place(path), cause))
    }

    /// The inner error is a body that broke off, which may be tried again.
    async fn keep(&self, got: GetResult, path: &str) -> Result<std::result::Result<StoredObject, Broken>> {
        let info = ObjectInfo::from(got.meta);
        let mut stream = match got.payload {
            GetResultPayload::File(file, _) if info.bytes > IN_MEMORY as u64 => {
                let content = Content::File(file);
                return Ok(Ok(StoredObject { info, content }));
            }
            GetResultPayload::File(mut file, _) => {
                let mut bytes = Vec::with_capacity(usize::try_from(info.bytes).unwrap_or_default());
                let read = std::io::Read::read_to_end(&mut file, &mut bytes);
                read.map_err(|cause| failed("read", &self.place(path), cause))?;
                let content = Content::Memory(bytes.into());
                return Ok(Ok(StoredObject { info, content }));
            }
            GetResultPayload::Stream(stream) => stream,
        };
        let mut spool = Spool::new(self.spool_dir());
        let full = |cause| {
            failed(
                "keep a part of",
                &format!("{} in {}", self.place(path), self.spool_dir().display()),
                cause,
            )
        };
        let mut kept = 0;
        while let Some(part) = stream.next().await {
            match part {
                Ok(part) => {
                    kept += part.len() as u64;
                    spool.write_all(&part).map_err(full)?;
                }
                Err(cause) => return Ok(Err(cause.into())),
            }
        }
        if kept != info.bytes {
            let text = format!("it ended after {kept} of {} bytes", info.bytes);
            return Ok(Err(text.into()));
        }
        let content = spool.finish().map_err(full)?;
        Ok(Ok(StoredObject { info, content }))
    }
}

/// How often an object that changes while it is read is read again.
const TRIES: usize = 3;

type Broken = Box<dyn std::error::Error + Send + Sync>;

impl StoredObject {
    /// The bytes from `at` on, `length` of them or as many as are left. May read a file, so not for a thread that waits for others.
    ///
    /// # Errors
    ///
    /// Storage, when the file behind it cannot be read.
    pub fn chunk(&self, at: u64, length: usize) -> Result<Bytes> {
        let read = self.content.chunk(at, length);
        read.map_err(|cause| Error::storage(format!("cannot read {}", self.info.path)).caused_by(cause))
    }

    /// The SHA-256 of its bytes, in lowercase hexadecimal digits. Reads all of them, so not for a thread that waits for others.
    ///
    /// # Errors
    ///
    /// Storage, when the file behind it cannot be read.
    pub fn sha256(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut at = 0;
        loop {
            let chunk = self.chunk(at, CHUNK)?;
            if chunk.is_empty() {
                return Ok(hex(&hash.finalize()));
            }
            at += chunk.len() as u64;
            hash.update(&chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::Created;

    #[tokio::test]
    async fn large_and_small_objects_come_whole_from_a_folder_and_from_a_bucket() {
        let home = tempfile::tempdir().unwrap();
        for lake in [
            Storage::at(home.path()).unwrap(),
            Storage::over(Arc::new(InMemory::new()), "memory://"),
        ] {
            for length in [0, 10, IN_MEMORY + 5] {
                let bytes = Bytes::from(vec![7; length]);
                let path = format!("t/{length}");
                assert_eq!(lake.create(&path, bytes.clone()).await.unwrap(), Created::Done);
                let object = lake.fetch(&path).await.unwrap().unwrap();
                assert_eq!(object.info.bytes, length as u64);
                assert_eq!(object.content.chunk(0, length + 1).unwrap(), bytes);
                assert_eq!(object.sha256().unwrap(), hex(&Sha256::digest(&bytes)));
                // What was read stays as it was.
                lake.delete(&path).await.unwrap();
                assert_eq!(object.content.chunk(0, length + 1).unwrap(), bytes);
            }
            assert!(lake.fetch("t/0").await.unwrap().is_none());
        }
    }
}
