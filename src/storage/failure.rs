//! What a failure of the store means for the person who has to act on it.

use std::error::Error as StdError;
use std::io;

use crate::error::{Error, io_kind};

/// `verb` of the object or folder at `place` failed: names the place and the remedy, and chains the cause.
pub(super) fn failed(verb: &str, place: &str, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    let cause = cause.into();
    Error::storage(format!("cannot {verb} {place}{}", remedy(cause.as_ref()))).caused_by(cause)
}

fn remedy(cause: &(dyn StdError + 'static)) -> &'static str {
    use io::ErrorKind as Kind;
    match io_kind(cause) {
        Some(Kind::PermissionDenied) => ", let this user read and write there or choose another place with --to",
        Some(Kind::ReadOnlyFilesystem) => ", the file system is read-only, choose another place with --to",
        Some(Kind::StorageFull) => ", the disk is full, free some space and give the same command again",
        Some(Kind::QuotaExceeded) => ", the disk quota is used up, free some space and give the same command again",
        Some(Kind::NotADirectory | Kind::AlreadyExists | Kind::IsADirectory) => {
            ", a file stands where a folder is needed or the other way round, move it away"
        }
        Some(Kind::CrossesDevices) => ", the whole lake must lie on one file system, links to others do not work",
        Some(Kind::NotFound) => ", there is no such place, choose another with --to",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_found_below_the_wrapping() {
        let inner = io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(inner),
        };
        let text = failed("write", "/lake/a.parquet", wrapped).chain();
        assert!(
            text.starts_with("cannot write /lake/a.parquet, the disk is full, free some space"),
            "{text}"
        );
    }
}
