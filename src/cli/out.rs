//! Results on stdout, the story on stderr. Whoever reads them may have seen enough and hung up, as `head` does, and that is no failure.

use std::io::{ErrorKind, Write, stderr, stdout};

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

/// Writes `text` on stderr as it is. A log that cannot be written must not end what it tells of.
pub fn tell(text: &str) {
    let _ = stderr().lock().write_all(text.as_bytes());
}
