//! Writing a table's state while holding its claim.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::prune::YOUNGEST_PRUNED;
use super::version::{Creation, Version, highest_after, newest};
use super::{Claim, TableState};
use crate::error::{Error, Result};
use crate::storage::layout::version_path;
use crate::storage::{ObjectInfo, Owner, RunId, Storage};

/// The real clock, which leases need.
pub(super) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The state is stored under this number.
    Committed(u64),
    /// Another run writes the table now; its claim where it could be read. The state in memory is as it was before.
    Lost(Option<Claim>),
}

/// The right to write one table, and its state.
///
/// Created by [`TableWriter::claim`]. One commit at a time; dropping it gives nothing back, [`TableWriter::release`] does.
pub struct TableWriter {
    pub(super) storage: Storage,
    pub(super) run: RunId,
    pub(super) clock: Clock,
    holder: Holder,
    number: u64,
    state: TableState,
    /// What the next version will say, when that is known before it is worth a version of its own.
    draft: Option<TableState>,
    entered_draft: bool,
    /// On the real clock, before the request was sent that proved our last version to be the highest.
    proven_at: Timestamp,
    /// The versions that were listed when the table was claimed, in order.
    pub(super) listed: Vec<ObjectInfo>,
    taken_over: Option<Claim>,
}

/// A look at a table's versions that need not wait for its writer.
#[derive(Debug, Clone)]
pub struct ClaimLook {
    storage: Storage,
    table: String,
    /// Our last version.
    number: u64,
}

impl ClaimLook {
    /// The highest version after ours.
    ///
    /// # Errors
    ///
    /// Storage.
    pub async fn later(&self) -> Result<Option<u64>> {
        highest_after(&self.storage, &self.table, self.number).await
    }
}

/// A version that was created as the claim of a table, and what is known of the table besides.
pub(super) struct Claimed {
    pub(super) version: Version,
    pub(super) proven_at: Timestamp,
    pub(super) listed: Vec<ObjectInfo>,
    pub(super) taken_over: Option<Claim>,
}

/// What every claim of a run says alike.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) run: RunId,
    pub(super) owner: Owner,
    pub(super) lease: Duration,
}

impl Holder {
    pub(super) fn claim(&self, now: Timestamp) -> Claim {
        Claim {
            run: self.run.clone(),
            owner: self.owner.clone(),
            until: now.checked_add(self.lease).unwrap_or(Timestamp::MAX),
        }
    }
}

impl TableWriter {
    pub(super) fn new(storage: Storage, clock: Clock, holder: Holder, claimed: Claimed) -> Self {
        Self {
            storage,
            run: holder.run.clone(),
            clock,
            holder,
            number: claimed.version.number,
            state: claimed.version.state,
            draft: None,
            entered_draft: false,
            proven_at: claimed.proven_at,
            listed: claimed.listed,
            taken_over: claimed.taken_over,
        }
    }

    /// The state as it was committed last, with the draft if there is one.
    pub fn state(&self) -> &TableState {
        self.draft.as_ref().unwrap_or(&self.state)
    }

    /// The state as it was committed last.
    pub fn committed(&self) -> &TableState {
        &self.state
    }

    /// Changes what the next version will say. Data must be stored before this names it; a run that dies before the next version loses
    /// no more than one that died before this.
    pub fn draft(&mut self, edit: impl FnOnce(&mut TableState)) {
        let mut state = self.state().clone();
        edit(&mut state);
        self.draft = Some(state);
    }

    /// The number of the version that was committed last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The claim of another run that this one put an end to.
    pub fn previous_claim_taken_over(&self) -> Option<&Claim> {
        self.taken_over.as_ref()
    }

    /// When the claim is due for renewal: at half its time, on the real clock.
    pub fn renew_at(&self) -> Timestamp {
        let until = self.state.claim.as_ref().map_or(Timestamp::MIN, |claim| claim.until);
        until.checked_sub(self.holder.lease / 2).unwrap_or(Timestamp::MIN)
    }

    /// Stores the state as `edit` leaves it, and renews the claim on the way. Data must be stored before this names it.
    ///
    /// # Errors
    ///
    /// Storage. The state in memory is as it was before; the commit may be given again.
    pub async fn commit(&mut self, edit: impl FnOnce(&mut TableState)) -> Result<CommitOutcome> {
        let began = (self.clock)();
        let (version, stored) = self.write(edit, true).await?;
        if !stored {
            return Ok(self.lost().await);
        }
        if self.is_fresh() {
            return Ok(self.accept(version, began));
        }
        match highest_after(&self.storage, &version.state.table, version.number).await {
            Ok(None) => Ok(self.accept(version, began)),
            Ok(Some(_)) => {
                if let Ok(false) = self.follows(&version).await {
                    version.retract(&self.storage).await;
                }
                Ok(self.lost().await)
            }
            Err(cause) => Err(version.in_doubt(&self.storage, cause)),
        }
    }

    /// What it takes to look whether somebody has created a version after our last one.
    pub fn look(&self) -> ClaimLook {
        ClaimLook {
            storage: self.storage.clone(),
            table: self.state.table.clone(),
            number: self.number,
        }
    }

    /// Whether nobody has created a version after our last one. The answer is as old as the request that brought it.
    ///
    /// # Errors
    ///
    /// Storage.
    pub async fn is_ours(&self) -> Result<bool> {
        Ok(self.look().later().await?.is_none())
    }

    /// Whether a version has entered a draft.
    pub fn has_entered_draft(&self) -> bool {
        self.entered_draft
    }

    /// Moves the end of the claim.
    ///
    /// # Errors
    ///
    /// As for [`TableWriter::commit`].
    pub async fn renew(&mut self) -> Result<CommitOutcome> {
        self.commit(|_| {}).await
    }

    /// Stores the state as `edit` leaves it, without a claim. Nothing can be committed afterwards.
    ///
    /// # Errors
    ///
    /// As for [`TableWriter::commit`].
    pub async fn release(&mut self, edit: impl FnOnce(&mut TableState)) -> Result<CommitOutcome> {
        let began = (self.clock)();
        let (version, stored) = self.write(edit, false).await?;
        if !stored {
            return Ok(self.lost().await);
        }
        if self.is_fresh() {
            return Ok(self.accept(version, began));
        }
        match self.follows(&version).await {
            Ok(true) => Ok(self.accept(version, began)),
            Ok(false) => {
                version.retract(&self.storage).await;
                Ok(self.lost().await)
            }
            Err(cause) => Err(version.in_doubt(&self.storage, cause)),
        }
    }

    /// Creates the next version; `false` when another run has its number.
    async fn write(&self, edit: impl FnOnce(&mut TableState), claiming: bool) -> Result<(Version, bool)> {
        if self.state.claim.is_none() {
            let table = &self.state.table;
            return Err(Error::internal(format!("table {table} was given back already")));
        }
        let mut state = self.state().clone();
        edit(&mut state);
        let now = (self.clock)();
        state.claim = claiming.then(|| self.holder.claim(now));
        let mut version = Version {
            number: self.number,
            state,
            written_at: now,
            run: self.run.clone(),
        };
        loop {
            version.number += 1;
            match version.create(&self.storage).await? {
                Creation::Done => return Ok((version, true)),
                // An attempt that was given up for lost: this state, which is whole, supersedes it.
                Creation::OtherOfOurs => {}
                Creation::Taken => return Ok((version, false)),
            }
        }
    }

    /// Whether `version` was created as a successor of our last one while that one still counted.
    ///
    /// After a release the next run may have claimed at once, so being the highest is not asked for. But the number may also have been
    /// free because the versions of others were pruned there: then our last one is gone as well, for the oldest go first.
    async fn follows(&self, version: &Version) -> Result<bool> {
        let table = &version.state.table;
        if highest_after(&self.storage, table, version.number).await?.is_none() {
            return Ok(true);
        }
        let last = self.storage.head(&version_path(table, self.number)).await?;
        Ok(last.is_some())
    }

    /// Whether our last version was proven the highest so short a time ago that the number after it cannot have been used and pruned
    /// since: then to create that number is to be the highest.
    fn is_fresh(&self) -> bool {
        let now = (self.clock)();
        let lease = SignedDuration::try_from(self.holder.lease).unwrap_or(SignedDuration::ZERO);
        let end = self
            .proven_at
            .saturating_add(lease.min(YOUNGEST_PRUNED / 2))
            .unwrap_or(Timestamp::MIN);
        self.proven_at <= now && now < end
    }

    fn accept(&mut self, version: Version, proven_at: Timestamp) -> CommitOutcome {
        self.state = version.state;
        self.number = version.number;
        self.entered_draft |= self.draft.take().is_some();
        self.proven_at = proven_at;
        CommitOutcome::Committed(self.number)
    }

    /// That the claim is lost is certain; who has it is a courtesy.
    pub(super) async fn lost(&self) -> CommitOutcome {
        let newest = newest(&self.storage, &self.state.table).await;
        CommitOutcome::Lost(newest.ok().flatten().and_then(|version| version.state.claim))
    }
}
