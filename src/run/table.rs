//! A table that this run holds: its claim, its state, and the versions it commits.

use std::collections::HashSet;
use std::sync::{Arc, Mutex as PlainMutex, MutexGuard as PlainGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::task::AbortOnDropHandle;

use super::context::Run;
use super::pipeline::Reader;
use super::report::Status;
use super::settings::Job;
use super::tally::Tally;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{
    Claim, ClaimOutcome, CommitOutcome, Finished, PartitionFile, RowCounts, RunRecord, TableState, TableWriter,
};
use crate::storage::ObjectInfo;

/// A claimed table.
pub struct Table {
    /// The run that holds it.
    pub run: Arc<Run>,
    /// The stream that becomes this table.
    pub job: Job,
    /// What the run has done with it so far.
    pub tally: Arc<Tally>,
    writer: Arc<Mutex<TableWriter>>,
    /// The paths that hold an object, as far as this run has seen; the list at its beginning spares a look at each.
    objects: PlainMutex<HashSet<String>>,
    /// Renews the claim as long as the table is held.
    _renewal: AbortOnDropHandle<()>,
}

/// What trying to claim a table came to.
pub enum Opened {
    /// It is ours.
    Claimed(Arc<Table>),
    /// Another run holds it.
    Held(Claim),
}

impl Table {
    /// Claims the table that `reader`'s stream becomes.
    ///
    /// # Errors
    /// Input when the table is not for such rows; Storage.
    pub async fn open(reader: &Reader) -> Result<Opened> {
        let (run, job) = (&reader.run, &reader.job);
        let settings = &run.settings;
        let options = settings.claiming();
        let initial = job.initial(settings.description.clone());
        let claimed = TableWriter::claim(
            &run.storage,
            &job.table,
            initial,
            &settings.run,
            &settings.owner,
            options,
            Timestamp::now,
        );
        let writer = match claimed.await? {
            ClaimOutcome::Claimed(writer) => writer,
            ClaimOutcome::Held { claim } => return Ok(Opened::Held(claim)),
        };
        let writer = Arc::new(Mutex::new(writer));
        let renewal = AbortOnDropHandle::new(tokio::spawn(renew(Arc::clone(&writer))));
        Ok(Opened::Claimed(Arc::new(Self {
            run: Arc::clone(run),
            job: job.clone(),
            tally: Arc::clone(&reader.tally),
            writer,
            objects: PlainMutex::default(),
            _renewal: renewal,
        })))
    }

    /// The state as of the newest version, with the draft.
    pub async fn state(&self) -> TableState {
        self.writer.lock().await.state().clone()
    }

    /// The writer itself; nothing is renewed or committed while it is borrowed.
    pub async fn writer(&self) -> MutexGuard<'_, TableWriter> {
        self.writer.lock().await
    }

    /// These objects lie in the table's folder.
    pub fn found(&self, listing: &[ObjectInfo]) {
        self.objects().extend(listing.iter().map(|info| info.path.clone()));
    }

    /// An object lies, or may lie, at `path`.
    pub fn holds(&self, path: &str) {
        self.objects().insert(path.to_owned());
    }

    /// Whether there may be an object at `path`.
    pub fn may_hold(&self, path: &str) -> bool {
        self.objects().contains(path)
    }

    fn objects(&self) -> PlainGuard<'_, HashSet<String>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks whether nobody has created a version after our last one.
    ///
    /// # Errors
    /// Storage.
    pub async fn is_ours(&self) -> Result<bool> {
        is_ours(&self.writer).await
    }

    /// Creates the next version; it enters the oddities seen so far too.
    ///
    /// # Errors
    /// Held, when another run took the table; Storage.
    pub async fn commit(&self, edit: impl FnOnce(&mut TableState)) -> Result<()> {
        self.write(&mut *self.writer.lock().await, edit, false).await
    }

    /// Changes what the next version will say, when it is not worth a version of its own: the last one, which gives the claim back,
    /// follows soon.
    pub async fn draft(&self, edit: impl FnOnce(&mut TableState)) {
        self.writer.lock().await.draft(edit);
    }

    /// Forgets the draft in what is counted: the state as of the newest version, which is all that stands.
    pub async fn committed(&self) -> TableState {
        let writer = self.writer.lock().await;
        let mut counts = self.tally.counts();
        counts.drafted = false;
        counts.committed |= writer.has_entered_draft();
        writer.committed().clone()
    }

    /// What the manifest says of the partition at `path`, relative to the table's folder.
    pub async fn entry(&self, path: &str) -> Option<PartitionFile> {
        self.writer.lock().await.state().partitions.get(path).cloned()
    }

    /// Deletes the objects at `paths` (relative to the table's folder): listed first, then deleted.
    ///
    /// # Errors
    /// Held, when another run took the table; Storage.
    pub async fn remove(&self, paths: Vec<String>) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer.lock().await;
        let outcome = writer.removal(&paths).await?;
        self.won(outcome)?;
        self.finish_removals(&mut writer).await
    }

    /// Deletes what is listed as going; what the store refuses to delete stays listed, and is a gap.
    ///
    /// # Errors
    /// Held, when another run took the table; Storage.
    pub async fn finish_removals(&self, writer: &mut TableWriter) -> Result<()> {
        let Finished { outcome, refused } = writer.finish_removals().await?;
        self.won(outcome)?;
        if let Some((count, error)) = refused {
            self.tally.counts().gaps.push(format!(
                "{count} partitions of table {:?} with rows that are not served any more were left, the next run tries again: {}",
                self.job.table,
                error.chain()
            ));
        }
        Ok(())
    }

    /// Gives the claim back in a last version.
    ///
    /// # Errors
    /// Held, when another run took the table; Storage.
    pub async fn release(&self, edit: impl FnOnce(&mut TableState)) -> Result<()> {
        let mut writer = self.writer.lock().await;
        self.write(&mut writer, edit, true).await?;
        if let Err(error) = writer.prune().await {
            tracing::warn!(error = %error.chain(), "cannot remove old manifest versions; the next run tries again");
        }
        Ok(())
    }

    /// Gives the claim back of a run that did nothing with the table, or died in it. That it ended so is entered, as far as a run before it may
    /// have left partitions that no version describes: `verify` must not take them for damage.
    ///
    /// # Errors
    /// As [`Table::release`].
    pub async fn give_back(&self, outcome: Status) -> Result<()> {
        let after_another = self.writer.lock().await.previous_claim_taken_over().is_some();
        let now = Timestamp::now();
        let record = RunRecord {
            run: self.run.settings.run.clone(),
            started: now,
            ended: now,
            sync: self.job.sync,
            requests: 0,
            retries: 0,
            rows: RowCounts::default(),
            outcome: outcome.name().to_owned(),
        };
        self.release(|state| {
            if after_another || outcome == Status::Failed {
                state.record(record);
            }
        })
        .await
    }

    /// Creates a version of `edit` and of the oddities that no version has entered yet; the last one gives the claim back.
    async fn write(&self, writer: &mut TableWriter, edit: impl FnOnce(&mut TableState), last: bool) -> Result<()> {
        let (odd, entered) = self.tally.counts().to_enter();
        let edit = |state: &mut TableState| {
            edit(state);
            odd.enter(state, self.job.ask.now);
        };
        let outcome = if last {
            writer.release(edit).await?
        } else {
            writer.commit(edit).await?
        };
        self.won(outcome)?;
        let mut counts = self.tally.counts();
        counts.entered(entered);
        counts.committed |= std::mem::take(&mut counts.drafted);
        Ok(())
    }

    /// Turns a lost race into the error that ends the stream.
    pub fn won(&self, outcome: CommitOutcome) -> Result<()> {
        won(&self.job.table, outcome)
    }
}

/// Looks whether nobody has created a version after the last one of `writer`, which is free meanwhile.
///
/// # Errors
/// Storage.
pub async fn is_ours(writer: &Mutex<TableWriter>) -> Result<bool> {
    loop {
        let look = writer.lock().await.look();
        let Some(later) = look.later().await? else {
            return Ok(true);
        };
        // Our own renewal may have come in between.
        if writer.lock().await.number() < later {
            return Ok(false);
        }
    }
}

/// Turns a lost race for `table` into the error that ends what is done with it.
///
/// # Errors
/// Held.
pub fn won(table: &str, outcome: CommitOutcome) -> Result<()> {
    match outcome {
        CommitOutcome::Committed(_) => Ok(()),
        CommitOutcome::Lost(claim) => Err(lost(table, claim.as_ref())),
    }
}

/// Another run writes into the table now.
fn lost(table: &str, claim: Option<&Claim>) -> Error {
    let by = match claim {
        Some(claim) => format!("run {} on {}", claim.run, claim.owner.host),
        None => "another run".to_owned(),
    };
    Error::new(
        ErrorKind::Held,
        format!("table {table:?} was taken over by {by}; what this run had committed before stays"),
    )
}

/// The table is not free.
pub fn held(table: &str, claim: &Claim) -> Error {
    Error::new(
        ErrorKind::Held,
        format!(
            "table {table:?} is held by run {} on {} until {}; wait for it, or take it with --take-over when that run is dead",
            claim.run, claim.owner.host, claim.until
        ),
    )
}

/// Renews a claim for as long as this goes on.
pub async fn renew(writer: Arc<Mutex<TableWriter>>) {
    loop {
        let due = writer.lock().await.renew_at();
        let wait = due.duration_since(Timestamp::now()).max(SignedDuration::ZERO);
        tokio::time::sleep(wait.unsigned_abs()).await;
        let mut writer = writer.lock().await;
        if writer.renew_at() > Timestamp::now() {
            continue;
        }
        match writer.renew().await {
            Ok(CommitOutcome::Committed(_)) => {}
            // The next commit finds out and says so.
            Ok(CommitOutcome::Lost(_)) => return,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "cannot renew the claim, trying again");
                tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::manifest::{ClaimOptions, SchemaRef};
    use crate::storage::unreliable::{Fault, Kind, Unreliable};
    use crate::storage::{Owner, Storage};

    #[tokio::test]
    async fn an_own_renewal_that_comes_in_between_is_no_stranger() {
        let store = Unreliable::over(object_store::memory::InMemory::new());
        let lake = Storage::over(Arc::new(store.clone()), "memory://");
        let claim = async |run: &str, take_over| {
            let schema = SchemaRef {
                version: 1,
                fingerprint: "f".into(),
            };
            let options = ClaimOptions {
                take_over,
                ..ClaimOptions::default()
            };
            let (initial, run) = (TableState::new("s", "t", schema), run.parse().unwrap());
            let owner = Owner::current();
            let claimed = TableWriter::claim(&lake, "t", initial, &run, &owner, options, Timestamp::now);
            match claimed.await.unwrap() {
                ClaimOutcome::Claimed(writer) => Mutex::new(writer),
                ClaimOutcome::Held { .. } => panic!("the table is held"),
            }
        };
        let writer = claim("ours", false).await;
        // The look is taken, and answered only after the renewal.
        store.plan(|number, kind| (number == 1 && kind == Kind::List).then_some(Fault::Late));
        let renewed = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            writer.lock().await.renew().await
        };
        let (ours, renewed) = tokio::join!(is_ours(&writer), renewed);
        assert!(ours.unwrap() && matches!(renewed, Ok(CommitOutcome::Committed(2))));
        assert_eq!(store.struck(), 1);

        claim("theirs", true).await;
        assert!(!is_ours(&writer).await.unwrap());
    }
}
