//! A stored partition as something Parquet can be read from: whole when it is small, by ranges when it is not.

use std::io::Read;

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::reject::hex;
use crate::columnar::read_parquet;
use crate::error::{Error, Result};
use crate::storage::{ObjectInfo, Storage};
use crate::stream::Stream;
use arrow::array::RecordBatch;

/// Objects up to this size are read with one request and held in memory.
const WHOLE: u64 = 4 << 20;

/// Bytes of an object that are hashed at a time.
const CHUNK: u64 = 4 << 20;

/// How much is read ahead where the reader does not say how much it wants.
const READ_AHEAD: u64 = 256 << 10;

/// Batches of a stored partition, in its order.
pub type StoredRows = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// An object that was found in the lake, before it is read.
#[derive(Debug, Clone)]
pub struct StoredObject {
    storage: Storage,
    path: String,
    bytes: u64,
    handle: Handle,
    whole: Option<Bytes>,
}

impl StoredObject {
    /// Looks at the object at `info.path`; fetches it when it is small.
    ///
    /// # Errors
    /// Storage, when it cannot be read.
    pub async fn open(storage: &Storage, info: &ObjectInfo) -> Result<Self> {
        let whole = if info.bytes <= WHOLE {
            storage.get(&info.path).await?
        } else {
            None
        };
        Ok(Self {
            storage: storage.clone(),
            path: info.path.clone(),
            bytes: info.bytes,
            handle: Handle::current(),
            whole,
        })
    }

    /// Its rows; to be called and read on a worker thread, which waits for the store.
    ///
    /// # Errors
    /// Storage, when the object is not a Parquet file of the stream's schema.
    pub fn rows(self, stream: &Stream) -> Result<StoredRows> {
        let path = self.path.clone();
        let named = move |e: Error| {
            Error::storage(format!("cannot read {path}; `verify` tells what is wrong with it")).caused_by(e)
        };
        let rows: StoredRows = match self.whole.clone() {
            Some(whole) => Box::new(read_parquet(stream, whole).map_err(&named)?),
            None => Box::new(read_parquet(stream, self).map_err(&named)?),
        };
        Ok(Box::new(rows.map(move |batch| batch.map_err(&named))))
    }

    /// The SHA-256 of its bytes, in lowercase hexadecimal digits.
    ///
    /// # Errors
    /// Storage, when it cannot be read to its end.
    pub async fn sha256(&self) -> Result<String> {
        if let Some(whole) = &self.whole {
            return Ok(hex(&Sha256::digest(whole)));
        }
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < self.bytes {
            let end = (at + CHUNK).min(self.bytes);
            let chunk = self.storage.get_range(&self.path, at..end).await?;
            if chunk.is_empty() {
                return Err(Error::storage(format!(
                    "{} ended before its {} bytes were read",
                    self.path, self.bytes
                )));
            }
            at += chunk.len() as u64;
            hash.update(&chunk);
        }
        Ok(hex(&hash.finalize()))
    }

    fn range(&self, start: u64, length: u64) -> ParquetResult<Bytes> {
        let end = start.saturating_add(length).min(self.bytes);
        let read = self.storage.get_range(&self.path, start..end);
        self.handle
            .block_on(read)
            .map_err(|e| ParquetError::External(Box::new(e)))
    }
}

impl Length for StoredObject {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for StoredObject {
    type T = Ahead;

    fn get_read(&self, start: u64) -> ParquetResult<Ahead> {
        Ok(Ahead {
            object: self.clone(),
            at: start,
            buffer: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.range(start, length as u64)
    }
}

/// Reads an object onward from a place.
pub struct Ahead {
    object: StoredObject,
    at: u64,
    buffer: Bytes,
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.buffer.is_empty() && self.at < self.object.bytes {
            self.buffer = self.object.range(self.at, READ_AHEAD).map_err(std::io::Error::other)?;
            self.at += self.buffer.len() as u64;
        }
        let count = out.len().min(self.buffer.len());
        self.buffer.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}
