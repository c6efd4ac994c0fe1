//! Sorted runs on disk: Arrow IPC files whose batches each belong to one partition, and which have no names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;

use super::PartitionKey;
use crate::crash::{Step, pass};
use crate::error::{Error, Result, io_kind};

/// The folder for what does not fit into memory; made when it is first needed.
///
/// Its files have no names: rows of people stay on no disk when a process dies, and nobody has to look for what the dead have left.
#[derive(Debug)]
pub struct SpillDir {
    path: PathBuf,
}

impl SpillDir {
    /// A folder at `path`, which may exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// A new file, gone when nobody has it open any more.
    pub(super) fn create(&self) -> Result<SpillFile> {
        let created = fs::create_dir_all(&self.path).and_then(|()| tempfile::tempfile_in(&self.path));
        let file = created.map_err(|error| failed("create", &self.path, error))?;
        Ok(SpillFile {
            file: Arc::new(file),
            dir: self.path.clone(),
        })
    }
}

/// A file without a name, and the folder that it lies in.
#[derive(Debug, Clone)]
pub(super) struct SpillFile {
    file: Arc<File>,
    dir: PathBuf,
}

impl SpillFile {
    /// What writes from the file's beginning; for one at a time.
    pub(super) fn writer(&self) -> BufWriter<Arc<File>> {
        BufWriter::new(Arc::clone(&self.file))
    }

    /// What reads from the file's beginning, whoever else reads it.
    pub(super) fn reader(&self) -> BufReader<SpillReader> {
        let file = Arc::clone(&self.file);
        BufReader::new(SpillReader { file, at: 0 })
    }

    pub(super) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(super) fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        let read = self.file.read_exact_at(bytes, at);
        read.map_err(|error| self.failed("read", error))
    }

    pub(super) fn failed(&self, verb: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        failed(verb, &self.dir, error)
    }
}

/// Where one reader stands in a file.
#[derive(Debug)]
pub(super) struct SpillReader {
    file: Arc<File>,
    at: u64,
}

impl Read for SpillReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for SpillReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = to.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn failed(verb: &str, dir: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let remedy = match io_kind(&error) {
        Some(ErrorKind::StorageFull) => {
            ": the disk is full, free some space and give the same command again, or name another place with --temp-dir"
        }
        _ => "; --temp-dir names another place",
    };
    Error::storage(format!("cannot {verb} a temporary file in {}{remedy}", dir.display())).caused_by(error)
}

/// A sorted run in a file.
#[derive(Debug)]
pub(super) struct RunFile {
    file: SpillFile,
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
            let mut reader = FileReader::try_new(self.file.reader(), None)?;
            if !batches.is_empty() {
                reader.set_index(batches.start)?;
            }
            Ok(reader)
        };
        let reader = open().map_err(|error| self.file.failed("read", error))?;
        Ok(FileBatches {
            reader,
            left: batches.len(),
            file: self.file.clone(),
        })
    }
}

/// The batches of a run, one at a time.
#[derive(Debug)]
pub(super) struct FileBatches {
    reader: FileReader<BufReader<SpillReader>>,
    left: usize,
    file: SpillFile,
}

impl Iterator for FileBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let batch = self.reader.next()?;
        Some(batch.map_err(|error| self.file.failed("read", error)))
    }
}

/// Writes a run, batch by batch in the table's order.
pub(super) struct RunWriter {
    writer: FileWriter<BufWriter<Arc<File>>>,
    run: RunFile,
    batches: usize,
}

impl RunWriter {
    pub(super) fn new(dir: &SpillDir, schema: &Schema) -> Result<Self> {
        let file = dir.create()?;
        let writer = FileWriter::try_new(file.writer(), schema).map_err(|error| file.failed("write", error))?;
        let run = RunFile {
            file,
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
            .map_err(|error| self.run.file.failed("write", error))?;
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
            .map_err(|error| self.run.file.failed("write", error))?;
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
