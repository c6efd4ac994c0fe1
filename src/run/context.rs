//! What the streams of a run share.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::budget::Budget;
use super::cpu::Cpu;
use super::event::{Listener, RunEvent};
use super::settings::RunSettings;
use super::stop::Stop;
use crate::source::Source;
use crate::storage::Storage;

/// Everything that is one for a whole run.
#[derive(Debug)]
pub struct Run {
    /// What to do.
    pub settings: RunSettings,
    /// Where rows come from.
    pub source: Source,
    /// Where they go.
    pub storage: Storage,
    /// Threads for plain work.
    pub cpu: Cpu,
    /// Memory by use.
    pub budget: Budget,
    /// Ends everything in good order.
    pub stop: Stop,
    /// Hears what happens.
    pub listener: ListenerSlot,
    /// Requests in flight at once, over the streams that have many chains.
    pub flights: Arc<Semaphore>,
    /// Partitions that are merged at once, over all streams: each holds an encoder's buffers.
    pub merges: Semaphore,
}

/// A listener that can be called like a function and printed.
pub struct ListenerSlot(pub Listener);

impl std::ops::Deref for ListenerSlot {
    type Target = dyn Fn(RunEvent) + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl std::fmt::Debug for ListenerSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

impl Run {
    /// The folder for spills of this run.
    pub fn spill_dir(&self) -> PathBuf {
        let temp_dir = self.settings.temp_dir.as_deref();
        self.storage.spill_dir(&self.settings.run, temp_dir)
    }
}
