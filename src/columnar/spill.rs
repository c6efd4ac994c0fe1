//! Sorted runs on disk: Arrow IPC files whose batches each belong to one partition.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use tempfile::TempPath;

use super::PartitionKey;
use crate::crash::{Step, pass};
use crate::error::{Error, Result, io_kind};

/// The folder for what does not fit into memory; made when it is first needed, emptied and removed when it is dropped.
#[derive(Debug)]
pub struct SpillDir {
    path: PathBuf,
}

impl SpillDir {
    /// A folder at `path`, which may exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// A new file, removed when the returned path is dropped.
    pub(super) fn create(&self) -> Result<(File, TempPath)> {
        let create = || -> std::io::Result<_> {
            fs::create_dir_all(&self.path)?;
            tempfile::Builder::new().prefix("run-").tempfile_in(&self.path)
        };
        // Another buffer that ends may remove the folder between the two steps.
        let again = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => create(),
            _ => Err(error),
        };
        match create().or_else(again).or_else(again) {
            Ok(file) => Ok(file.into_parts()),
            Err(error) => Err(failed("create", &self.path.join("run-"), error)),
        }
    }
}

impl Drop for SpillDir {
    fn drop(&mut self) {
        // Fails when the folder was never made or holds files of others, and both is as it should be.
        fs::remove_dir(&self.path).ok();
    }
}

pub(super) fn failed(verb: &str, path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let remedy = match io_kind(&error) {
        Some(ErrorKind::StorageFull) => {
            ": the disk is full, free some space and give the same command again, or name another place with --temp-dir"
        }
        _ => "; --temp-dir names another place",
    };
    Error::storage(format!("cannot {verb} {}, a temporary file{remedy}", path.display())).caused_by(error)
}

/// A sorted run in a file.
#[derive(Debug)]
pub(super) struct RunFile {
    path: TempPath,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// The numbers of the batches of each partition.
    partitions: BTreeMap<PartitionKey, Range<usize>>,
}

impl RunFile {
    pub(super) fn partitions(&self) -> impl Iterator<Item = &PartitionKey> {
        self.partitions.keys()
    }

    /// The batches of one partition, or of all, in order.
    pub(super) fn read(&self, partition: Option<&PartitionKey>) -> Result<FileBatches> {
        let batches = match partition {
            Some(key) => self.partitions.get(key).cloned().unwrap_or_default(),
            None => {
                0..self
                    .partitions
                    .values()
                    .map(|range| range.end)
                    .max()
                    .unwrap_or_default()
            }
        };
        let open = || -> Result<_, ArrowError> {
            let mut reader = FileReader::try_new(BufReader::new(File::open(&self.path)?), None)?;
            if !batches.is_empty() {
                reader.set_index(batches.start)?;
            }
            Ok(reader)
        };
        let reader = open().map_err(|error| failed("read", &self.path, error))?;
        Ok(FileBatches {
            reader,
            left: batches.len(),
            path: self.path.to_path_buf(),
        })
    }
}

/// The batches of a run, one at a time.
#[derive(Debug)]
pub(super) struct FileBatches {
    reader: FileReader<BufReader<File>>,
    left: usize,
    path: PathBuf,
}

impl Iterator for FileBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let batch = self.reader.next()?;
        Some(batch.map_err(|error| failed("read", &self.path, error)))
    }
}

/// Writes a run, batch by batch in the table's order.
pub(super) struct RunWriter {
    writer: FileWriter<BufWriter<File>>,
    run: RunFile,
    batches: usize,
}

impl RunWriter {
    pub(super) fn new(dir: &SpillDir, schema: &Schema) -> Result<Self> {
        let (file, path) = dir.create()?;
        let writer = FileWriter::try_new_buffered(file, schema).map_err(|error| failed("write", &path, error))?;
        let run = RunFile {
            path,
            rows: 0,
            bytes: 0,
            partitions: BTreeMap::new(),
        };
        Ok(Self {
            writer,
            run,
            batches: 0,
        })
    }

    /// Appends rows of one partition, none of which comes before what was pushed.
    pub(super) fn push(&mut self, key: PartitionKey, batch: &RecordBatch) -> Result<()> {
        self.writer
            .write(batch)
            .map_err(|error| failed("write", &self.run.path, error))?;
        self.batches += 1;
        self.run.rows += batch.num_rows();
        self.run.bytes += bytes_of(batch);
        let first = self.batches - 1;
        self.run.partitions.entry(key).or_insert(first..first).end = self.batches;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<RunFile> {
        self.writer
            .finish()
            .map_err(|error| failed("write", &self.run.path, error))?;
        pass(Step::RunSpilled);
        Ok(self.run)
    }
}

/// The bytes of the rows themselves: a slice does not count for the whole that it was cut from.
fn bytes_of(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or_default())
        .sum()
}
