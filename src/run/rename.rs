//! A table gets another name: its objects are copied, then taken away from the old folder, and the manifest goes with them.
//!
//! Both tables are claimed, and say that they are being renamed as long as it has not finished: whatever dies in between, no run
//! writes into a half of the table, a glob over either folder returns each key once, and the same command goes on.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::table::{held, lost, renew};
use crate::error::{Error, Result};
use crate::manifest::{
    ClaimOptions, ClaimOutcome, CommitOutcome, PartitionFile, TableState, TableWriter, newest, tables,
};
use crate::storage::layout::{object_path, parse_partition_path, rejected_folder, version_folder};
use crate::storage::{Expected, Owner, Published, RunId, Storage, StoredObject};

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// Who renames, and how it claims.
#[derive(Debug, Clone)]
pub struct RenameSettings {
    /// The run's id.
    pub run: RunId,
    /// Who runs it.
    pub owner: Owner,
    /// How both tables are claimed.
    pub claiming: ClaimOptions,
}

/// What has another name now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The stream whose table it is.
    pub stream: String,
    /// Objects that were moved by this call.
    pub moved: usize,
    /// Partitions of the table.
    pub partitions: usize,
    /// Rows of the table.
    pub rows: u64,
}

/// Gives the table `from` the name `to`.
///
/// # Errors
/// Input, when there is no such table, or one of the new name; Held; Storage. The same call goes on where one failed.
pub async fn rename(storage: &Storage, from: &str, to: &str, settings: &RenameSettings) -> Result<Renamed> {
    let old = newest(storage, from).await?.map(|version| version.state);
    let new = newest(storage, to).await?.map(|version| version.state);
    refuse(storage, from, to, old.as_ref(), new.as_ref()).await?;
    storage.sweep_staging(Owner::is_dead).await?;
    storage.open_staging(&settings.run, &settings.owner).await?;
    let moving = Moving {
        storage,
        settings,
        from,
        to,
    };
    let outcome = moving.run(old, new).await;
    if let Err(error) = storage.close_staging(&settings.run).await {
        tracing::warn!(error = %error.chain(), "cannot remove the staging folder; the next run does");
    }
    outcome
}

async fn refuse(
    storage: &Storage,
    from: &str,
    to: &str,
    old: Option<&TableState>,
    new: Option<&TableState>,
) -> Result<()> {
    let goes_on = new.is_some_and(|new| new.moving_from.as_deref() == Some(from));
    if old.is_none() && !goes_on {
        let known = tables(storage).await?;
        let there = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        return Err(Error::input(format!(
            "{storage} holds no table {from:?}; its tables are: {there}"
        )));
    }
    if let Some(other) = old
        .and_then(|old| old.moving_to.as_deref())
        .filter(|other| *other != to)
    {
        return Err(Error::input(format!(
            "table {from} is being renamed to {other}, and that has not finished: give `cio2parquet rename {from} {other}` again first"
        )));
    }
    let other = old.and_then(|old| old.moving_from.as_deref());
    if let Some(other) = other.or(new.and_then(|new| new.moving_to.as_deref())) {
        return Err(Error::input(format!(
            "{from} or {to} is being renamed itself, and that has not finished: give the command again that names {other}"
        )));
    }
    if new.is_some() && !goes_on {
        return Err(Error::input(format!(
            "{storage} holds a table {to} already; choose another name, or move that one away first"
        )));
    }
    Ok(())
}

/// A claimed table, its claim renewed as long as it is held.
struct Held {
    writer: Arc<Mutex<TableWriter>>,
    renewal: AbortOnDropHandle<()>,
}

impl Held {
    async fn commit(&self, edit: impl FnOnce(&mut TableState)) -> Result<()> {
        let mut writer = self.writer.lock().await;
        let outcome = writer.commit(edit).await?;
        won(&writer.state().table, outcome)
    }

    async fn state(&self) -> TableState {
        self.writer.lock().await.state().clone()
    }

    async fn is_ours(&self) -> Result<bool> {
        let look = self.writer.lock().await.look();
        Ok(look.later().await?.is_none())
    }
}

fn won(table: &str, outcome: CommitOutcome) -> Result<()> {
    match outcome {
        CommitOutcome::Committed(_) => Ok(()),
        CommitOutcome::Lost(claim) => Err(lost(table, claim.as_ref())),
    }
}

/// One table on its way from name to name.
struct Moving<'a> {
    storage: &'a Storage,
    settings: &'a RenameSettings,
    from: &'a str,
    to: &'a str,
}

impl Moving<'_> {
    async fn run(&self, old: Option<TableState>, new: Option<TableState>) -> Result<Renamed> {
        let Some(old) = old else {
            // Only the last version was missing.
            let initial = new.ok_or_else(|| Error::internal("there is nothing to rename"))?;
            return self.finish(&self.claim(self.to, initial).await?, 0).await;
        };
        let old = self.claim(self.from, old).await?;
        old.commit(|state| state.moving_to = Some(self.to.to_owned())).await?;
        let state = old.state().await;
        let new = self.claim(self.to, self.begun(&state)).await?;
        let copied = self.copy(&state, &new).await?;
        let moved = copied.len();
        let kept = new.state().await.partitions;
        new.commit(|of_new| {
            *of_new = self.begun(&state);
            of_new.partitions = kept;
            // Without an entry the next run reads it and enters it, as it would have done under the old name.
            of_new.partitions.extend(
                copied
                    .iter()
                    .filter_map(|(name, entry)| Some((name.clone(), entry.clone()?))),
            );
        })
        .await?;
        self.move_rejected().await?;
        self.remove(&old, copied.into_keys().collect()).await?;
        self.forget(old).await?;
        self.finish(&new, moved).await
    }

    /// The state of the new table, but for its partitions.
    fn begun(&self, old: &TableState) -> TableState {
        TableState {
            table: self.to.to_owned(),
            prefix: None,
            moving_from: Some(self.from.to_owned()),
            moving_to: None,
            partitions: BTreeMap::new(),
            removing: Vec::new(),
            claim: None,
            ..old.clone()
        }
    }

    async fn claim(&self, table: &str, initial: TableState) -> Result<Held> {
        let settings = self.settings;
        let options = ClaimOptions {
            beside: true,
            moving: true,
            ..settings.claiming
        };
        let clock = jiff::Timestamp::now;
        let (run, owner) = (&settings.run, &settings.owner);
        let claimed = TableWriter::claim(self.storage, table, initial, run, owner, options, clock);
        match claimed.await? {
            ClaimOutcome::Held { claim } => Err(held(table, &claim)),
            ClaimOutcome::Claimed(writer) => {
                let writer = Arc::new(Mutex::new(writer));
                Ok(Held {
                    renewal: AbortOnDropHandle::new(tokio::spawn(renew(Arc::clone(&writer)))),
                    writer,
                })
            }
        }
    }

    /// Copies every object of the old table; its entry where the manifest described it as it is.
    async fn copy(&self, old: &TableState, new: &Held) -> Result<BTreeMap<String, Option<PartitionFile>>> {
        let mut copied = BTreeMap::new();
        for info in self.storage.list(self.from).await? {
            let going = |name: &String| object_path(self.from, name) == info.path;
            if parse_partition_path(&info.path).is_none() || old.removing.iter().any(going) {
                continue;
            }
            let Some((_, name)) = info.path.split_once('/') else {
                continue;
            };
            let Some(object) = self.storage.fetch(&info.path).await? else {
                continue;
            };
            let (sha256, etag) = self.publish(object, &object_path(self.to, name), new).await?;
            let entry = old.partitions.get(name).filter(|entry| entry.sha256 == sha256);
            let entry = entry.map(|entry| PartitionFile { etag, ..entry.clone() });
            copied.insert(name.to_owned(), entry);
        }
        Ok(copied)
    }

    async fn publish(&self, object: StoredObject, path: &str, new: &Held) -> Result<(String, Option<String>)> {
        let mut staged = self.storage.stage(&self.settings.run)?;
        let finished = tokio::task::spawn_blocking(move || {
            let mut at = 0;
            loop {
                let chunk = object.chunk(at, CHUNK)?;
                if chunk.is_empty() {
                    return staged.finish();
                }
                at += chunk.len() as u64;
                let written = staged.write_all(&chunk);
                written.map_err(|cause| Error::storage("cannot copy a partition").caused_by(cause))?;
            }
        });
        let finished = finished
            .await
            .map_err(|cause| Error::internal("copying was cut off").caused_by(cause))??;
        let sha256 = finished.sha256().to_owned();
        let stands = self.storage.head(path).await?;
        let expected = stands.map_or(Expected::Absent, Expected::Same);
        match self
            .storage
            .publish(finished, path, &expected, || new.is_ours())
            .await?
        {
            Published::Done(info) => Ok((sha256, info.etag)),
            Published::Conflict => {
                won(self.to, new.writer.lock().await.renew().await?)?;
                let place = self.storage.place(path);
                Err(Error::storage(format!(
                    "{place} was written by somebody else while the table was renamed; look what"
                )))
            }
        }
    }

    async fn move_rejected(&self) -> Result<()> {
        for info in self.storage.list(&rejected_folder(self.from)).await? {
            let Some(name) = info.path.strip_prefix(&rejected_folder(self.from)) else {
                continue;
            };
            if let Some(bytes) = self.storage.get(&info.path).await? {
                // One that is there was moved before.
                self.storage
                    .create(&format!("{}{name}", rejected_folder(self.to)), bytes)
                    .await?;
            }
            self.storage.delete(&info.path).await?;
        }
        Ok(())
    }

    /// Takes the old table's objects away; they stand under the new name, and a version says so.
    async fn remove(&self, old: &Held, names: Vec<String>) -> Result<()> {
        let mut writer = old.writer.lock().await;
        let listed = writer.removal(&names).await?;
        won(self.from, listed)?;
        let finished = writer.finish_removals().await?;
        won(self.from, finished.outcome)?;
        finished.refused.map_or(Ok(()), |(count, error)| {
            let text = format!("{count} partitions of table {} could not be deleted; let the key delete, and give the same command again", self.from);
            Err(Error::storage(text).caused_by(error))
        })
    }

    /// Deletes the old table's versions, the oldest first: the highest of those that are left goes on telling where the table is.
    async fn forget(&self, old: Held) -> Result<()> {
        // Who has the writer knows that no renewal is on its way.
        let mut writer = old.writer.lock().await;
        won(self.from, writer.renew().await?)?;
        drop(old.renewal);
        for version in self.storage.list(&version_folder(self.from)).await? {
            self.storage.delete(&version.path).await?;
        }
        Ok(())
    }

    async fn finish(&self, new: &Held, moved: usize) -> Result<Renamed> {
        let mut writer = new.writer.lock().await;
        let outcome = writer.release(|state| state.moving_from = None).await?;
        won(self.to, outcome)?;
        let state = writer.state();
        Ok(Renamed {
            stream: state.stream.clone(),
            moved,
            partitions: state.partitions.len(),
            rows: state.rows(),
        })
    }
}
