//! One stored partition: its size, its bytes, its footer and its rows against its entry.

use std::sync::{Arc, Mutex, PoisonError};

use super::finding::{Finding, FindingKind};
use super::keys::apart;
use super::lake::Lake;
use super::objects::{REMEDY, Subject};
use super::sieve::Sieve;
use super::unfinished::Unfinished;
use crate::columnar::{Audit, Fault, FaultKind, PartitionStats, Promise, audit};
use crate::error::Result;
use crate::manifest::PartitionFile;
use crate::run::stored::Readable;
use crate::stream::Stream;

/// What a partition is held against.
#[derive(Clone)]
pub struct Bench<'a> {
    /// The lake.
    pub lake: &'a Lake,
    /// The table's stream; `None` when this binary does not know it, and then only bytes are compared.
    pub stream: Option<Arc<Stream>>,
    /// The run that may have stored what is not entered.
    pub unfinished: Option<Unfinished>,
}

impl Bench<'_> {
    /// What the listing shows of a partition.
    pub fn glance(&self, subject: &Subject) -> Vec<Finding> {
        self.difference(subject, None, true).into_iter().collect()
    }

    /// Reads the partition from its first byte to its last row, and sifts its keys.
    pub async fn audit(&self, subject: &Subject, sieve: &Arc<Mutex<Sieve>>) -> Vec<Finding> {
        match self.read(subject, sieve).await {
            Ok((sha256, audit)) => self.judge(subject, &sha256, &audit),
            Err(error) => vec![unreadable(subject, &error.chain())],
        }
    }

    async fn read(&self, subject: &Subject, sieve: &Arc<Mutex<Sieve>>) -> Result<(String, Audit)> {
        let object = self.lake.fetch(subject).await?;
        let promise = Promise {
            day: subject.day,
            schema: subject.entry.as_ref().map(|entry| entry.schema),
        };
        let (sieve, apart) = (
            Arc::clone(sieve),
            self.stream.as_ref().map(|stream| apart(stream, &subject.info.path)),
        );
        let stream = self.stream.clone();
        let work = move || {
            let sha256 = object.sha256()?;
            let Some(stream) = stream else {
                return Ok((sha256, Audit::default()));
            };
            let see = |hashes: &[u128]| {
                let mut sieve = sieve.lock().unwrap_or_else(PoisonError::into_inner);
                sieve.see(hashes.iter().map(|hash| hash ^ apart.unwrap_or_default()));
            };
            Ok((sha256, audit(&stream, Readable(object.content), promise, see)))
        };
        // What is damaged may make a decoder panic; that comes back as an error, and is told of this object.
        self.lake.cpu.run(work).await
    }

    fn judge(&self, subject: &Subject, sha256: &str, audit: &Audit) -> Vec<Finding> {
        let mut findings: Vec<Finding> = audit.faults.iter().map(|fault| of_fault(subject, fault)).collect();
        let sound = findings.is_empty() && self.stream.is_some();
        let difference = self.difference(subject, Some(sha256), sound);
        if let (None, Some(entry), true) = (&difference, &subject.entry, sound) {
            findings.extend(counts(subject, entry, &audit.stats));
        }
        findings.extend(difference);
        findings
    }

    /// How the object as a whole differs from its entry. What is not `sound` is no leftover: it would break what it is adopted into.
    fn difference(&self, subject: &Subject, sha256: Option<&str>, sound: bool) -> Option<Finding> {
        let path = &subject.info.path;
        let what = match &subject.entry {
            None => "no entry of the manifest names it".to_owned(),
            Some(entry) if entry.bytes != subject.info.bytes => {
                format!("it has {} bytes, not {}", subject.info.bytes, entry.bytes)
            }
            Some(entry) if sha256.is_some_and(|found| found != entry.sha256) => {
                "its checksum is not that of its entry".to_owned()
            }
            Some(_) => return None,
        };
        let leftover = self.unfinished.as_ref();
        let leftover = leftover.filter(|run| sound && run.may_have_stored(&subject.info));
        let (kind, remedy) = match (leftover, &subject.entry) {
            (Some(Unfinished { run, .. }), _) => (
                FindingKind::NotEntered,
                format!("run {run} has not ended well, or not yet; the next `export` adopts it"),
            ),
            (None, None) => (
                FindingKind::Unlisted,
                "move it away, or run `export`, which adopts it and asks for its day again".to_owned(),
            ),
            (None, Some(entry)) if entry.bytes != subject.info.bytes => (FindingKind::Size, REMEDY.to_owned()),
            (None, Some(_)) => (FindingKind::Checksum, REMEDY.to_owned()),
        };
        Some(Finding::new(kind, path, format!("{what}; {remedy}")))
    }
}

/// An object that cannot be read at all.
pub fn unreadable(subject: &Subject, why: &str) -> Finding {
    let detail = format!("it cannot be read ({why}); {REMEDY}");
    Finding::new(FindingKind::Unreadable, &subject.info.path, detail)
}

fn of_fault(subject: &Subject, fault: &Fault) -> Finding {
    let kind = match fault.kind {
        FaultKind::Unreadable => return unreadable(subject, &fault.detail),
        FaultKind::Stream => FindingKind::Stream,
        FaultKind::Schema => FindingKind::Schema,
        FaultKind::Order => FindingKind::Order,
        FaultKind::Day => FindingKind::Day,
    };
    Finding::new(kind, &subject.info.path, format!("{}; {REMEDY}", fault.detail))
}

/// The right bytes with the wrong description: the manifest itself was wrong when it was written.
fn counts(subject: &Subject, entry: &PartitionFile, found: &PartitionStats) -> Vec<Finding> {
    let path = &subject.info.path;
    let mut findings = Vec::new();
    if found.rows != entry.rows {
        let detail = format!("it has {} rows, the manifest says {}; {REMEDY}", found.rows, entry.rows);
        findings.push(Finding::new(FindingKind::Rows, path, detail));
    }
    let same = found.least_time == entry.least_time
        && found.greatest_time == entry.greatest_time
        && found.least_key == entry.least_key
        && found.greatest_key == entry.greatest_key;
    if !same {
        let key = |key: &Option<String>| key.clone().unwrap_or_else(|| "none".to_owned());
        let detail = format!(
            "its least and greatest time or key are not those in the manifest (keys {} to {}, not {} to {}); {REMEDY}",
            key(&found.least_key),
            key(&found.greatest_key),
            key(&entry.least_key),
            key(&entry.greatest_key)
        );
        findings.push(Finding::new(FindingKind::Ends, path, detail));
    }
    findings
}
