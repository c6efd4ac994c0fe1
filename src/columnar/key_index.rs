//! Which keys were fetched, and which of them came in several places of the order.
//!
//! The order of a table begins with a time, so two forms of one key may lie far apart, in different partitions even. Rows sorted
//! by key would find them; here stand-ins of the keys are sorted instead, on disk where the rows are, so that memory does not grow.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{Read, Write};

use super::order::{Order, key_hash};
use super::sorted_run::Page;
use super::spill::{SpillDir, SpillFile};
use super::stamp::Stamp;
use crate::error::Result;

/// One form of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyEntry {
    key: u128,
    /// Stands for the place in the order that rows with this key have: rows at one place meet when runs are merged.
    place: u64,
    stamp: Stamp,
}

impl KeyEntry {
    const BYTES: usize = 40;

    /// The entries of every row of `pages`.
    pub(super) fn collect(order: &Order, pages: &[Page]) -> Result<Vec<Self>> {
        let mut entries = Vec::with_capacity(pages.iter().map(|page| page.rows.num_rows()).sum());
        for page in pages {
            let (keys, places) = (order.keys(&page.rows)?, order.places(&page.rows)?);
            entries.extend((0..page.rows.num_rows()).map(|row| Self {
                key: key_hash(&keys.text(row)),
                place: places.among_equals(row),
                stamp: page.stamp(row),
            }));
        }
        Ok(entries)
    }

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.key.to_le_bytes());
        let rest = [self.place, self.stamp.request, self.stamp.arrival];
        for (chunk, number) in bytes[16..].chunks_exact_mut(8).zip(rest) {
            chunk.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let number = |at: usize| {
            bytes[at..at + 8]
                .iter()
                .rev()
                .fold(0, |number, &byte| number << 8 | u64::from(byte))
        };
        Self {
            key: u128::from(number(8)) << 64 | u128::from(number(0)),
            place: number(16),
            stamp: Stamp {
                request: number(24),
                arrival: number(32),
            },
        }
    }
}

/// Sorted entries in a file.
#[derive(Debug)]
pub(super) struct KeyFile(SpillFile);

impl KeyFile {
    /// Writes entries that are given in order.
    pub(super) fn write(dir: &SpillDir, entries: impl Iterator<Item = Result<KeyEntry>>) -> Result<Self> {
        let file = dir.create()?;
        let mut out = file.writer();
        for entry in entries {
            out.write_all(&entry?.to_bytes())
                .map_err(|error| file.failed("write", error))?;
        }
        out.flush().map_err(|error| file.failed("write", error))?;
        Ok(Self(file))
    }

    fn read(&self) -> Result<impl Iterator<Item = Result<KeyEntry>>> {
        let bytes = self.0.bytes().map_err(|error| self.0.failed("read", error))?;
        let mut reader = self.0.reader();
        Ok((0..bytes / KeyEntry::BYTES as u64).map(move |_| {
            let mut bytes = [0; KeyEntry::BYTES];
            reader
                .read_exact(&mut bytes)
                .map_err(|error| self.0.failed("read", error))?;
            Ok(KeyEntry::from_bytes(bytes))
        }))
    }

    /// The entries of several files, in order.
    pub(super) fn merge(files: &[Self]) -> Result<impl Iterator<Item = Result<KeyEntry>>> {
        let mut sources = files.iter().map(Self::read).collect::<Result<Vec<_>>>()?;
        let mut heads = BinaryHeap::new();
        for (number, source) in sources.iter_mut().enumerate() {
            heads.extend(source.next().transpose()?.map(|entry| Reverse((entry, number))));
        }
        Ok(std::iter::from_fn(move || {
            let Reverse((entry, number)) = heads.pop()?;
            match sources[number].next().transpose() {
                Ok(next) => heads.extend(next.map(|entry| Reverse((entry, number)))),
                Err(error) => return Some(Err(error)),
            }
            Some(Ok(entry))
        }))
    }
}

/// Every key that was fetched, and the newest form of those that came in several places.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Stored,
    newest: HashMap<u128, Stamp>,
}

#[derive(Debug)]
enum Stored {
    Memory(Vec<u128>),
    Disk(DiskKeys),
}

impl KeySet {
    /// The keys of entries in memory.
    pub(super) fn in_memory(mut entries: Vec<KeyEntry>) -> Self {
        entries.sort_unstable();
        let mut moved = Moved::default();
        entries.iter().for_each(|entry| moved.see(*entry));
        let mut keys: Vec<u128> = entries.into_iter().map(|entry| entry.key).collect();
        keys.dedup();
        Self {
            keys: Stored::Memory(keys),
            newest: moved.newest,
        }
    }

    /// The keys of sorted files.
    pub(super) fn on_disk(dir: &SpillDir, files: &[KeyFile]) -> Result<Self> {
        let mut moved = Moved::default();
        let entries = KeyFile::merge(files)?;
        let seen = entries.inspect(|entry| entry.iter().for_each(|entry| moved.see(*entry)));
        let keys = DiskKeys::write(dir, seen)?;
        Ok(Self {
            keys: Stored::Disk(keys),
            newest: moved.newest,
        })
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        match &self.keys {
            Stored::Memory(keys) => keys.len(),
            Stored::Disk(keys) => keys.count,
        }
    }

    /// Whether `key` was fetched, in whatever partition.
    pub(super) fn contains(&self, key: &str) -> Result<bool> {
        let key = key_hash(key);
        match &self.keys {
            Stored::Memory(keys) => Ok(keys.binary_search(&key).is_ok()),
            Stored::Disk(keys) => keys.contains(key),
        }
    }

    /// Whether any key came in several places.
    pub(super) fn any_moved(&self) -> bool {
        !self.newest.is_empty()
    }

    /// Whether a later form of the same key came elsewhere.
    pub(super) fn is_superseded(&self, key: &str, stamp: Stamp) -> bool {
        self.any_moved() && self.newest.get(&key_hash(key)).is_some_and(|newest| stamp < *newest)
    }
}

/// Finds the keys with several places among sorted entries.
#[derive(Default)]
struct Moved {
    last: Option<KeyEntry>,
    latest: Option<Stamp>,
    newest: HashMap<u128, Stamp>,
}

impl Moved {
    fn see(&mut self, entry: KeyEntry) {
        let same_key = self.last.filter(|last| last.key == entry.key);
        let latest = match same_key.and(self.latest) {
            Some(latest) => latest.max(entry.stamp),
            None => entry.stamp,
        };
        let known = self.newest.contains_key(&entry.key);
        if known || same_key.is_some_and(|last| last.place != entry.place) {
            self.newest.insert(entry.key, latest);
        }
        (self.last, self.latest) = (Some(entry), Some(latest));
    }
}

/// Sorted stand-ins in a file, and every 256th of them in memory: a look-up reads one page of the file.
#[derive(Debug)]
struct DiskKeys {
    file: SpillFile,
    firsts: Vec<u128>,
    count: usize,
}

impl DiskKeys {
    const KEY: usize = 16;
    const BLOCK: usize = 256;

    fn write(dir: &SpillDir, entries: impl Iterator<Item = Result<KeyEntry>>) -> Result<Self> {
        let file = dir.create()?;
        let mut out = file.writer();
        let (mut firsts, mut count, mut last) = (Vec::new(), 0, None);
        for entry in entries {
            let key = entry?.key;
            if last.replace(key) == Some(key) {
                continue;
            }
            if count % Self::BLOCK == 0 {
                firsts.push(key);
            }
            count += 1;
            out.write_all(&key.to_le_bytes())
                .map_err(|error| file.failed("write", error))?;
        }
        out.flush().map_err(|error| file.failed("write", error))?;
        Ok(Self { file, firsts, count })
    }

    fn contains(&self, key: u128) -> Result<bool> {
        let block = self.firsts.partition_point(|first| *first <= key);
        let Some(start) = block.checked_sub(1).map(|block| block * Self::BLOCK) else {
            return Ok(false);
        };
        let mut bytes = [0; Self::BLOCK * Self::KEY];
        let bytes = &mut bytes[..(self.count - start).min(Self::BLOCK) * Self::KEY];
        self.file.read_at(bytes, (start * Self::KEY) as u64)?;
        Ok(bytes.chunks_exact(Self::KEY).any(|found| found == key.to_le_bytes()))
    }
}
