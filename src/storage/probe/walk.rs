//! The operations one after the other, and what is noted of each.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::bench::Bench;
use super::report::{Operation, ProbeReport, Probed, Trouble, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::destination::Place;
use crate::storage::layout::{CHECK, STAGING, check_folder};
use crate::storage::{Destination, Owner, RunId, Storage};

/// No operation is waited for any longer.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// What fails after so long did not fail by an answer, and neither will the next.
const SILENCE: Duration = Duration::from_secs(2);

const NOT_OPENED: &str = "the lake cannot be opened";

/// Who probes, and when it is to stop.
#[derive(Debug, Clone)]
pub struct Probe<S> {
    /// Names the folder of the objects.
    pub run: RunId,
    /// Stands in the staging folder, so that a run can tell whether it was left behind.
    pub owner: Owner,
    /// This machine's clock.
    pub clock: fn() -> Timestamp,
    /// Asked before each operation; one under way is ended first, so that it cannot land after the cleaning.
    pub stopped: S,
}

/// Tries the lake that `destination` names, which need not be there yet on disk, and leaves it as it was.
///
/// # Errors
///
/// Input, for settings that cannot be used. What the lake does wrong is in the report.
pub async fn probe<S: Fn() -> bool>(destination: &Destination, settings: &Probe<S>) -> Result<ProbeReport> {
    let place = Place::parse(&destination.to)?;
    let made = missing(&place);
    let began = Instant::now();
    let opened = match &place {
        Place::Folder(folder) => Storage::at(folder),
        Place::Bucket(place) => Storage::unlisted(place, destination).await,
    };
    let report = match opened {
        Ok(lake) => lake.probe(settings).await,
        Err(error) if error.kind() == ErrorKind::Input => return Err(error),
        Err(error) => {
            let mut notes = Notes::new(&destination.to, &settings.stopped);
            notes.enter::<()>(Operation::Open, Err(error.into()), began);
            notes.skip_rest(NOT_OPENED, matches!(place, Place::Bucket(_)));
            notes.report
        }
    };
    // A folder that something else was put into meanwhile is not empty, and stays.
    made.iter().rev().for_each(|folder| {
        std::fs::remove_dir(folder).ok();
    });
    Ok(report)
}

/// The folders that are not there yet and that opening the lake makes, from the outside in.
fn missing(place: &Place) -> Vec<PathBuf> {
    let Place::Folder(folder) = place else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = vec![folder.join(STAGING), folder.join(CHECK)];
    folders.extend(folder.ancestors().map(PathBuf::from));
    folders.retain(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    folders.sort_unstable();
    folders
}

impl Storage {
    /// The same for a lake that is open.
    pub async fn probe<S: Fn() -> bool>(&self, settings: &Probe<S>) -> ProbeReport {
        let bench = Bench {
            lake: self,
            run: &settings.run,
            folder: check_folder(&settings.run),
            clock: settings.clock,
        };
        let location = self.to_string();
        let mut notes = Notes::new(&location, &settings.stopped);
        let opened = notes.step(Operation::Open, bench.open(&settings.owner)).await;
        // On disk every put needs a folder; in a bucket a key that may not list may still put.
        if opened.is_none() && self.disk().is_some() {
            notes.skip_rest(NOT_OPENED, false);
        } else {
            bench.walk(&mut notes).await;
        }
        let mut report = notes.report;
        report.left = bench.clean(&report).await;
        report
    }
}

/// What was found so far.
struct Notes<'a> {
    report: ProbeReport,
    location: &'a str,
    stopped: &'a dyn Fn() -> bool,
    /// Why nothing more is tried.
    over: Option<&'static str>,
}

impl<'a> Notes<'a> {
    fn new(location: &'a str, stopped: &'a dyn Fn() -> bool) -> Self {
        let (operations, left) = (Vec::new(), Vec::new());
        Self {
            report: ProbeReport { operations, left },
            location,
            stopped,
            over: None,
        }
    }

    /// Does `work`, unless nobody waits for it any more, and enters how it ended; what it came to if that was well.
    async fn step<T>(&mut self, operation: Operation, work: impl Future<Output = Result<T, Trouble>>) -> Option<T> {
        let began = Instant::now();
        let done = if (self.stopped)() {
            Err(Trouble::Skipped("interrupted"))
        } else if let Some(why) = self.over {
            Err(Trouble::Skipped(why))
        } else {
            timeout(LIMIT, work).await.unwrap_or_else(|_| {
                let text = format!("{} does not answer within {} s", self.location, LIMIT.as_secs());
                Err(Error::storage(text).into())
            })
        };
        self.enter(operation, done, began)
    }

    fn enter<T>(&mut self, operation: Operation, done: Result<T, Trouble>, began: Instant) -> Option<T> {
        let took = began.elapsed();
        if operation == Operation::Open && matches!(&done, Err(trouble) if trouble.is_of_all()) {
            self.over = Some(NOT_OPENED);
        }
        let (verdict, value) = match done {
            Ok(value) => (Verdict::Good, Some(value)),
            Err(trouble) => (trouble.verdict(operation, self.location), None),
        };
        if matches!(verdict, Verdict::Failed(_)) && took > SILENCE {
            self.over = Some("the store does not answer");
        }
        let took = (!matches!(verdict, Verdict::Skipped(_))).then_some(took);
        self.report.operations.push(Probed {
            operation,
            verdict,
            took,
        });
        value
    }

    fn skip_rest(&mut self, why: &'static str, in_bucket: bool) {
        let tried = self.report.operations.len();
        let rest = Operation::ALL.into_iter().skip(tried);
        for operation in rest.filter(|operation| in_bucket || !operation.is_of_buckets()) {
            self.enter::<()>(operation, Err(Trouble::Skipped(why)), Instant::now());
        }
    }
}

impl Bench<'_> {
    async fn walk(&self, notes: &mut Notes<'_>) {
        let put = notes.step(Operation::Create, self.create()).await;
        let is_put = put.is_some();
        notes.step(Operation::CreateAgain, self.create_again(is_put)).await;
        let read = notes.step(Operation::Read, self.read(is_put)).await;
        notes.step(Operation::ReadRange, self.read_range(is_put)).await;
        let listed = notes.step(Operation::List, self.list(is_put)).await.flatten();
        let replaced = notes.step(Operation::Replace, self.replace(read.as_ref())).await;
        let outdated = read.as_ref().filter(|_| replaced.is_some());
        notes
            .step(Operation::ReplaceOutdated, self.replace_outdated(outdated))
            .await;
        if self.lake.disk().is_none() {
            notes.step(Operation::Upload, self.upload()).await;
        }
        if self.lake.uploads().is_some() {
            notes.step(Operation::ListUploads, self.list_uploads()).await;
        }
        let seen = read.or(listed).and_then(|info| info.modified);
        notes.step(Operation::Clock, self.compare_clocks(seen.zip(put))).await;
        notes.step(Operation::Delete, self.delete(is_put)).await;
    }
}
