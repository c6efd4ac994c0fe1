//! Taking the claim of a table: of two runs one wins.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::version::{Creation, Version, highest_after, newest, tables};
use super::writer::{Clock, Holder};
use super::{Claim, TableState, TableWriter};
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::storage::layout::version_path;
use crate::storage::{Created, Owner, RunId, Storage};

/// How often others may get ahead before it looks as if the store did not work.
const ROUNDS: u32 = 100;

/// How a table is claimed.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOptions {
    /// Take the table even from a run that may be alive.
    pub take_over: bool,
    /// How long the claim holds if nothing more is heard of the run.
    pub lease: Duration,
}

impl Default for ClaimOptions {
    fn default() -> Self {
        Self {
            take_over: false,
            lease: Duration::from_mins(10),
        }
    }
}

/// How claiming ended.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per table and run, and it is taken apart at once"
)]
pub enum ClaimOutcome {
    /// The table is ours.
    Claimed(TableWriter),
    /// Another run has it.
    Held {
        /// What that run says.
        claim: Claim,
    },
}

impl TableWriter {
    /// Claims `table` for `run`: a version that names it is created, with the state of the newest or, when there is none, `initial`.
    ///
    /// A claim of a dead owner, one past its time and, with `take_over`, any claim is put an end to; its run is fenced off first, so that
    /// whatever is read from now on stays as it is. `now` is the real clock. The first claim of an opened lake also proves that creating
    /// a version twice is refused.
    ///
    /// # Errors
    ///
    /// Input when the table holds another stream; storage.
    pub async fn claim(
        storage: &Storage,
        table: &str,
        initial: TableState,
        run: &RunId,
        owner: &Owner,
        options: ClaimOptions,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<ClaimOutcome> {
        let holder = Holder {
            run: run.clone(),
            owner: owner.clone(),
            lease: options.lease,
        };
        let claiming = Claiming {
            storage,
            holder,
            clock: Arc::new(now),
            take_over: options.take_over,
            initial: TableState {
                table: table.to_owned(),
                ..initial
            },
        };
        claiming.run().await
    }
}

/// One attempt to get a table.
struct Claiming<'a> {
    storage: &'a Storage,
    holder: Holder,
    clock: Clock,
    take_over: bool,
    initial: TableState,
}

impl Claiming<'_> {
    async fn run(self) -> Result<ClaimOutcome> {
        for _ in 0..ROUNDS {
            let (number, state) = self.look().await?;
            pass(Step::TableSeen);
            let in_the_way = state.claim.clone().filter(|claim| claim.run != self.holder.run);
            if let Some(claim) = &in_the_way {
                if !self.may_end(claim) {
                    return Ok(ClaimOutcome::Held { claim: claim.clone() });
                }
                self.storage.evict(&claim.run, &self.initial.table).await?;
                pass(Step::RunEvicted);
            }
            if let Some(version) = self.create(number + 1, state).await? {
                let storage = self.storage.clone();
                let writer = TableWriter::new(storage, self.clock, self.holder, version, in_the_way);
                return Ok(ClaimOutcome::Claimed(writer));
            }
        }
        let table = &self.initial.table;
        Err(Error::storage(format!(
            "table {table} could not be claimed in {ROUNDS} attempts, look whether another run is writing it all the time"
        )))
    }

    async fn look(&self) -> Result<(u64, TableState)> {
        let Some(version) = newest(self.storage, &self.initial.table).await? else {
            self.refuse_twin().await?;
            return Ok((0, self.initial.clone()));
        };
        let (stored, wanted) = (&version.state.stream, &self.initial.stream);
        if stored != wanted {
            return Err(Error::input(format!(
                "table {} holds the stream {stored}, not {wanted}: give {wanted} another table or choose another place with --to",
                self.initial.table
            )));
        }
        Ok((version.number, version.state))
    }

    /// A new table whose name differs from another's in capitals only: engines, and some file systems, take the two for one.
    async fn refuse_twin(&self) -> Result<()> {
        let table = &self.initial.table;
        let known = tables(self.storage).await?;
        let twin = known
            .iter()
            .find(|known| *known != table && known.eq_ignore_ascii_case(table));
        twin.map_or(Ok(()), |twin| {
            Err(Error::input(format!(
                "the lake holds a table {twin}, which many engines do not tell from {table}: write {twin}, or give it another name"
            )))
        })
    }

    fn may_end(&self, claim: &Claim) -> bool {
        self.take_over || (self.clock)() >= claim.until || claim.owner.is_dead()
    }

    /// The version that says that the table is ours; `None` when another run was quicker.
    async fn create(&self, number: u64, mut state: TableState) -> Result<Option<Version>> {
        let now = (self.clock)();
        state.claim = Some(self.holder.claim(now));
        let version = Version {
            number,
            state,
            written_at: now,
            run: self.holder.run.clone(),
        };
        if version.create(self.storage).await? != Creation::Done {
            return Ok(None);
        }
        self.prove(&version).await?;
        if highest_after(self.storage, &version.state.table, number)
            .await?
            .is_none()
        {
            return Ok(Some(version));
        }
        // With the one before it gone, it stands in a hole; else it is part of the chain, and somebody has taken over from it.
        let before = version_path(&version.state.table, version.number - 1);
        if version.number > 1 && self.storage.head(&before).await?.is_none() {
            version.retract(self.storage).await;
        }
        Ok(None)
    }

    /// A store that lets a version be created twice lets two runs write the same table.
    async fn prove(&self, version: &Version) -> Result<()> {
        if self.storage.creates_conditionally() {
            return Ok(());
        }
        let path = version_path(&version.state.table, version.number);
        match self.storage.create(&path, version.encode()?).await? {
            Created::Exists => {
                self.storage.saw_conditional_create();
                Ok(())
            }
            Created::Done => Err(Error::storage(format!(
                "{} cannot create an object only if it is absent, which keeps two runs apart: use a store with conditional writes",
                self.storage
            ))),
        }
    }
}
