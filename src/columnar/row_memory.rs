//! The memory that rows may take while they wait to be merged: one account for all buffers of a run, since seldom more than a few are full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What buffers share; clones are the same memory.
#[derive(Debug, Clone)]
pub struct RowMemory {
    held: Arc<AtomicUsize>,
    limit: usize,
    least: usize,
}

impl RowMemory {
    /// About `limit` bytes in all; a buffer that holds fewer than `least` makes no room for the others.
    ///
    /// So no buffer goes to disk row by row while another holds everything; and all of them may hold more than `limit` by `least` each.
    pub fn new(limit: usize, least: usize) -> Self {
        Self {
            held: Arc::default(),
            limit,
            least,
        }
    }

    /// An account for one buffer.
    pub(super) fn account(&self) -> Held {
        Held {
            memory: self.clone(),
            bytes: 0,
        }
    }
}

/// The bytes that the rows of one buffer take; nobody holds them any more when this is gone.
#[derive(Debug)]
pub(super) struct Held {
    memory: RowMemory,
    bytes: usize,
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.memory.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether, with `more` bytes, it is for this buffer to make room.
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        let all = self.memory.held.load(Ordering::Relaxed);
        self.bytes + more >= self.memory.least && all + more >= self.memory.limit
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.memory.held.fetch_sub(bytes, Ordering::Relaxed);
        self.bytes -= bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_little_makes_no_room() {
        let memory = RowMemory::new(100, 10);
        let (mut large, mut small) = (memory.account(), memory.account());
        large.add(95);
        assert!(!large.is_full_with(4) && large.is_full_with(5));
        small.add(6);
        assert!(large.is_full_with(0) && !small.is_full_with(3) && small.is_full_with(4));
        drop(large);
        assert!(!small.is_full_with(93) && small.is_full_with(94));
        small.give_back(6);
        assert_eq!((small.bytes(), memory.held.load(Ordering::Relaxed)), (0, 0));
    }
}
