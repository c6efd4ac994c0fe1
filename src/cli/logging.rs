//! Log lines on stderr, from `-q` to `-vv`, for people or as JSON.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use super::args::{LogFormat, Output};
use super::log_line::JsonLines;
use super::out::Log;
use crate::storage::RunId;

/// How this process writes on stderr; the first start decides.
static OUTPUT: OnceLock<Output> = OnceLock::new();

/// The run under way. A process has one at a time, and its lines come from every thread.
static RUN: Mutex<Option<RunId>> = Mutex::new(None);

/// As long as it lives, every line in JSON bears the run's id.
#[derive(Debug)]
pub struct OfRun(());

impl Drop for OfRun {
    fn drop(&mut self) {
        *RUN.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Starts writing log lines; a second start changes nothing.
pub fn start(output: Output) {
    if OUTPUT.set(output).is_err() {
        return;
    }
    let filter = EnvFilter::new(filter(&output));
    // Whoever has set a subscriber before us keeps it.
    let _ = match output.log_format {
        LogFormat::Text => fmt::fmt()
            .with_env_filter(filter)
            .with_writer(|| Log)
            // A line that cannot be written would be told of on stderr, which cannot be written.
            .log_internal_errors(false)
            .with_target(false)
            .without_time()
            .with_ansi(false)
            .finish()
            .try_init(),
        LogFormat::Json => {
            std::panic::set_hook(Box::new(|panic| {
                tracing::error!(name: "error", message = panic.to_string().replace('\n', " "));
            }));
            tracing_subscriber::registry().with(filter).with(JsonLines).try_init()
        }
    };
}

/// Whether every line on stderr is JSON.
pub fn is_json() -> bool {
    OUTPUT.get().is_some_and(|output| output.log_format == LogFormat::Json)
}

/// Whether only errors are told.
pub fn is_quiet() -> bool {
    OUTPUT.get().is_some_and(|output| output.quiet)
}

/// From now on lines are of `run`.
pub fn of_run(run: &RunId) -> OfRun {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(run.clone());
    OfRun(())
}

/// The run under way.
pub(super) fn run() -> Option<RunId> {
    RUN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn filter(output: &Output) -> &'static str {
    match (output.quiet, output.verbose) {
        (true, _) => "error",
        // What a terminal shows as progress, JSON says in lines.
        (_, 0) if output.log_format == LogFormat::Json => "warn,cio2parquet=info",
        (_, 0) => "warn",
        (_, 1) => "warn,cio2parquet=debug",
        _ => "debug,cio2parquet=trace",
    }
}
