//! A table gets another name: its objects are copied, then taken away from the old folder, and the manifest goes with them.
//!
//! Both tables are claimed, and say that they are being renamed as long as it has not finished: whatever dies in between, no run
//! writes into a half of the table, a glob over either folder returns each key once, and the same command goes on.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::table::{held, is_ours, renew, won};
use crate::error::{Error, Result};
use crate::manifest::{
    ClaimOptions, ClaimOutcome, CommitOutcome, PartitionFile, TableState, TableWriter, newest, tables,
};
use crate::storage::layout::{object_path, parse_partition_path, rejected_folder};
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

/// What is in the way, before anything is claimed.
async fn refuse(
    storage: &Storage,
    from: &str,
    to: &str,
    old: Option<&TableState>,
    new: Option<&TableState>,
) -> Result<()> {
    if goes_on(from, new) {
        return Ok(());
    }
    let Some(old) = old else {
        let known = tables(storage).await?;
        let there = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        return Err(Error::input(format!(
            "{storage} holds no table {from:?}; its tables are: {there}"
        )));
    };
    if let Some(other) = &old.moved_to {
        return Err(Error::input(format!("table {from} was renamed to {other} already")));
    }
    if let Some(other) = old.moving_to.as_ref().filter(|other| *other != to) {
        return Err(Error::input(format!(
            "table {from} is being renamed to {other}, and that has not finished: give `cio2parquet rename {from} {other}` again first"
        )));
    }
    let other = old
        .moving_from
        .as_deref()
        .or(new.and_then(|new| new.moving_to.as_deref()));
    if let Some(other) = other {
        return Err(Error::input(format!(
            "{from} or {to} is being renamed itself, and that has not finished: give the command again that names {other}"
        )));
    }
    if new.is_some_and(|new| new.moved_to.is_none()) {
        return Err(Error::input(format!(
            "{storage} holds a table {to} already; choose another name, or move that one away first"
        )));
    }
    if old.moving_to.is_none() && !storage.list(to).await?.is_empty() {
        return Err(Error::input(format!(
            "{} holds objects that no table knows of; move them away, or choose another name",
            storage.place(to)
        )));
    }
    Ok(())
}

/// Whether an attempt came so far that the new table is there.
fn goes_on(from: &str, new: Option<&TableState>) -> bool {
    new.is_some_and(|new| new.moving_from.as_deref() == Some(from))
}

/// A claimed table, its claim renewed as long as it is held.
struct Held {
    writer: Arc<Mutex<TableWriter>>,
    _renewal: AbortOnDropHandle<()>,
}

impl Held {
    async fn commit(&self, edit: impl FnOnce(&mut TableState)) -> Result<()> {
        let mut writer = self.writer.lock().await;
        let outcome = writer.commit(edit).await?;
        won(&writer.state().table, outcome)
    }

    /// Gives the claim back where something else has failed, which says more than that this could not be done.
    async fn give_back(&self, edit: impl FnOnce(&mut TableState)) {
        match self.writer.lock().await.release(edit).await {
            Ok(CommitOutcome::Committed(_)) => {}
            Ok(CommitOutcome::Lost(_)) => tracing::warn!("a table was taken over while it was renamed"),
            Err(error) => tracing::warn!(error = %error.chain(), "cannot give a claim back; it ends by itself"),
        }
    }

    async fn state(&self) -> TableState {
        self.writer.lock().await.state().clone()
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
        let old = old.filter(|old| old.moved_to.is_none());
        let Some(old) = old else {
            // Only the last version was missing.
            let initial = new.ok_or_else(|| Error::internal("there is nothing to rename"))?;
            return self.finish(&self.claim(self.to, initial, false).await?).await;
        };
        let began = goes_on(self.from, new.as_ref());
        // Were the name free by now, there would be nothing to begin.
        let old = self.claim(self.from, old, false).await?;
        old.commit(|state| state.moving_to = Some(self.to.to_owned())).await?;
        let state = old.state().await;
        let new = match self.begin(&state).await {
            Ok(new) => new,
            Err(error) => {
                // Nothing has moved, so nothing goes on; unless an attempt before this one had begun.
                old.give_back(|state| state.moving_to = state.moving_to.take().filter(|_| began))
                    .await;
                return Err(error);
            }
        };
        let moved = self.carry(&state, &old, &new).await;
        if moved.is_err() {
            old.give_back(|_| {}).await;
            new.give_back(|_| {}).await;
        }
        moved
    }

    /// Claims the new table, which must not have become another one meanwhile.
    async fn begin(&self, old: &TableState) -> Result<Held> {
        let new = self.claim(self.to, self.begun(old), true).await?;
        if goes_on(self.from, Some(&new.state().await)) {
            return Ok(new);
        }
        new.give_back(|_| {}).await;
        Err(Error::input(format!(
            "another run has begun a table {} meanwhile; {} stays as it is, choose another name",
            self.to, self.from
        )))
    }

    /// Copies, names, takes away, and leaves behind where the table is.
    async fn carry(&self, state: &TableState, old: &Held, new: &Held) -> Result<Renamed> {
        let copied = self.copy(state, new).await?;
        let kept = new.state().await.partitions;
        new.commit(|of_new| {
            *of_new = self.begun(state);
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
        self.remove(old, copied.into_keys().collect()).await?;
        self.leave(old).await?;
        self.finish(new).await
    }

    /// The state of the new table, but for its partitions.
    fn begun(&self, old: &TableState) -> TableState {
        TableState {
            table: self.to.to_owned(),
            // As far as it stands before the new name too; what is exported under that says so otherwise.
            prefix: old.prefix.clone().filter(|prefix| self.to.starts_with(prefix.as_str())),
            moving_from: Some(self.from.to_owned()),
            moving_to: None,
            partitions: BTreeMap::new(),
            removing: Vec::new(),
            claim: None,
            ..old.clone()
        }
    }

    /// Claims `table`, or begins it as `initial` where `anew` allows it.
    async fn claim(&self, table: &str, initial: TableState, anew: bool) -> Result<Held> {
        let settings = self.settings;
        let options = ClaimOptions {
            beside: anew,
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
                    _renewal: AbortOnDropHandle::new(tokio::spawn(renew(Arc::clone(&writer)))),
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
            .publish(finished, path, &expected, || is_ours(&new.writer))
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
        let (from, to) = (rejected_folder(self.from), rejected_folder(self.to));
        for info in self.storage.list(&from).await? {
            let Some(name) = info.path.strip_prefix(&from) else {
                continue;
            };
            if let Some(bytes) = self.storage.get(&info.path).await? {
                // One that is there was moved before.
                self.storage.create(&format!("{to}{name}"), bytes).await?;
            }
            self.storage.delete(&info.path).await.map_err(|cause| {
                let text = format!(
                    "rows that were set aside stay in {from}; let the key delete, and give the same command again"
                );
                Error::storage(text).caused_by(cause)
            })?;
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

    /// The last version of the old table says where it is, and that nothing is left here.
    async fn leave(&self, old: &Held) -> Result<()> {
        let mut writer = old.writer.lock().await;
        let outcome = writer
            .release(|state| {
                *state = TableState {
                    prefix: state.prefix.clone(),
                    moved_to: Some(self.to.to_owned()),
                    ..TableState::new(&state.stream, &state.table, state.schema.clone())
                };
            })
            .await?;
        won(self.from, outcome)
    }

    async fn finish(&self, new: &Held) -> Result<Renamed> {
        let mut writer = new.writer.lock().await;
        let outcome = writer.release(|state| state.moving_from = None).await?;
        won(self.to, outcome)?;
        let state = writer.state();
        Ok(Renamed {
            stream: state.stream.clone(),
            partitions: state.partitions.len(),
            rows: state.rows(),
        })
    }
}
