//! A stored partition as rows.

use std::io::Read;

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};

use crate::columnar::read_parquet;
use crate::error::{Error, Result};
use crate::storage::{Content, StoredObject};
use crate::stream::Stream;

/// Batches of a stored partition, in its order.
pub type StoredRows = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// The rows of `object`; to be called and read on a worker thread.
///
/// # Errors
/// Storage, when the object is not a Parquet file of the stream's schema.
pub fn rows(object: StoredObject, stream: &Stream) -> Result<StoredRows> {
    let path = object.info.path;
    let named = move |e: Error| {
        Error::storage(format!("cannot read {path}; `verify` tells what is wrong with it")).caused_by(e)
    };
    let rows = read_parquet(stream, Readable(object.content)).map_err(&named)?;
    Ok(Box::new(rows.map(move |batch| batch.map_err(&named))))
}

/// Bytes in memory or in a file, for the Parquet reader.
#[derive(Debug)]
pub struct Readable(pub Content);

impl Length for Readable {
    fn len(&self) -> u64 {
        match &self.0 {
            Content::Memory(bytes) => Length::len(bytes),
            Content::File(file) => Length::len(file),
        }
    }
}

impl ChunkReader for Readable {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(match &self.0 {
            Content::Memory(bytes) => Box::new(ChunkReader::get_read(bytes, start)?),
            Content::File(file) => Box::new(ChunkReader::get_read(file, start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match &self.0 {
            Content::Memory(bytes) => bytes.get_bytes(start, length),
            Content::File(file) => file.get_bytes(start, length),
        }
    }
}
