//! Taking partitions away: first a version lists them, then they are deleted, then a version forgets them.

use std::collections::BTreeSet;

use super::{CommitOutcome, TableWriter};
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::storage::Removed;
use crate::storage::layout::object_path;

impl TableWriter {
    /// Lists partitions (by their path inside the table's folder) as going, in place of their entries. Their objects stay until
    /// [`TableWriter::finish_removals`].
    ///
    /// # Errors
    ///
    /// As for [`TableWriter::commit`].
    pub async fn removal(&mut self, names: &[String]) -> Result<CommitOutcome> {
        self.commit(|state| {
            let mut removing: BTreeSet<String> = state.removing.drain(..).collect();
            removing.extend(names.iter().cloned());
            state.partitions.retain(|name, _| !removing.contains(name));
            state.removing = removing.into_iter().collect();
        })
        .await
    }

    /// Deletes what is listed as going, then forgets it. Every run does this first: the run that listed it may have died.
    ///
    /// # Errors
    ///
    /// As for [`TableWriter::commit`]; what was not deleted stays listed.
    pub async fn finish_removals(&mut self) -> Result<Finished> {
        if self.state().removing.is_empty() {
            return Ok(Finished::of(CommitOutcome::Committed(self.number())));
        }
        pass(Step::RemovalListed);
        // A bucket cannot be asked to delete only what we know, so the claim is proved just before.
        if let lost @ CommitOutcome::Lost(_) = self.renew().await? {
            return Ok(Finished::of(lost));
        }
        let mut refused = None;
        let mut left = Vec::new();
        for name in self.state().removing.clone() {
            match self.remove_one(&name).await? {
                One::Gone => {}
                One::Lost(lost) => return Ok(Finished::of(lost)),
                One::Refused(error) => {
                    left.push(name);
                    refused.get_or_insert(error);
                }
            }
        }
        let count = left.len();
        let outcome = self.commit(|state| state.removing = left).await?;
        Ok(Finished {
            outcome,
            refused: refused.map(|error| (count, error)),
        })
    }

    async fn remove_one(&mut self, name: &str) -> Result<One> {
        if (self.clock)() >= self.renew_at()
            && let lost @ CommitOutcome::Lost(_) = self.renew().await?
        {
            return Ok(One::Lost(lost));
        }
        let path = object_path(&self.state().table, name);
        match self.storage.remove(&self.run, &path, || self.is_ours()).await? {
            Removed::Done => {
                pass(Step::ObjectRemoved);
                Ok(One::Gone)
            }
            Removed::Conflict => Ok(One::Lost(self.lost().await)),
            Removed::Refused(error) => Ok(One::Refused(error)),
        }
    }
}

/// How the removals of a table ended.
#[derive(Debug)]
pub struct Finished {
    /// The version that forgets what was deleted.
    pub outcome: CommitOutcome,
    /// How many objects the store refused to delete, and why the first; they stay listed.
    pub refused: Option<(usize, Error)>,
}

impl Finished {
    fn of(outcome: CommitOutcome) -> Self {
        Self { outcome, refused: None }
    }
}

/// How the removal of one object ended.
enum One {
    Gone,
    Lost(CommitOutcome),
    Refused(Error),
}
