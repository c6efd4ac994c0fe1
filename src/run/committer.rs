//! Fetched rows into stored partitions: merged, published, and only then named by a version.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use jiff::civil::Date;

use super::pipeline::Ended;
use super::stored::{StoredRows, rows};
use super::table::Table;
use crate::columnar::{Fetched, MergeInput, MergeOutcome, ParquetEncoder, PartitionKey, Proof, merge_partition};
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::manifest::{PartitionFile, TableState, bare};
use crate::storage::{Expected, FinishedObject, ObjectInfo, Published, StoredObject, layout};
use crate::stream::Stream;

/// One partition to merge.
#[derive(Debug, Clone)]
pub struct Work {
    /// The day in the path, if the table has partitions.
    pub day: Option<Date>,
    /// The rows to lay in, and how the buffer calls their partition.
    pub fetched: Option<(Arc<Fetched>, PartitionKey)>,
    /// Keys to take away.
    pub remove: Arc<HashSet<String>>,
    /// Report stored rows inside that were not fetched.
    pub proof: Option<Arc<Proof>>,
}

impl Work {
    /// Lays `fetched` into each of the partitions it holds.
    pub fn upsert(fetched: &Arc<Fetched>, proof: Option<&Arc<Proof>>) -> Vec<Self> {
        let work = fetched.partitions().into_iter().map(|key| Self {
            day: day(&key),
            fetched: Some((Arc::clone(fetched), key)),
            remove: Arc::default(),
            proof: proof.cloned(),
        });
        work.collect()
    }

    /// Holds a stored partition of which nothing was fetched against what was: a row may have moved to another day, and stored
    /// rows inside `proof` that were not fetched are told.
    pub fn revisit(fetched: &Arc<Fetched>, day: Option<Date>, proof: Option<&Arc<Proof>>) -> Self {
        let key = day.map_or(PartitionKey::None, PartitionKey::Day);
        Self {
            day,
            fetched: Some((Arc::clone(fetched), key)),
            remove: Arc::default(),
            proof: proof.cloned(),
        }
    }

    /// Takes `keys` away from the partition of `day`.
    pub fn removal(day: Option<Date>, keys: HashSet<String>) -> Self {
        Self {
            day,
            fetched: None,
            remove: Arc::new(keys),
            proof: None,
        }
    }
}

/// What became of one partition.
#[derive(Debug)]
pub struct Merged {
    /// Relative to the table's folder.
    pub path: String,
    /// Rows by fate.
    pub outcome: MergeOutcome,
    /// The new object; `None` when nothing changed, or nothing is left.
    pub file: Option<PartitionFile>,
    /// Every row was taken away: the object is to be deleted.
    pub emptied: bool,
}

impl Merged {
    /// Whether an object was replaced, or is to be deleted.
    pub fn changed(&self) -> bool {
        self.file.is_some() || self.emptied
    }
}

/// The day of a partition.
pub fn day(key: &PartitionKey) -> Option<Date> {
    match key {
        PartitionKey::None => None,
        PartitionKey::Day(day) => Some(*day),
    }
}

/// Partitions that are on their way at once at least: while some are merged, others are read from the store or written to it.
const ON_THEIR_WAY: usize = 4;

/// Merges and publishes every piece of `work`, several side by side, until the run is asked to stop.
///
/// # Errors
/// Stopped, Storage, Held, Internal; what was published before stays and is adopted by the next run.
pub async fn merge_all(table: &Arc<Table>, work: Vec<Work>) -> Result<Vec<Merged>, Ended> {
    merge_each(table, work, true).await
}

/// The same although the run is asked to stop, for what is to be kept of it.
///
/// # Errors
/// Storage, Held, Internal, as [`merge_all`].
pub async fn merge_despite_stop(table: &Arc<Table>, work: Vec<Work>) -> Result<Vec<Merged>, Ended> {
    merge_each(table, work, false).await
}

async fn merge_each(table: &Arc<Table>, work: Vec<Work>, stops: bool) -> Result<Vec<Merged>, Ended> {
    let side_by_side = table.run.cpu.threads().max(ON_THEIR_WAY);
    let tasks = futures::stream::iter(work).map(|work| {
        let table = Arc::clone(table);
        async move {
            if stops {
                table.run.stop.check()?;
            }
            merge(&table, &work).await
        }
    });
    let merged: Vec<Merged> = tasks.buffered(side_by_side).try_collect().await?;
    pass(Step::PartitionsMerged);
    let mut counts = table.tally.counts();
    for one in &merged {
        counts.merged(&one.outcome);
    }
    Ok(merged)
}

/// Enters what was merged.
pub fn enter(state: &mut TableState, merged: &[Merged]) {
    for one in merged {
        if let Some(file) = &one.file {
            state.partitions.insert(one.path.clone(), file.clone());
            // A partition that could not be deleted may be wanted again.
            state.removing.retain(|going| *going != one.path);
        }
    }
}

/// The partitions of which nothing is left, to be removed after the version that holds the rest.
pub fn emptied(merged: &[Merged]) -> Vec<String> {
    merged
        .iter()
        .filter(|one| one.emptied)
        .map(|one| one.path.clone())
        .collect()
}

/// A stored object may change between being read and being replaced this often before the run gives up.
const TRIES: usize = 3;

async fn merge(table: &Arc<Table>, work: &Work) -> Result<Merged, Ended> {
    let run = &table.run;
    let full = layout::partition_path(&table.job.table, work.day);
    let path = layout::partition_name(work.day);
    for _ in 0..TRIES {
        let stored = if table.may_hold(&full) {
            run.storage.fetch(&full).await?
        } else {
            None
        };
        pass(Step::PartitionFound);
        let expected = stored
            .as_ref()
            .map_or(Expected::Absent, |object| Expected::Same(object.info.clone()));
        let slot = run.merges.acquire().await;
        let slot = slot.map_err(|e| Error::internal("the merge slots are closed").caused_by(e))?;
        let is_entered = match (&stored, table.entry(&path).await) {
            (Some(object), Some(entry)) => describes(&entry, &object.info),
            (stored, entry) => stored.is_none() && entry.is_none(),
        };
        let found = stored.as_ref().map(|object| object.info.clone());
        let Encoded {
            outcome,
            staged,
            stored_sha256,
        } = encode(table, work, stored, is_entered).await?;
        drop(slot);
        let emptied = outcome.rows == 0 && expected != Expected::Absent && outcome.differs();
        let Some(staged) = staged.filter(|_| !emptied) else {
            // An object that nothing changes in and that no version describes as it is: our own, of an attempt that was given up for lost.
            let unentered = found.zip(stored_sha256).filter(|_| !emptied);
            let file =
                unentered.map(|(info, sha256)| describe(&table.job.stream, &outcome, info.bytes, sha256, info.etag));
            return Ok(Merged {
                path,
                outcome,
                file,
                emptied,
            });
        };
        let (bytes, sha256) = (staged.bytes(), staged.sha256().to_owned());
        match run
            .storage
            .publish(staged, &full, &expected, || table.is_ours())
            .await?
        {
            Published::Done(info) => {
                pass(Step::ObjectPublished);
                table.holds(&full);
                let file = describe(&table.job.stream, &outcome, bytes, sha256, info.etag);
                return Ok(Merged {
                    path,
                    outcome,
                    file: Some(file),
                    emptied,
                });
            }
            Published::Conflict => {
                // Either the table was taken from us, which renewing finds out, or somebody else replaced the object.
                table.holds(&full);
                let outcome = table.writer().await.renew().await?;
                table.won(outcome)?;
            }
        }
    }
    let place = run.storage.place(&full);
    let text = format!("{place} was replaced {TRIES} times while it was merged, look what else writes there");
    Err(Error::storage(text).into())
}

/// A merge that was made, and not yet published.
struct Encoded {
    outcome: MergeOutcome,
    /// The new object; `None` when nothing differs.
    staged: Option<FinishedObject>,
    /// The checksum of what was stored, where the manifest does not describe that.
    stored_sha256: Option<String>,
}

/// Whether an entry is about this very object.
fn describes(entry: &PartitionFile, info: &ObjectInfo) -> bool {
    let same_etag = match (&entry.etag, &info.etag) {
        (Some(entered), Some(stored)) => bare(entered) == bare(stored),
        _ => true,
    };
    entry.bytes == info.bytes && same_etag
}

async fn encode(table: &Arc<Table>, work: &Work, stored: Option<StoredObject>, is_entered: bool) -> Result<Encoded> {
    let run = &table.run;
    let stream = Arc::clone(&table.job.stream);
    let fresh = stored.is_none();
    let staged = run.storage.stage(&run.settings.run)?;
    pass(Step::ObjectStaged);
    let work = work.clone();
    let job = move || {
        let (stored, stored_sha256) = match stored {
            Some(object) => {
                let sha256 = if is_entered { None } else { Some(object.sha256()?) };
                (rows(object, &stream)?, sha256)
            }
            None => (Box::new(std::iter::empty()) as StoredRows, None),
        };
        let fetched = match &work.fetched {
            Some((fetched, key)) => Some(fetched.partition(key)?),
            None => None,
        };
        let mut encoder = ParquetEncoder::new(Arc::clone(&stream), staged);
        let input = MergeInput {
            stored,
            fetched,
            remove: &work.remove,
            proof: work.proof.as_deref(),
        };
        let outcome = merge_partition(&stream, input, &mut encoder)?;
        if !outcome.differs() || (fresh && outcome.rows == 0) {
            return Ok(Encoded {
                outcome,
                staged: None,
                stored_sha256,
            });
        }
        let encoded = encoder.finish()?;
        pass(Step::ObjectEncoded);
        let staged = encoded.finish()?;
        pass(Step::ObjectFinished);
        Ok(Encoded {
            outcome,
            staged: Some(staged),
            stored_sha256,
        })
    };
    run.cpu.run(job).await
}

fn describe(
    stream: &Stream,
    outcome: &MergeOutcome,
    bytes: u64,
    sha256: String,
    etag: Option<String>,
) -> PartitionFile {
    PartitionFile {
        rows: outcome.rows,
        bytes,
        sha256,
        etag,
        schema: stream.version,
        least_time: outcome.least_time,
        greatest_time: outcome.greatest_time,
        least_key: outcome.least_key.clone(),
        greatest_key: outcome.greatest_key.clone(),
    }
}
