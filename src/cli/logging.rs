//! Log lines on stderr, from `-q` to `-vv`.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use super::args::{LogFormat, Output};

/// Starts writing log lines; a second start changes nothing.
pub fn start(output: &Output) {
    let filter = match (output.quiet, output.verbose) {
        (true, _) => "error",
        // What a terminal shows as progress, JSON says in lines.
        (_, 0) if output.log_format == LogFormat::Json => "warn,cio2parquet=info",
        (_, 0) => "warn",
        (_, 1) => "warn,cio2parquet=debug",
        _ => "debug,cio2parquet=trace",
    };
    let builder = fmt::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        // A line that cannot be written would be told of on stderr, which cannot be written.
        .log_internal_errors(false);
    // Only a test that starts twice gets an error, and it keeps the first subscriber.
    let _ = match output.log_format {
        LogFormat::Text => builder.with_target(false).without_time().with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
