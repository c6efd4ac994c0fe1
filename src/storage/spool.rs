//! Bytes on their way between this process and a bucket: in memory as long as they are few, else in a file without a name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use tempfile::{SpooledData, SpooledTempFile, spooled_tempfile_in};

/// Up to this many bytes stay in memory.
pub(super) const IN_MEMORY: usize = 1 << 20;

/// Bytes that are being written. The file behind many of them has no name, so that nothing is left of a process that dies.
pub(super) struct Spool(SpooledTempFile);

/// What was written, whole.
#[derive(Debug)]
pub enum Content {
    /// Few bytes.
    Memory(Bytes),
    /// Many bytes, from the file's beginning.
    File(File),
}

impl Spool {
    /// An empty spool whose file, if it needs one, is made in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self(spooled_tempfile_in(IN_MEMORY, folder))
    }

    pub(super) fn finish(self) -> io::Result<Content> {
        match self.0.into_inner() {
            SpooledData::InMemory(cursor) => Ok(Content::Memory(Bytes::from(cursor.into_inner()))),
            SpooledData::OnDisk(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Content::File(file))
            }
        }
    }
}

impl Write for Spool {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Content {
    /// The bytes from `at` on, `length` of them or as many as are left. Reads a file, so not for a thread that waits for others.
    pub(super) fn chunk(&self, at: u64, length: usize) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(start..start.saturating_add(length).min(bytes.len())))
            }
            Self::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(at))?;
                let mut chunk = Vec::with_capacity(length);
                file.take(length as u64).read_to_end(&mut chunk)?;
                Ok(Bytes::from(chunk))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_stay_in_memory_and_many_come_back_from_a_file_that_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        for (length, in_memory) in [(IN_MEMORY, true), (IN_MEMORY + 1, false)] {
            let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut spool = Spool::new(folder.path());
            bytes.chunks(100_000).for_each(|part| spool.write_all(part).unwrap());
            let content = spool.finish().unwrap();
            assert_eq!(matches!(content, Content::Memory(_)), in_memory);
            assert_eq!(content.chunk(0, length).unwrap(), bytes);
            assert_eq!(content.chunk(1_000, 10).unwrap(), bytes[1_000..1_010]);
            assert_eq!(content.chunk(length as u64 - 3, 10).unwrap(), bytes[length - 3..]);
            assert_eq!(content.chunk(length as u64, 10).unwrap().len(), 0);
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }
}
