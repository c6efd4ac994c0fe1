//! Taking the claim of a table: of two runs one wins.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::refusal::{begins_anew, refuse_neighbour, refuse_other};
use super::version::{Creation, Version, highest_after, newest_listed};
use super::writer::{Claimed, Clock, Holder};
use super::{Claim, TableState, TableWriter};
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::storage::layout::version_path;
use crate::storage::{Created, ObjectInfo, Owner, RunId, Storage};

/// How often others may get ahead before it looks as if the store did not work.
const ROUNDS: u32 = 100;

/// How a table is claimed.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOptions {
    /// Take the table even from a run that may be alive.
    pub take_over: bool,
    /// Begin a new table although another of the lake holds the same stream.
    pub beside: bool,
    /// Claim a table that is being renamed, to go on with that.
    pub moving: bool,
    /// How long the claim holds if nothing more is heard of the run.
    pub lease: Duration,
}

impl Default for ClaimOptions {
    fn default() -> Self {
        Self {
            take_over: false,
            beside: false,
            moving: false,
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
    /// Input when the table holds another stream or treats columns in another way, or another table holds the stream; storage.
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
            options,
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
    options: ClaimOptions,
    initial: TableState,
}

impl Claiming<'_> {
    async fn run(self) -> Result<ClaimOutcome> {
        for _ in 0..ROUNDS {
            let (number, state, listed) = self.look().await?;
            pass(Step::TableSeen);
            let in_the_way = state.claim.clone().filter(|claim| claim.run != self.holder.run);
            if let Some(claim) = &in_the_way {
                if !self.may_end(claim) {
                    return Ok(ClaimOutcome::Held { claim: claim.clone() });
                }
                self.storage.evict(&claim.run, &self.initial.table).await?;
                pass(Step::RunEvicted);
            }
            if let Some((version, proven_at)) = self.create(number + 1, state, in_the_way.is_none()).await? {
                let claimed = Claimed {
                    version,
                    proven_at,
                    listed,
                    taken_over: in_the_way,
                };
                let writer = TableWriter::new(self.storage.clone(), self.clock, self.holder, claimed);
                return Ok(ClaimOutcome::Claimed(writer));
            }
        }
        let table = &self.initial.table;
        Err(Error::storage(format!(
            "table {table} could not be claimed in {ROUNDS} attempts, look whether another run is writing it all the time"
        )))
    }

    async fn look(&self) -> Result<(u64, TableState, Vec<ObjectInfo>)> {
        let (newest, listed) = newest_listed(self.storage, &self.initial.table).await?;
        let Some(version) = newest else {
            refuse_neighbour(self.storage, &self.initial, self.options).await?;
            return Ok((0, self.initial.clone(), listed));
        };
        if begins_anew(&version.state, self.options) {
            refuse_neighbour(self.storage, &self.initial, self.options).await?;
            return Ok((version.number, self.initial.clone(), listed));
        }
        refuse_other(&version.state, &self.initial, self.options)?;
        let mut state = version.state;
        state.prefix = state.prefix.or_else(|| self.initial.prefix.clone());
        state.description = self.initial.description.clone().or(state.description);
        Ok((version.number, state, listed))
    }

    fn may_end(&self, claim: &Claim) -> bool {
        self.options.take_over || (self.clock)() >= claim.until || claim.owner.is_dead()
    }

    /// The version that says that the table is ours, and when that was proven; `None` when another run was quicker. The table was `free`
    /// if no claim had to be ended.
    async fn create(&self, number: u64, mut state: TableState, free: bool) -> Result<Option<(Version, Timestamp)>> {
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
        match self.settle(&version).await {
            Ok(proven_at) => Ok(proven_at.map(|proven_at| (version, proven_at))),
            Err(error) => {
                // That a dead run was in the way is to be seen by the next one, which takes this claim over in its place.
                if free {
                    self.give_back(version).await;
                }
                Err(error)
            }
        }
    }

    /// When `version`, which was created just now, was proven to be the highest; `None` when it is not.
    async fn settle(&self, version: &Version) -> Result<Option<Timestamp>> {
        self.prove(version).await?;
        let proven_at = (self.clock)();
        if highest_after(self.storage, &version.state.table, version.number)
            .await?
            .is_none()
        {
            return Ok(Some(proven_at));
        }
        // With the one before it gone, it stands in a hole; else it is part of the chain, and somebody has taken over from it.
        let before = version_path(&version.state.table, version.number - 1);
        if version.number > 1 && self.storage.head(&before).await?.is_none() {
            version.retract(self.storage).await;
        }
        Ok(None)
    }

    /// Ends the claim that `version` says, so that the next run need not wait for its end: nothing was done under it.
    async fn give_back(&self, claimed: Version) {
        let version = Version {
            number: claimed.number + 1,
            state: TableState {
                claim: None,
                ..claimed.state
            },
            written_at: (self.clock)(),
            ..claimed
        };
        if let Err(error) = version.create(self.storage).await {
            let table = &version.state.table;
            tracing::warn!(error = %error.chain(), "cannot give the claim on table {table} back; it ends by itself");
        }
    }

    /// A store that lets a version be created twice, or an object be replaced that is not the one that was read, lets two runs write
    /// the same table. What is written says the same, so that nothing is lost when it does, but is not the same, so that it is not
    /// taken for what stands there when an answer is lost.
    async fn prove(&self, version: &Version) -> Result<()> {
        if self.storage.heeds_conditions() {
            return Ok(());
        }
        let path = version_path(&version.state.table, version.number);
        let bytes = Bytes::from([version.encode()?.as_ref(), b"\n"].concat());
        let without = |what: &str| {
            Error::storage(format!(
                "{} {what}, which keeps two runs apart: use a store with conditional writes",
                self.storage
            ))
        };
        if self.storage.create(&path, bytes.clone()).await? == Created::Done {
            return Err(without("cannot create an object only if it is absent"));
        }
        if !self.storage.refuses_outdated(&path, bytes).await? {
            return Err(without("cannot replace an object only if it is the one that was read"));
        }
        self.storage.saw_conditions();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SchemaRef;
    use crate::manifest::tests::unreliable_lake;
    use crate::manifest::version::newest;
    use crate::storage::unreliable::{Fault, Kind, Unreliable};

    async fn claim(lake: &Storage, run: &str, owner: &Owner) -> Result<ClaimOutcome> {
        let schema = SchemaRef {
            version: 1,
            fingerprint: "f".into(),
        };
        let (initial, run) = (TableState::new("s", "t", schema), run.parse().unwrap());
        TableWriter::claim(lake, "t", initial, &run, owner, ClaimOptions::default(), Timestamp::now).await
    }

    /// Once, after a version was created.
    fn strike(store: &Unreliable, struck: Kind) {
        let mut created = false;
        let mut fault = Some(Fault::Fails);
        store.plan(move |_, kind| {
            created |= kind == Kind::Create;
            if created && kind == struck { fault.take() } else { None }
        });
    }

    #[tokio::test]
    async fn a_claim_that_is_not_sure_is_given_back() {
        for struck in [Kind::Put, Kind::List] {
            let (store, lake) = unreliable_lake();
            strike(&store, struck);
            assert!(claim(&lake, "first", &Owner::current()).await.is_err());
            let left = newest(&lake, "t").await.unwrap().unwrap();
            assert_eq!((left.number, left.state.claim), (2, None), "{struck:?}");
            let second = claim(&lake, "second", &Owner::current()).await;
            assert!(matches!(second, Ok(ClaimOutcome::Claimed(_))));
        }
    }

    #[tokio::test]
    async fn a_claim_in_the_place_of_a_dead_run_stays_for_the_next_one_to_see() {
        let (store, lake) = unreliable_lake();
        let dead = Owner {
            process: "999999999:1".into(),
            ..Owner::current()
        };
        assert!(claim(&lake, "dead", &dead).await.is_ok());
        strike(&store, Kind::List);
        assert!(claim(&lake, "heir", &dead).await.is_err());
        let left = newest(&lake, "t").await.unwrap().unwrap();
        assert_eq!(left.state.claim.unwrap().run.to_string(), "heir");
    }
}
