//! Results on stdout, the story on stderr. Whoever reads them may have seen enough and hung up, as `head` does, and that is no failure.

use std::io::{ErrorKind, Write, stderr, stdout};

use super::{drawn, logging};
use crate::error::{Error, Result};

/// Writes `text` as it is.
///
/// # Errors
/// Internal, when stdout cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
            Err(Error::internal("cannot write the result to stdout; look where it leads").caused_by(cause))
        }
        _ => Ok(()),
    }
}

/// Writes `text` and ends the line.
///
/// # Errors
/// Internal, when stdout cannot be written.
pub fn line(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

/// Tells a person something on stderr, unless only errors are wanted; the event `notice` where lines are JSON.
pub fn tell(text: &str) {
    match (logging::is_quiet(), logging::is_json()) {
        (true, _) => {}
        (false, true) => tracing::info!(name: "notice", message = text.trim()),
        (false, false) => write(text),
    }
}

/// Tells on stderr why something did not work, and of which stream where it is one; the event `error` where lines are JSON.
pub fn error(stream: Option<&str>, text: &str) {
    match (logging::is_json(), stream) {
        (true, _) => tracing::error!(name: "error", stream, message = text),
        (false, Some(stream)) => write(&format!("error: {stream}: {text}\n")),
        (false, None) => write(&format!("error: {text}\n")),
    }
}

/// Writes one line of the log.
pub(super) fn log(line: &str) {
    write(&format!("{line}\n"));
}

/// A log that cannot be written must not end what it tells of.
fn write(text: &str) {
    let _ = drawn::above(|| stderr().lock().write_all(text.as_bytes()));
}

/// The log of libraries that write lines by themselves.
#[derive(Debug)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        drawn::above(|| stderr().lock().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}

/// Whether the environment wants neither colour nor lines that are drawn again and again.
pub fn plain() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb")
}
