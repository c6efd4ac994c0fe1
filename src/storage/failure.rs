//! What a failure of the store means for the person who has to act on it.

use std::error::Error as StdError;
use std::io;

use object_store::Error as StoreError;

use super::bucket::answer::Answer;
use crate::error::{Error, ErrorKind, io_kind};

/// `verb` of the object or folder at `place` failed: names the place and the remedy, and chains the cause.
pub(super) fn failed(verb: &str, place: &str, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    told(ErrorKind::Storage, verb, place, cause.into())
}

/// The same for the folder that a person has named: what is not there is a slip and no failure of the disk.
pub(super) fn misplaced(verb: &str, place: &str, cause: io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::Input,
        _ => ErrorKind::Storage,
    };
    told(kind, verb, place, cause.into())
}

fn told(kind: ErrorKind, verb: &str, place: &str, cause: Box<dyn StdError + Send + Sync>) -> Error {
    let answer = Answer::of(cause.as_ref());
    let remedy = match &answer {
        Some(answer) => of_answer(answer),
        None => of_stray(cause.as_ref())
            .unwrap_or_else(|| of_system(cause.as_ref()))
            .to_owned(),
    };
    let error = Error::new(kind, format!("cannot {verb} {place}{remedy}"));
    match answer {
        Some(answer) => error.caused_by(answer),
        None => error.caused_by(cause),
    }
}

/// What somebody else has put into a lake on disk and no list gets past; the cause names it.
fn of_stray(cause: &(dyn StdError + 'static)) -> Option<&'static str> {
    if let Some(StoreError::InvalidPath { .. }) = cause.downcast_ref() {
        return Some(", a file or folder in it has a name that no store takes, move it out of the lake");
    }
    // The library tells of both as text.
    let loops = |error: &dyn StdError| {
        let text = error.to_string();
        text.contains("File system loop") || text.contains("levels of symbolic links")
    };
    std::iter::successors(Some(cause), |&error| error.source())
        .any(loops)
        .then_some(", a link in it leads back to itself, move it out of the lake")
}

fn of_system(cause: &(dyn StdError + 'static)) -> &'static str {
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
        Some(Kind::ConnectionRefused) => ", nobody listens at the store's address, look at the endpoint",
        _ => "",
    }
}

/// By the store's own word first, then by the status; the words of S3, Google and Azure do not contradict each other.
fn of_answer(answer: &Answer) -> String {
    if let Some(region) = answer.region() {
        return match region {
            "" => ", the bucket lies in another region: set AWS_REGION to it".to_owned(),
            region => format!(", the bucket lies in the region {region}: set AWS_REGION={region}"),
        };
    }
    let remedy = match (answer.code.as_str(), answer.status) {
        ("NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName" | "InvalidResourceName", _) => {
            "there is no such bucket: look at --to, or make the bucket first"
        }
        ("InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException", _) => {
            "the store does not know this key: look at the credentials"
        }
        ("SignatureDoesNotMatch" | "AuthenticationFailed" | "InvalidSecurity", _) => {
            "the secret does not belong to the key: look at the credentials"
        }
        ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken", _) => {
            "the credentials have expired: get new ones and give the same command again, what was committed stays"
        }
        ("RequestTimeTooSkewed" | "RequestExpired", _) => "this machine's clock is not the store's: set it right",
        ("ConditionalRequestConflict" | "OperationAborted", _) => {
            "others write there all the time: look who, then again"
        }
        ("XMinioStorageFull" | "InsufficientStorage" | "QuotaExceeded" | "QuotaExceededException", _) | (_, 507) => {
            "the store is full: free some space and give the same command again, what was committed stays"
        }
        ("NotImplemented", _) | (_, 501) => {
            "the store cannot do that, and runs rely on it to stay apart: use a store with conditional writes"
        }
        (code, _) if code.starts_with("KMS") => {
            "the encryption key may not be used: let this user generate and decrypt with it"
        }
        ("NoSuchUpload", _) => "somebody else aborted the upload: give the same command again",
        ("SlowDown" | "ServerBusy" | "TooManyRequests", _) | (_, 429 | 503) => {
            "the store is overloaded: give the same command again later"
        }
        (_, 401) => "the store does not take the credentials: look at them",
        (_, 403) => "the credentials have no right to do that: let them list, read, write and delete there",
        (_, 404) => "there is no such bucket: look at --to, or make the bucket first",
        (_, 500..) => "the store failed: give the same command again later",
        _ => return String::new(),
    };
    format!(", {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let cause = object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        };
        failed("write", "s3://b/t", cause).chain()
    }

    #[test]
    fn the_stores_own_word_decides() {
        let body = |code: &str| {
            format!(
                "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>why</Message><Resource>/b</Resource></Error>"
            )
        };
        for (status, code, part) in [
            ("403 Forbidden", "AccessDenied", "no right to do that"),
            ("403 Forbidden", "InvalidAccessKeyId", "does not know this key"),
            ("403 Forbidden", "SignatureDoesNotMatch", "secret"),
            ("400 Bad Request", "ExpiredToken", "have expired"),
            ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
            ("404 Not Found", "NoSuchBucket", "no such bucket"),
            ("507 Insufficient Storage", "XMinioStorageFull", "is full"),
            ("501 Not Implemented", "NotImplemented", "conditional writes"),
            ("503 Service Unavailable", "SlowDown", "overloaded"),
        ] {
            let text = refusal(&format!(
                "Error performing PUT http://x/b/t in 1ms - Server returned non-2xx status code: {status}: {}",
                body(code)
            ));
            assert!(text.contains(part), "{text}");
            let said = format!(": the store answered {status}, {code}: why");
            assert!(text.ends_with(&said), "{text}");
        }
    }

    #[test]
    fn another_region_is_named_where_the_store_names_it() {
        let malformed = "status code: 400 Bad Request: <Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; expecting 'eu-west-3'</Message><Region>eu-west-3</Region></Error>";
        assert!(
            refusal(malformed).contains("set AWS_REGION=eu-west-3"),
            "{}",
            refusal(malformed)
        );
        let bare = "Received redirect without LOCATION, this normally indicates an incorrectly configured region";
        assert!(refusal(bare).contains("set AWS_REGION to it"), "{}", refusal(bare));
    }

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
