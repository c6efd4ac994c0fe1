//! What a probe of a lake found: one verdict an operation, and what to do about it.

use std::error::Error as StdError;
use std::time::Duration;

use object_store::Error as StoreError;

use crate::error::Error;
use crate::storage::bucket::answer::Answer;

/// What stores say with 403 of a key or a clock, and not of a right.
const ANOTHER_MATTER: [&str; 7] = [
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "AuthenticationFailed",
    "InvalidSecurity",
    "RequestTimeTooSkewed",
    "RequestExpired",
];

/// What a run asks of a store; in the order in which it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The lake is reached at all: on disk the folders can be made, in a bucket the first list is answered.
    Open,
    /// An object is put where there is none.
    Create,
    /// The same once more is refused.
    CreateAgain,
    /// What was put is read.
    Read,
    /// A range of it is read.
    ReadRange,
    /// What was put is listed.
    List,
    /// What was read is replaced, on the condition that it is still the same.
    Replace,
    /// The same replacement, on a condition that does not hold any more, is refused.
    ReplaceOutdated,
    /// An upload in parts that is aborted leaves no object. Not on a disk.
    Upload,
    /// Nor an unfinished upload. Only where a store keeps them.
    ListUploads,
    /// The store's clock against this machine's.
    Clock,
    /// What was put is deleted and gone.
    Delete,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does what a run needs.
    Good,
    /// A run gets along without it; what follows from that, and the remedy.
    Warning(String),
    /// A run does not get along; the place, the cause and the remedy.
    Failed(String),
    /// Not tried, and why.
    Skipped(String),
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Probed {
    /// Which one.
    pub operation: Operation,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took; `None` when it was not tried.
    pub took: Option<Duration>,
}

/// Everything that was found.
#[derive(Debug, Clone)]
pub struct ProbeReport {
    /// The operations in the order in which they were tried.
    pub operations: Vec<Probed>,
    /// What could not be removed again, as a person would look for it.
    pub left: Vec<String>,
}

impl ProbeReport {
    /// Whether the operation was tried and does what a run needs.
    pub(super) fn good(&self, operation: Operation) -> bool {
        self.of(operation).is_some_and(|probed| probed.verdict == Verdict::Good)
    }

    /// Whether the operation was tried.
    pub(super) fn tried(&self, operation: Operation) -> bool {
        self.of(operation).is_some_and(|probed| probed.took.is_some())
    }

    /// Whether the operation was refused, which a run gets along with.
    pub(super) fn refused(&self, operation: Operation) -> bool {
        let probed = self.of(operation);
        probed.is_some_and(|probed| matches!(probed.verdict, Verdict::Warning(_)))
    }

    fn of(&self, operation: Operation) -> Option<&Probed> {
        self.operations.iter().find(|probed| probed.operation == operation)
    }
}

/// How an operation ends that does not do what it should.
pub(super) enum Trouble {
    Warning(String),
    Failed(Error),
    Skipped(&'static str),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Trouble {
    /// Whether the store refuses everybody everything: the key, the bucket or its region is wrong, or it is overloaded.
    pub(super) fn is_of_all(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        error.source().is_some_and(|cause| cause.is::<Answer>()) && !is_denied(error)
    }

    pub(super) fn verdict(self, operation: Operation, location: &str) -> Verdict {
        match self {
            Self::Warning(text) => Verdict::Warning(text),
            Self::Skipped(why) => Verdict::Skipped(why.to_owned()),
            Self::Failed(error) if is_denied(&error) => denied(operation, location, &error),
            Self::Failed(error) => Verdict::Failed(error.chain()),
        }
    }
}

/// What a run clears away nobody needs any more, so that alone may be refused.
fn denied(operation: Operation, location: &str, error: &Error) -> Verdict {
    let right = operation.right(location);
    let remedy = right.map_or(String::new(), |right| format!("the key lacks {right}: "));
    let text = format!("{remedy}{}", error.chain());
    match operation.without() {
        Some(outcome) => Verdict::Warning(format!("{outcome}; {text}")),
        None => Verdict::Failed(text),
    }
}

/// Whether the store said that the key may not; one that it does not know is another matter.
fn is_denied(error: &Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(cause) = next {
        if let Some(answer) = cause.downcast_ref::<Answer>() {
            return answer.status == 403 && !ANOTHER_MATTER.contains(&answer.code.as_str());
        }
        if let Some(StoreError::PermissionDenied { .. }) = cause.downcast_ref() {
            return true;
        }
        next = cause.source();
    }
    // Deletes are sent to S3 by the list, and refused inside an answer that is a success.
    error.chain().contains("AccessDenied")
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::Open,
        Self::Create,
        Self::CreateAgain,
        Self::Read,
        Self::ReadRange,
        Self::List,
        Self::Replace,
        Self::ReplaceOutdated,
        Self::Upload,
        Self::ListUploads,
        Self::Clock,
        Self::Delete,
    ];

    /// The name in JSON, which stays.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::CreateAgain => "create_again",
            Self::Read => "read",
            Self::ReadRange => "read_range",
            Self::List => "list",
            Self::Replace => "replace",
            Self::ReplaceOutdated => "replace_outdated",
            Self::Upload => "upload",
            Self::ListUploads => "list_uploads",
            Self::Clock => "clock",
            Self::Delete => "delete",
        }
    }

    /// In the words of a person.
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "open the lake",
            Self::Create => "put where nothing is",
            Self::CreateAgain => "refuse to put where something is",
            Self::Read => "get",
            Self::ReadRange => "get a range",
            Self::List => "list",
            Self::Replace => "replace what was read",
            Self::ReplaceOutdated => "refuse to replace what has changed",
            Self::Upload => "begin and abort an upload in parts",
            Self::ListUploads => "list unfinished uploads",
            Self::Clock => "clock",
            Self::Delete => "delete",
        }
    }

    /// Whether it means nothing on a disk.
    pub(super) fn is_of_buckets(self) -> bool {
        matches!(self, Self::Upload | Self::ListUploads)
    }

    /// What follows when it is refused, if a run gets along all the same.
    fn without(self) -> Option<&'static str> {
        match self {
            Self::Delete => {
                Some("old versions and removed partitions will stay, for what is not needed any more cannot be deleted")
            }
            Self::ListUploads => {
                Some("uploads in parts of runs that died will stay, unless a rule of the bucket removes them")
            }
            _ => None,
        }
    }

    /// What a key needs for it at the store that `location` names; `None` on a disk, where the failure says it.
    fn right(self, location: &str) -> Option<&'static str> {
        Some(match (location.split_once("://")?.0, self) {
            ("s3", Self::Open | Self::List) => "s3:ListBucket",
            ("s3", Self::Read | Self::ReadRange | Self::Clock) => "s3:GetObject",
            ("s3", Self::Upload) => "s3:PutObject or s3:AbortMultipartUpload",
            ("s3", Self::ListUploads) => "s3:ListBucketMultipartUploads",
            ("s3", Self::Delete) => "s3:DeleteObject",
            ("s3", _) => "s3:PutObject",
            ("gs", Self::Open | Self::List) => "storage.objects.list",
            ("gs", Self::Read | Self::ReadRange | Self::Clock) => "storage.objects.get",
            ("gs", Self::Upload) => "storage.multipartUploads.create or storage.multipartUploads.abort",
            ("gs", Self::ListUploads) => "storage.multipartUploads.list",
            ("gs", Self::Replace | Self::ReplaceOutdated) => "storage.objects.delete, which replacing takes",
            ("gs", Self::Delete) => "storage.objects.delete",
            ("gs", _) => "storage.objects.create",
            _ => "the role Storage Blob Data Contributor, or its shared access signature lacks one of rcwdl",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::failure::failed;

    fn refused(code: &'static str) -> Error {
        let cause = StoreError::PermissionDenied {
            path: "x".to_owned(),
            source: code.into(),
        };
        Error::storage("cannot").caused_by(cause)
    }

    #[test]
    fn who_lacks_a_right_is_told_which() {
        for (operation, location, right) in [
            (Operation::Create, "s3://b/x", "s3:PutObject"),
            (Operation::List, "gs://b", "storage.objects.list"),
            (Operation::Upload, "s3://b", "s3:AbortMultipartUpload"),
            (Operation::Read, "az://b", "Storage Blob Data Contributor"),
        ] {
            let verdict = Trouble::from(refused("403")).verdict(operation, location);
            assert!(
                matches!(&verdict, Verdict::Failed(text) if text.starts_with("the key lacks") && text.contains(right)),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn a_key_that_is_not_known_lacks_no_right() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>InvalidAccessKeyId</Code></Error>";
        let cause = || StoreError::PermissionDenied {
            path: "x".to_owned(),
            source: body.into(),
        };
        for operation in [Operation::Create, Operation::Delete] {
            let error = failed("reach", "s3://b/x", cause());
            let verdict = Trouble::from(error).verdict(operation, "s3://b");
            assert!(
                matches!(&verdict, Verdict::Failed(text) if text.contains("does not know this key")),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn what_clears_away_may_be_refused() {
        let inside = || Error::storage("cannot delete x").caused_by("AccessDenied: Access Denied");
        for error in [refused("403"), inside()] {
            let verdict = Trouble::from(error).verdict(Operation::Delete, "s3://b");
            assert!(
                matches!(&verdict, Verdict::Warning(text) if text.contains("lacks s3:DeleteObject")),
                "{verdict:?}"
            );
        }
        let listing = Trouble::from(refused("403")).verdict(Operation::ListUploads, "s3://b");
        assert!(
            matches!(&listing, Verdict::Warning(text) if text.contains("lacks s3:ListBucketMultipartUploads")),
            "{listing:?}"
        );
        let broken = Trouble::from(Error::storage("cannot delete x")).verdict(Operation::Delete, "s3://b");
        assert!(matches!(broken, Verdict::Failed(_)), "{broken:?}");
    }
}
