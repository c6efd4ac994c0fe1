//! One switch that ends every stream of a run in good order, and why it was thrown.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// Why a run ends before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// `--max-duration` is over.
    OutOfTime,
}

/// The work was not finished because the run was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Shared by all streams of a run; cloning shares the switch.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    reason: Arc<AtomicU8>,
}

impl Stop {
    /// Throws the switch; the first reason stays.
    pub fn throw(&self, reason: StopReason) {
        let code = match reason {
            StopReason::Interrupted => 1,
            StopReason::OutOfTime => 2,
        };
        // A second throw changes nothing, so the outcome of the exchange does not matter.
        let _ = self
            .reason
            .compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
        self.token.cancel();
    }

    /// Why the switch was thrown, if it was.
    pub fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(StopReason::Interrupted),
            _ => Some(StopReason::OutOfTime),
        }
    }

    /// Resolves when the switch is thrown.
    pub async fn thrown(&self) {
        self.token.cancelled().await;
    }

    /// Says whether to go on.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.token.is_cancelled() {
            Err(Stopped)
        } else {
            Ok(())
        }
    }

    /// The outcome of `work`, or `Stopped` as soon as the switch is thrown; `work` is dropped then, so it must be a read.
    pub async fn race<F: Future>(&self, work: F) -> Result<F::Output, Stopped> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(Stopped),
            output = work => Ok(output),
        }
    }
}
