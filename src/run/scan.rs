//! Newest first without a time filter: one chain of cursors from the newest row back to a bound.
//!
//! ```text
//!   now                     reached            lower
//!    |===== read, committed ====|...............|
//!    ^ a later run reads what is new on top, then goes on at the cursor if it still leads below `reached`
//! ```
//! Rows are upserted whenever a commit is due. In a full-table run the stored rows of a day that were not served become
//! candidates for removal once the scan has passed the whole day; they are taken away when everything was read.

mod proof;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use self::proof::{candidates, newly_passed, note, removal_window};
use super::committer::{Work, emptied, enter, merge_all, merge_despite_stop};
use super::engine::GRACE;
use super::event::RunEvent;
use super::pipeline::{Chain, Ended, PageFacts, Reader, SharedBuffer, drain};
use super::removal::remove;
use super::settings::Job;
use super::table::Table;
use crate::columnar::{Fetched, Proof};
use crate::manifest::{FullTable, Gap, ScanProgress, SyncMode, TableState};
use crate::plan::{self, ScanPlan};
use crate::source::{FetchError, Request};
use crate::storage::layout;
use crate::stream::{Shape, Window, day_of, days};

/// Exports a scanned stream into its table.
///
/// # Errors
/// Whatever ends the stream early; what was committed stays, and the next run goes on from there.
pub async fn export(reader: &Arc<Reader>, table: &Arc<Table>) -> Result<(), Ended> {
    let job = &reader.job;
    let state = table.state().await;
    let plan = plan::scan(&job.stream, job.sync, &job.ask, &state);
    (reader.run.listener)(RunEvent::Started {
        stream: job.stream.stream.clone(),
        days: None,
    });
    if let Some(aged) = plan.aged {
        reader.notice(format!(
            "what happened from {} to {} was still served when this scan began, and may not be any more",
            aged.from, aged.to
        ));
    }
    let mut scan = Scan::new(reader, table, &plan, &state)?;
    scan.read(plan.resume.clone()).await?;
    scan.finish(&plan).await
}

/// A scan under way.
struct Scan {
    reader: Arc<Reader>,
    table: Arc<Table>,
    lower: Option<Timestamp>,
    /// When the scan began, in whichever run: the mark once it is complete, so that the next lookback counts from there.
    upper: Timestamp,
    buffer: SharedBuffer,
    /// Only in a full-table run.
    full: Option<FullTable>,
    /// Rows that the runs set aside which this one goes on with.
    rejected_before: u64,
    /// Rows older than this were not read yet.
    reached: Option<Timestamp>,
    /// When all that was new was read on top of a scan that is gone on with.
    topped: Option<Timestamp>,
    /// The run was stopped, and what was read is laid in all the same.
    keeps: bool,
    committed: Instant,
    began: Instant,
}

/// How a chain of pages came to its end.
enum Outcome {
    /// The bound, or the last page.
    Done,
    /// The cursor leads somewhere else than it did when it was kept.
    Astray,
}

impl Scan {
    fn new(reader: &Arc<Reader>, table: &Arc<Table>, plan: &ScanPlan, state: &TableState) -> Result<Self, Ended> {
        let job = &reader.job;
        let full = (job.sync == SyncMode::FullTable).then(|| {
            let before = state.full_table.clone().filter(|_| plan.resume.is_some());
            before.unwrap_or_else(|| FullTable::begin(job.ask.now, plan.lower, None, state.rows()))
        });
        Ok(Self {
            reader: Arc::clone(reader),
            table: Arc::clone(table),
            lower: plan.lower,
            upper: plan.resume.as_ref().map_or(job.ask.now, |before| before.upper),
            buffer: reader.buffer()?,
            rejected_before: full.as_ref().map_or(0, |full| full.rejected),
            full,
            reached: None,
            topped: None,
            keeps: false,
            committed: Instant::now(),
            began: Instant::now(),
        })
    }

    /// Reads everything down to the bound, going on from `resume` where that is still possible.
    async fn read(&mut self, resume: Option<ScanProgress>) -> Result<(), Ended> {
        let Some(before) = resume else {
            return self.descend(None, self.lower, true).await.map(|_| ());
        };
        let top = plan::top(&before);
        let top = self.lower.map_or(top, |lower| lower.max(top));
        let read = self.descend(None, Some(top), false).await;
        self.reached = Some(before.reached);
        self.topped = before.topped;
        if let Err(ended) = read {
            self.keep(&ended, before.cursor.as_deref()).await?;
            return Err(ended);
        }
        self.topped = Some(self.reader.job.ask.now);
        self.commit(before.cursor.clone()).await?;
        let went_on = match &before.cursor {
            Some(cursor) => {
                self.descend(Some((cursor.clone(), before.reached)), self.lower, true)
                    .await?
            }
            None => Outcome::Astray,
        };
        if let Outcome::Astray = went_on {
            self.reader
                .notice("the cursor of the unfinished scan is not good any more; scanning again from the newest row");
            self.reached = None;
            self.descend(None, self.lower, true).await?;
        }
        Ok(())
    }

    /// Follows one chain of pages down to `lower`; commits on the way if asked to.
    async fn descend(
        &mut self,
        from: Option<(String, Timestamp)>,
        lower: Option<Timestamp>,
        commits: bool,
    ) -> Result<Outcome, Ended> {
        let request = Request::of(&self.reader.job.stream, None);
        let (request, mut ceiling) = match from {
            Some((cursor, reached)) => (request.starting_at(cursor), Some(reached)),
            None => (request, None),
        };
        let mut chain = self.reader.chain(request, None);
        loop {
            let page = match self.page(&mut chain, ceiling).await {
                Ok(page) => page,
                Err(Ended::Fetch(FetchError::Refused(_) | FetchError::NotFound(_))) if ceiling.is_some() => {
                    return Ok(Outcome::Astray);
                }
                Err(ended) => {
                    if commits {
                        self.keep(&ended, chain.cursor()).await?;
                    }
                    return Err(ended);
                }
            };
            // An old cursor that leads to nothing at all has expired; a good one would have served a row.
            let Some(page) = page else {
                return Ok(if ceiling.is_some() {
                    Outcome::Astray
                } else {
                    Outcome::Done
                });
            };
            if let Some(newest) = page.newest
                && ceiling.take().is_some_and(|ceiling| newest > ceiling)
            {
                return Ok(Outcome::Astray);
            }
            let before = self.reached;
            if commits {
                self.reached = page.last.or(self.reached);
            }
            let below = |bound: Timestamp| page.newest.is_some_and(|newest| newest < bound);
            if lower.is_some_and(below) {
                return Ok(Outcome::Done);
            }
            // A page without a row leaves nothing to commit, however many of them there are.
            if commits && page.last.is_some() && self.due(before) {
                self.commit(chain.cursor().map(str::to_owned)).await?;
            }
        }
    }

    async fn page(&mut self, chain: &mut Chain, ceiling: Option<Timestamp>) -> Result<Option<PageFacts>, Ended> {
        let page = chain.next(&self.buffer).await;
        match page {
            // A cursor that does not lead anywhere may answer anything the API calls an error.
            Err(Ended::Fetch(error @ (FetchError::Unanswered(_) | FetchError::Failed(_)))) if ceiling.is_some() => Err(
                Ended::Fetch(FetchError::Refused(crate::error::Error::from(error).chain())),
            ),
            other => other,
        }
    }

    /// Whether it is time to commit; a full-table run waits for the end of a day, so that few keys need remembering.
    fn due(&self, before: Option<Timestamp>) -> bool {
        let settings = &self.reader.run.settings;
        let day_ended = before.map(day_of) != self.reached.map(day_of);
        self.committed.elapsed() >= settings.commit_every && (self.full.is_none() || day_ended)
    }

    /// Lays in what was read so far and keeps where the scan has got to.
    async fn commit(&mut self, cursor: Option<String>) -> Result<(), Ended> {
        let Some(reached) = self.reached else {
            return Ok(());
        };
        let fetched = self.take().await?;
        let progress = self.progress(reached, cursor);
        self.lay(&fetched, End::Under(progress)).await
    }

    /// Lays in what was read before a stop, so that short runs get on too, if that is soon done; a full-table run goes back to the end of
    /// a day instead.
    async fn keep(&mut self, ended: &Ended, cursor: Option<&str>) -> Result<(), Ended> {
        match ended {
            Ended::Stopped if self.full.is_none() => {
                self.keeps = true;
                let kept = tokio::time::timeout(GRACE, self.commit(cursor.map(str::to_owned)));
                // What is cut off here is as after a kill: the next run adopts it.
                kept.await.unwrap_or(Ok(()))
            }
            _ => Ok(()),
        }
    }

    fn progress(&self, reached: Timestamp, cursor: Option<String>) -> ScanProgress {
        ScanProgress {
            upper: self.upper,
            lower: self.lower,
            reached,
            cursor,
            topped: self.topped,
        }
    }

    async fn take(&mut self) -> Result<Arc<Fetched>, Ended> {
        let buffer = std::mem::replace(&mut self.buffer, self.reader.buffer()?);
        Ok(drain(&self.reader, buffer).await?)
    }

    /// Merges `fetched`; `end` says where the scan stands.
    async fn lay(&mut self, fetched: &Arc<Fetched>, end: End<'_>) -> Result<(), Ended> {
        let state = self.table.state().await;
        let progress = match &end {
            End::Under(progress) => Some(progress.clone()),
            End::Through(_) => None,
        };
        let reached = progress.as_ref().map(|progress| day_of(progress.reached));
        let work = self.work(fetched, &state, reached);
        let proven: HashSet<Date> = work
            .iter()
            .filter(|work| work.proof.is_some())
            .filter_map(|work| work.day)
            .collect();
        let merged = if self.keeps {
            merge_despite_stop(&self.table, work).await?
        } else {
            merge_all(&self.table, work).await?
        };
        let promised = self.promised();
        if let Some(full) = &mut self.full {
            full.scan = progress.clone();
            full.fetched += fetched.rows();
            full.rejected = self.rejected_before + self.reader.tally.counts().rows.rejected;
            if let Some(window) = removal_window(promised, full) {
                note(full, fetched, &proven, window)?;
            }
            let passed = |path: &str| layout::partition_date(path).is_some_and(|day| proven.contains(&day));
            for one in merged.iter().filter(|one| passed(&one.path)) {
                candidates(full, &one.path, &one.outcome.unfetched);
            }
        }
        let emptied = emptied(&merged);
        let full = self.full.clone();
        let ask = self.reader.job.ask;
        let retention = retention(&self.reader.job);
        let upper = self.upper;
        let through = matches!(end, End::Through(_));
        let edit = move |state: &mut TableState| {
            enter(state, &merged);
            if full.is_none() {
                state.scan = progress;
            }
            state.full_table = full;
            if let End::Through(plan) = end {
                state.scan = None;
                read_through(state, plan, upper, ask.now, retention);
            }
        };
        if through {
            self.table.draft(edit).await;
        } else {
            self.table.commit(edit).await?;
        }
        self.reader.tally.counts().drafted = through;
        self.table.remove(emptied).await?;
        self.committed = Instant::now();
        self.reader.tally.counts().committed |= !through;
        if let Some(reached) = self.reached {
            (self.reader.run.listener)(RunEvent::Committed {
                stream: self.reader.job.stream.stream.clone(),
                what: format!("back to {}", day_of(reached)),
                days: None,
            });
        }
        Ok(())
    }

    /// Upserts for every fetched partition, and a look at the stored days that were passed; in a full-table run with proof for
    /// each day that was passed whole just now.
    fn work(&self, fetched: &Arc<Fetched>, state: &TableState, reached: Option<Date>) -> Vec<Work> {
        let mut work = Work::upsert(fetched, None);
        let touched: HashSet<Option<Date>> = work.iter().map(|work| work.day).collect();
        let end = reached.unwrap_or_else(|| day_of(self.lower.unwrap_or_else(|| self.promised())));
        let stored = state.partitions.keys().filter_map(|path| layout::partition_date(path));
        let passed = stored.filter(|day| *day >= end && !touched.contains(&Some(*day)));
        work.extend(passed.map(|day| Work::revisit(fetched, Some(day), None)));
        let window = self
            .full
            .as_ref()
            .and_then(|full| removal_window(self.promised(), full));
        if let (Some(full), Some(window)) = (&self.full, window) {
            let proof = Arc::new(Proof {
                window: Some(window),
                transactional_ids: None,
            });
            for one in &mut work {
                one.proof = one
                    .day
                    .filter(|day| newly_passed(full, window, reached, *day))
                    .map(|_| Arc::clone(&proof));
            }
        }
        work
    }

    /// What the API promises to serve by now begins here; it has moved on while the scan went on.
    fn promised(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        let now = self.reader.job.ask.now.saturating_add(passed).unwrap_or(Timestamp::MAX);
        now.saturating_sub(retention(&self.reader.job))
            .unwrap_or(Timestamp::MIN)
    }

    /// Everything was read: lays in the rest, moves the mark, and takes away what is not served any more.
    async fn finish(mut self, plan: &ScanPlan) -> Result<(), Ended> {
        let fetched = self.take().await?;
        self.lay(&fetched, End::Through(plan)).await?;
        if let Some(lost) = plan.lost {
            let text = format!(
                "what happened from {} to {} may not be served any more; the manifest lists it as a gap",
                lost.from, lost.to
            );
            self.reader.tally.counts().gaps.push(text);
        }
        if let Some(full) = &self.full {
            let completed = remove(&self.table, full).await?;
            self.table.commit(|state| state.full_table = None).await?;
            self.reader.tally.counts().full_synced = completed;
        }
        Ok(())
    }
}

/// Where a scan stands when rows are laid in.
enum End<'a> {
    /// Still under way.
    Under(ScanProgress),
    /// Everything was read.
    Through(&'a ScanPlan),
}

/// The scan has reached its bound: the mark moves, and what it covers is covered.
fn read_through(state: &mut TableState, plan: &ScanPlan, upper: Timestamp, now: Timestamp, retention: SignedDuration) {
    let promised = now.saturating_sub(retention).unwrap_or(Timestamp::MIN);
    let from = plan.lower.map_or(promised, |lower| lower.max(promised));
    if let Some(window) = Window::new(from, now) {
        state.coverage.add(window, &[]);
    }
    state.gaps.extend(plan.lost.map(|lost| Gap {
        from: lost.from,
        to: lost.to,
        reason: "older than the API promises to serve".to_owned(),
    }));
    state.asked_since = Some(state.asked_since.map_or(from, |before| before.min(from)));
    // A scan that ended above the mark leaves a stretch unread; the mark waits for a run that reads it.
    let joins = plan
        .lower
        .is_none_or(|lower| state.mark.is_none_or(|mark| lower <= mark));
    if joins {
        state.advance_mark(upper);
    }
}

fn retention(job: &Job) -> SignedDuration {
    match job.stream.sync {
        Shape::Scan { retention_days, .. } => days(retention_days),
        _ => SignedDuration::ZERO,
    }
}
