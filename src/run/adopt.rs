//! What lies in a table's folder and is not what the manifest says: read, counted, entered, and asked for again.

use std::sync::Arc;

use jiff::civil::Date;

use super::reject;
use super::settings::Job;
use super::stored::rows;
use super::table::Table;
use crate::columnar::inspect;
use crate::crash::{Step, pass};
use crate::error::Result;
use crate::manifest::{Difference, DifferenceKind, Gap, PartitionFile, RunRecord, ScanProgress, TableState, compare};
use crate::storage::{ObjectInfo, layout};
use crate::stream::{Partition, Shape, day_of, days, whole_day};

/// One correction to the manifest.
struct Correction {
    path: String,
    file: Option<PartitionFile>,
    /// Whether the object holds other bytes than the entry says, so that its day must be asked for again.
    differs: bool,
    /// Whether rows are gone that the entry speaks of.
    lacks: bool,
}

/// What was mended before the first request for rows.
#[derive(Debug, Default)]
pub struct Settled {
    /// One sentence for everything that was found.
    pub notices: Vec<String>,
    /// One sentence for everything that is lost.
    pub gaps: Vec<String>,
    adopted: Vec<Adopted>,
}

/// A partition that was entered, and will be asked for again.
#[derive(Debug)]
struct Adopted {
    place: String,
    day: Option<Date>,
    rows: u64,
}

impl Settled {
    /// Many adopted partitions, as a killed run leaves them, in one sentence.
    fn tell_adopted(&mut self) {
        let adopted = std::mem::take(&mut self.adopted);
        if let [Adopted { place, rows, .. }] = &adopted[..] {
            self.notices.push(format!("adopted {place} with {rows} rows"));
        }
        if adopted.len() < 2 {
            return;
        }
        for Adopted { place, rows, .. } in &adopted {
            tracing::debug!("adopted {place} with {rows} rows");
        }
        let rows: u64 = adopted.iter().map(|one| one.rows).sum();
        let days = adopted.iter().filter_map(|one| one.day);
        let days = match (days.clone().min(), days.max()) {
            (Some(first), Some(last)) => format!(" of {first} to {last}"),
            _ => String::new(),
        };
        let count = adopted.len();
        self.notices.push(format!(
            "adopted {count} partitions{days} with {rows} rows, which were not as the manifest says"
        ));
    }
}

/// Finishes what earlier runs left: removals that are listed, and partitions that no version describes.
///
/// # Errors
/// Storage, when a stored partition cannot be read; Held.
pub async fn settle(table: &Arc<Table>) -> Result<Settled> {
    let mut writer = table.writer().await;
    if !writer.state().removing.is_empty() {
        table.finish_removals(&mut writer).await?;
    }
    let state = writer.state().clone();
    let after_another = writer.previous_claim_taken_over().is_some();
    drop(writer);
    if after_another || may_be_unknown(&state) {
        reject::count(&table.run.storage, &table.job.table, &table.tally, state.rejected_kept).await?;
    }
    let listing = table.run.storage.list(&table.job.table).await?;
    table.found(&listing);
    let mut settled = Settled::default();
    let mut corrections = Vec::new();
    for difference in compare(&listing, &table.job.table, &state) {
        corrections.extend(judge(table, difference, &mut settled).await?);
    }
    settled.tell_adopted();
    if !corrections.is_empty() {
        let job = &table.job;
        table
            .commit(|state| corrections.into_iter().for_each(|one| one.enter(job, state)))
            .await?;
    }
    Ok(settled)
}

/// Whether rows may lie set aside that no version has counted, or no longer lie there that one has: only a run that died, or that was
/// broken off before it got here, leaves some uncounted.
fn may_be_unknown(state: &TableState) -> bool {
    state.rejected_kept > 0 || !state.runs.last().is_some_and(RunRecord::ended_well)
}

async fn judge(table: &Arc<Table>, difference: Difference, settled: &mut Settled) -> Result<Option<Correction>> {
    let Difference {
        path,
        kind,
        info,
        entry,
    } = difference;
    let place = layout::object_path(&table.job.table, &path);
    match (kind, info) {
        (_, Some(_)) if is_misplaced(&table.job, &path) => {
            settled.notices.push(format!(
                "{place} is no partition of this table, and readers of the folder take it for one: move it out of the folder"
            ));
            Ok(None)
        }
        (DifferenceKind::Foreign, _) => {
            settled.notices.push(format!(
                "{place} is not an object of this table; readers of the folder will trip over it"
            ));
            Ok(None)
        }
        (DifferenceKind::Missing, _) | (_, None) => {
            if let Some(since) = begins_after(&table.job, layout::partition_date(&path)) {
                settled.gaps.push(format!(
                    "{place} is gone from the lake, and runs ask for nothing before {since}; give its day to --since once"
                ));
            } else if is_served(&table.job, layout::partition_date(&path)) {
                settled
                    .notices
                    .push(format!("{place} is gone from the lake; its rows are asked for again"));
            } else {
                settled.gaps.push(format!(
                    "{place} is gone from the lake and its rows are not served any more"
                ));
            }
            Ok(Some(Correction {
                path,
                file: None,
                differs: true,
                lacks: true,
            }))
        }
        (_, Some(info)) => {
            let Some(file) = read(table, &info).await? else {
                return Ok(None);
            };
            pass(Step::PartitionAdopted);
            let differs = entry.as_ref().is_none_or(|entry| entry.sha256 != file.sha256);
            let (day, rows) = (layout::partition_date(&path), file.rows);
            match begins_after(&table.job, day) {
                Some(since) if differs && entry.is_some() => settled.gaps.push(format!(
                    "adopted {place} with {rows} rows, another than the manifest names, and runs ask for nothing before {since}; give its day to --since once"
                )),
                _ if differs => settled.adopted.push(Adopted { place, day, rows }),
                _ => {}
            }
            let lacks = entry.is_some_and(|entry| entry.rows > file.rows);
            let file = Some(file);
            Ok(Some(Correction {
                path,
                file,
                differs,
                lacks,
            }))
        }
    }
}

/// Whether a path is that of a partition by day in a table of one object, or the other way round.
fn is_misplaced(job: &Job, path: &str) -> bool {
    layout::partition_date(path).is_some() == (job.stream.partition == Partition::None)
}

/// Where every run begins, if that is after `day`: none will ask for it by itself.
fn begins_after(job: &Job, day: Option<Date>) -> Option<Date> {
    let begins = job.ask.standing.map(day_of)?;
    let in_windows = matches!(job.stream.sync, Shape::Windows { .. });
    (in_windows && day? < begins).then_some(begins)
}

/// Whether the API still serves what the partition of `day` held.
fn is_served(job: &Job, day: Option<Date>) -> bool {
    let since = |days_back: u32| job.ask.now.saturating_sub(days(days_back)).map_or(Date::MIN, day_of);
    match job.stream.sync {
        Shape::List | Shape::Windows { .. } => true,
        Shape::Scan { retention_days, .. } => day.is_none_or(|day| day > since(retention_days)),
        Shape::Snapshot => day == Some(day_of(job.ask.now)),
    }
}

impl Correction {
    fn enter(self, job: &Job, state: &mut TableState) {
        let day = layout::partition_date(&self.path);
        if let (true, Some(window)) = (self.differs, day.and_then(whole_day)) {
            state.coverage.uncover(window);
            if let Some(full) = &mut state.full_table {
                full.done.uncover(window);
            }
            if matches!(job.stream.sync, Shape::Scan { .. }) {
                self.unsettle(state, day_of(window.from));
            }
            if self.file.is_none() && !is_served(job, day) {
                state.gaps.push(Gap {
                    from: window.from,
                    to: window.to,
                    reason: "the partition is gone and the API does not serve it any more".to_owned(),
                });
            }
        }
        match self.file {
            Some(file) => state.partitions.insert(self.path, file),
            None => state.partitions.remove(&self.path),
        };
    }

    /// A scan that is gone on with reads nothing again that it has passed: what it has proven of `day` does not hold for other rows, and
    /// what it has read of it is not all there.
    fn unsettle(&self, state: &mut TableState, day: Date) {
        let reached = |scan: &ScanProgress| day_of(scan.reached);
        // The day in which a scan stands is passed in part, and proven not at all.
        let full = state.full_table.as_ref().and_then(|full| full.scan.as_ref());
        if full
            .map(reached)
            .is_some_and(|reached| day > reached || (self.lacks && day == reached))
        {
            state.full_table = None;
        }
        if self.lacks && state.scan.as_ref().map(reached).is_some_and(|reached| day >= reached) {
            state.scan = None;
        }
    }
}

/// What an object that was listed holds; `None` when it is gone by now.
async fn read(table: &Arc<Table>, info: &ObjectInfo) -> Result<Option<PartitionFile>> {
    let run = &table.run;
    let stream = Arc::clone(&table.job.stream);
    let Some(object) = run.storage.fetch(&info.path).await? else {
        return Ok(None);
    };
    let work = move || {
        let sha256 = object.sha256()?;
        let (bytes, etag) = (object.info.bytes, object.info.etag.clone());
        let stats = inspect(&stream, rows(object, &stream)?)?;
        Ok(Some(PartitionFile {
            rows: stats.rows,
            bytes,
            sha256,
            etag,
            schema: stream.version,
            least_time: stats.least_time,
            greatest_time: stats.greatest_time,
            least_key: stats.least_key,
            greatest_key: stats.greatest_key,
        }))
    };
    run.cpu.run(work).await
}
