//! Ctrl-C and SIGTERM.

use crate::error::{Error, Result};
use crate::run::{Stop, StopReason};

/// The first signal ends the run in good order, the second one at once; both are safe.
pub async fn on_signal(stop: Stop) {
    for count in 0.. {
        if let Err(error) = signal().await {
            tracing::warn!(%error, "cannot listen for signals; stopping is still safe, but not in good order");
            return;
        }
        if count > 0 {
            std::process::exit(130);
        }
        stop.throw(StopReason::Interrupted);
    }
}

/// What `work` answers, unless a signal ends the process first. For verbs that leave nothing half done: without a handler the first process
/// of a container would not even hear it.
pub async fn until_signal(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    tokio::select! {
        done = work => done,
        heard = signal() => {
            heard.map_err(|e| Error::internal("cannot listen for signals").caused_by(e))?;
            std::process::exit(130)
        }
    }
}

/// Waits for one.
pub async fn signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = tokio::signal::ctrl_c() => outcome,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
