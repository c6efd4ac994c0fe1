//! Parts into the table: merged, published, entered, and at the end of a full-table run what is not served any more taken away.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::mpsc;

use super::read::ReadPart;
use crate::columnar::Proof;
use crate::error::{Error, Result};
use crate::manifest::{FullTable, SyncMode, TableState};
use crate::plan;
use crate::run::committer::{Merged, Work, emptied, enter, merge_all};
use crate::run::event::RunEvent;
use crate::run::parents::Parents;
use crate::run::pipeline::{Ended, Reader};
use crate::run::removal::{remove, spare, speak_against};
use crate::run::settings::Job;
use crate::run::table::Table;
use crate::storage::layout;
use crate::stream::{Window, day_of};

/// Lays parts into the table, in the order in which they come.
pub struct Committer {
    reader: Arc<Reader>,
    table: Arc<Table>,
    parents: Arc<Parents>,
    since: Timestamp,
    full: Option<FullTable>,
    /// Whether any message was read in any window, if only in part.
    answered: bool,
    /// Whether all messages were asked for in any window.
    whole: bool,
    /// When the last version was created that holds a window.
    committed: Instant,
}

impl Committer {
    /// A committer that has laid nothing in; `since` is the beginning of the range asked for.
    pub fn new(
        reader: &Arc<Reader>,
        table: &Arc<Table>,
        parents: &Arc<Parents>,
        state: &TableState,
        since: Timestamp,
    ) -> Self {
        let full = (reader.job.sync == SyncMode::FullTable).then(|| progress(&reader.job, state, since));
        Self {
            reader: Arc::clone(reader),
            table: Arc::clone(table),
            parents: Arc::clone(parents),
            since,
            full,
            answered: false,
            whole: false,
            committed: Instant::now(),
        }
    }

    /// Commits every part that comes.
    ///
    /// # Errors
    /// What ends the stream; what was committed stays.
    pub async fn commit_all(mut self, mut parts: mpsc::Receiver<ReadPart>) -> Result<Self, Ended> {
        while let Some(read) = parts.recv().await {
            self.commit(read).await?;
        }
        Ok(self)
    }

    async fn commit(&mut self, read: ReadPart) -> Result<(), Ended> {
        let window = read.window;
        // Messages that are gone are asked for in every window in which they were never read; that they still are is no news.
        if !read.whole && read.answers.read().is_empty() && read.fetched.rows() == 0 {
            return Ok(());
        }
        self.whole |= read.whole;
        let proof = self.full.is_some().then(|| {
            Arc::new(Proof {
                window: Some(window),
                transactional_ids: Some(read.answers.proven()),
            })
        });
        let mut work = Work::upsert(&read.fetched, proof.as_ref());
        if proof.is_some() || read.fetched.rows() > 0 {
            let days: HashSet<Option<Date>> = work.iter().map(|work| work.day).collect();
            let stored = stored_days(&self.table.state().await, window).into_iter().map(Some);
            let untouched = stored.filter(|day| !days.contains(day));
            work.extend(untouched.map(|day| Work::revisit(&read.fetched, day, proof.as_ref())));
        }
        let merged = merge_all(&self.table, work).await?;
        if let Some(full) = &mut self.full {
            for one in &merged {
                spare(&mut full.candidates, &one.path, &read.fetched)?;
                if !one.outcome.unfetched.is_empty() {
                    speak_against(full, &one.path, one.outcome.unfetched.clone());
                }
            }
            full.done.add(window, &[]);
            full.fetched += read.fetched.rows();
        }
        let emptied = emptied(&merged);
        let (unread, answered) = (read.answers.unread(), read.answers.read());
        self.answered |= !answered.is_empty() || read.fetched.rows() > 0;
        let (since, full) = (self.since, self.full.clone());
        let remembered = self.parents.remember(&self.parents.gone);
        let changed = merged.iter().any(Merged::changed);
        let edit = move |state: &mut TableState| {
            enter(state, &merged);
            if read.whole {
                state.coverage.add(window, &unread);
            } else {
                state.coverage.read(window, &answered);
            }
            state.transactional_messages = remembered;
            state.asked_since = Some(state.asked_since.map_or(since, |before| before.min(since)));
            // A hole that lies before the mark does not hold it up; and what lies after this window is still to be read again.
            for from in [state.asked_since, state.mark].into_iter().flatten() {
                let end = state.coverage.contiguous_end(from).map(|end| end.min(window.to));
                state.mark = state.mark.max(end);
            }
            state.full_table = full;
        };
        // A window in which nothing has changed is worth a version of its own only when asking for it again would cost much.
        if changed || self.committed.elapsed() >= self.reader.run.settings.commit_every {
            self.table.commit(edit).await?;
            self.committed = Instant::now();
            self.reader.tally.counts().committed |= self.answered;
        } else {
            self.table.draft(edit).await;
            self.reader.tally.counts().drafted |= self.answered;
        }
        self.table.remove(emptied).await?;
        (self.reader.run.listener)(RunEvent::Committed {
            stream: self.reader.job.stream.stream.clone(),
            what: format!("{} to {}", day_of(window.from), day_of(window.to)),
            days: Some(window.days()),
        });
        Ok(())
    }

    /// Everything was read: takes away what is not served any more, and remembers whom to ask next time.
    ///
    /// # Errors
    /// What ends the stream; API, when no message could be read at all.
    pub async fn finish(self) -> Result<(), Ended> {
        // What is refused for every message is no gap of one of them.
        let (refused, missing) = {
            let counts = self.reader.tally.counts();
            (counts.refused.len(), counts.missing.clone())
        };
        if refused > 0 && self.whole && !self.answered {
            let text =
                format!("none of {refused} transactional messages could be read in any window; see why, and run again");
            return Err(Error::api(text).into());
        }
        let completed = match &self.full {
            Some(full) => remove(&self.table, full).await?,
            None => false,
        };
        let remembered = self.parents.remember(&missing);
        let draft = self.table.draft(|state| {
            state.transactional_messages = remembered;
            state.full_table = None;
        });
        draft.await;
        let mut counts = self.reader.tally.counts();
        counts.drafted = true;
        counts.full_synced = completed;
        Ok(())
    }
}

/// The progress to go on with, or a new one.
fn progress(job: &Job, state: &TableState, since: Timestamp) -> FullTable {
    let before = state.full_table.clone();
    let fits = before.filter(|full| plan::same_range(full, &job.ask, since));
    let until = job.ask.until.map(plan::ceil_day);
    fits.unwrap_or_else(|| FullTable::begin(job.ask.now, Some(since), until, state.rows()))
}

/// The days inside `window` for which something is stored.
fn stored_days(state: &TableState, window: Window) -> Vec<Date> {
    let days = state.partitions.keys().filter_map(|path| layout::partition_date(path));
    days.filter(|day| day_of(window.from) <= *day && *day <= day_of(window.to))
        .collect()
}
