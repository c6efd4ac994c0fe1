//! How the memory of a run is shared out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::columnar::RowMemory;
use crate::error::{Error, Result};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// More buffers than one stream ever fills at once.
const MOST_BUFFERS: usize = 8;

/// The bytes that `--memory` allows, by use.
///
/// A part is held back for the program itself, the encoders and the allocator's slack; the rest is split between the
/// pages on their way, and the rows that wait to be merged.
#[derive(Debug, Clone)]
pub struct Budget {
    pages: Arc<Semaphore>,
    pages_kib: u32,
    rows: RowMemory,
    rows_of_a_stream: usize,
}

impl Budget {
    /// The least that `--memory` may say.
    pub const LEAST: u64 = 64 * MIB;

    /// Shares out `memory` bytes over `streams` streams that run side by side.
    pub fn new(memory: u64, streams: usize) -> Self {
        let pages_kib = u32::try_from(memory / 8 / KIB).unwrap_or(u32::MAX / 2);
        let rows = usize::try_from(memory / 3).unwrap_or(usize::MAX);
        Self {
            pages: Arc::new(Semaphore::new(pages_kib as usize)),
            pages_kib,
            rows: RowMemory::new(rows, rows / MOST_BUFFERS / streams.max(1)),
            rows_of_a_stream: rows / streams.max(1),
        }
    }

    /// What the rows of all streams may take until they are sorted and spilled.
    pub fn rows(&self) -> &RowMemory {
        &self.rows
    }

    /// The bytes that each of so many buffers of one stream can count on while every other one is full too.
    pub fn rows_of_each(&self, buffers: usize) -> usize {
        self.rows_of_a_stream / buffers.max(1)
    }

    /// Waits until a page of about `bytes` may be on its way; the charge ends with the permit.
    ///
    /// # Errors
    /// Internal, never in practice: the budget is not closed while a run goes on.
    pub async fn page(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes / KIB).unwrap_or(u32::MAX).clamp(1, self.pages_kib);
        let permit = Arc::clone(&self.pages).acquire_many_owned(kib).await;
        permit.map_err(|e| Error::internal("the page budget is closed").caused_by(e))
    }
}
