//! Taking partitions away: first a version lists them, then they are deleted, then a version forgets them.

use std::collections::BTreeSet;

use super::{CommitOutcome, TableWriter};
use crate::crash::{Step, pass};
use crate::error::Result;
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
    pub async fn finish_removals(&mut self) -> Result<CommitOutcome> {
        if self.state().removing.is_empty() {
            return Ok(CommitOutcome::Committed(self.number()));
        }
        pass(Step::RemovalListed);
        // A bucket cannot be asked to delete only what we know, so the claim is proved just before.
        if let lost @ CommitOutcome::Lost(_) = self.renew().await? {
            return Ok(lost);
        }
        for name in self.state().removing.clone() {
            if let lost @ CommitOutcome::Lost(_) = self.remove_one(&name).await? {
                return Ok(lost);
            }
        }
        self.commit(|state| state.removing.clear()).await
    }

    async fn remove_one(&mut self, name: &str) -> Result<CommitOutcome> {
        if (self.clock)() >= self.renew_at()
            && let lost @ CommitOutcome::Lost(_) = self.renew().await?
        {
            return Ok(lost);
        }
        let path = object_path(&self.state().table, name);
        match self.storage.remove(&self.run, &path).await? {
            Removed::Done => {
                pass(Step::ObjectRemoved);
                Ok(CommitOutcome::Committed(self.number()))
            }
            Removed::Conflict => Ok(self.lost().await),
        }
    }
}
