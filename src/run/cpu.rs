//! Plain work beside the waiting: decoding, sorting, merging and encoding on threads of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A pool of threads, one a core.
#[derive(Debug, Clone)]
pub struct Cpu(Arc<rayon::ThreadPool>);

impl Cpu {
    /// Starts the threads.
    ///
    /// # Errors
    /// Internal, when the system gives no threads.
    pub fn start() -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|number| format!("cpu-{number}"))
            .build()
            .map_err(|e| Error::internal("cannot start the worker threads").caused_by(e))?;
        Ok(Self(Arc::new(pool)))
    }

    /// How many pieces of work run side by side.
    pub fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Runs `work` on one of the threads and waits for it without blocking.
    ///
    /// # Errors
    /// What `work` answers; Internal when it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || {
            // Nobody waits any more when the run was stopped.
            let _ = sender.send(caught(work));
        });
        receiver.await.unwrap_or_else(|_| Err(panicked()))
    }

    /// Runs `work` here if it is `small`, that is, done before another thread would have woken up; as [`run`](Self::run) otherwise.
    ///
    /// # Errors
    /// The same.
    pub async fn run_near<T: Send + 'static>(
        &self,
        small: bool,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if small { caught(work) } else { self.run(work).await }
    }
}

/// A panic in a rayon thread would end the process with its claims still standing.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> Error {
    Error::internal("a worker thread panicked; please report what it printed")
}
