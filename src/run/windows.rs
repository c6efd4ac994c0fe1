//! Time windows of each transactional message: read side by side, committed oldest first.
//!
//! ```text
//! tasks (window x message) --concurrency--> chains of pages --> one buffer a window --> committer --> version
//! ```
//! While one window is merged the next ones are read, so that the limiter never waits for the disk.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::committer::{Merged, Work, emptied, enter, merge_all};
use super::event::RunEvent;
use super::parents::Parents;
use super::pipeline::{Ended, Reader, SharedBuffer, drain};
use super::removal::{remove, spare};
use super::settings::Job;
use super::table::Table;
use crate::columnar::{Fetched, Proof};
use crate::error::{Error, Result};
use crate::manifest::{FullTable, SyncMode, TableState};
use crate::plan::{self, WindowTask};
use crate::source::{FetchError, Request};
use crate::storage::layout;
use crate::stream::{Window, day_of};

/// Windows that are read at once; more would only hold more rows in memory.
const OPEN_WINDOWS: usize = 3;

/// A window whose messages were all asked.
struct ReadWindow {
    window: Window,
    whole: bool,
    fetched: Arc<Fetched>,
    answers: Answers,
    _open: OwnedSemaphorePermit,
}

/// The messages of a window by what they answered.
#[derive(Default)]
struct Answers {
    /// Read to the end.
    read: HashSet<i64>,
    /// Of those, the ones of which every row could be read: only they prove what is not served any more.
    proven: HashSet<i64>,
    /// Not read.
    unread: HashSet<i64>,
}

/// What one message answered in one window.
enum Answer {
    /// To the end; some rows may have been set aside.
    Read {
        rejected: usize,
    },
    Missing,
    Unreadable(Error),
}

/// Exports a stream of windows into its table.
///
/// # Errors
/// Whatever ends the stream early; committed windows stay.
pub async fn export(reader: &Arc<Reader>, table: &Arc<Table>, listed: &[i64]) -> Result<(), Ended> {
    let job = &reader.job;
    let parents = Arc::new(Parents::new(listed, &table.state().await));
    let state = owe_newcomers(table, &parents).await?;
    let plan = plan::windows(&job.stream, job.sync, &job.ask, &state);
    if plan.until <= plan.since {
        reader.notice(format!(
            "nothing lies between {} and {}; nothing was asked for",
            plan.since, plan.until
        ));
    }
    let units = plan.tasks.len() as u64;
    (reader.run.listener)(RunEvent::Started {
        stream: job.stream.stream.clone(),
        units: Some(units),
    });
    let (sender, receiver) = mpsc::channel(1);
    let mut read = pin!(read_all(reader, &parents, plan.tasks, sender));
    let mut commit = pin!(Committer::new(reader, table, &parents, &state, plan.since).commit_all(receiver));
    // A commit under way is always waited for, a read never: half a commit would leave the writer in doubt.
    let (committer, missing) = tokio::select! {
        committed = &mut commit => (committed?, read.await?),
        read = &mut read => (commit.await?, read?),
    };
    committer.finish(&missing).await
}

/// A window was complete for the messages known when it was read: one that is known only now is owed in all of them.
async fn owe_newcomers(table: &Arc<Table>, parents: &Parents) -> Result<TableState> {
    let state = table.state().await;
    let known: HashSet<i64> = state.transactional_messages.iter().map(|known| known.id).collect();
    let newcomers: Vec<i64> = parents.ids.iter().copied().filter(|id| !known.contains(id)).collect();
    if newcomers.is_empty() || (state.coverage.is_empty() && state.full_table.is_none()) {
        return Ok(state);
    }
    let remembered = parents.remember(&parents.gone);
    let commit = table.commit(|state| {
        state.coverage.owe(&newcomers);
        // What an unfinished full-table run has proven, it has proven without them.
        state.full_table = None;
        state.transactional_messages = remembered;
    });
    commit.await?;
    Ok(table.state().await)
}

/// Reads every task in order, some of them at once; answers the messages that answered 404.
async fn read_all(
    reader: &Arc<Reader>,
    parents: &Arc<Parents>,
    tasks: Vec<WindowTask>,
    windows: mpsc::Sender<ReadWindow>,
) -> Result<HashSet<i64>, Ended> {
    let open = Arc::new(Semaphore::new(OPEN_WINDOWS));
    let missing = Arc::new(Mutex::new(HashSet::new()));
    let reads = futures::stream::iter(tasks).then(|task| {
        let open = Arc::clone(&open);
        async move { (task, open.acquire_owned().await) }
    });
    let reads = reads.map(|(task, permit)| {
        let permit = permit.map_err(|e| Ended::Failed(Error::internal("the window gate is closed").caused_by(e)));
        let read = read_window(Arc::clone(reader), Arc::clone(parents), task, Arc::clone(&missing));
        async move {
            let permit = permit?;
            let handle = AbortOnDropHandle::new(tokio::spawn(read));
            let window = handle.await;
            let window = window.map_err(|e| Error::internal("a reading task panicked").caused_by(e))??;
            Ok::<_, Ended>((window, permit))
        }
    });
    let mut reads = pin!(reads.buffered(OPEN_WINDOWS));
    while let Some(((window, whole, fetched, answers), permit)) = reads.try_next().await? {
        let read = ReadWindow {
            window,
            whole,
            fetched,
            answers,
            _open: permit,
        };
        if windows.send(read).await.is_err() {
            // The committer has ended with an error that is told instead.
            return Ok(HashSet::new());
        }
    }
    let missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(missing.clone())
}

type WindowRows = (Window, bool, Arc<Fetched>, Answers);

/// Asks every message of `task`, as many at once as the run allows.
async fn read_window(
    reader: Arc<Reader>,
    parents: Arc<Parents>,
    task: WindowTask,
    missing: Arc<Mutex<HashSet<i64>>>,
) -> Result<WindowRows, Ended> {
    let buffer = reader.buffer()?;
    let whole = task.only.is_none();
    let ids = task.only.unwrap_or_else(|| parents.ids.clone());
    let window = task.window;
    let shared = (Arc::clone(&reader), Arc::clone(&buffer), Arc::clone(&missing));
    let answers = futures::stream::iter(ids).map(move |id| {
        let (reader, buffer, missing) = shared.clone();
        let ask = async move {
            // One 404 speaks for every window of the run.
            let known = missing.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
            let answer = if known {
                Answer::Missing
            } else {
                ask(&reader, id, window, &buffer).await?
            };
            Ok::<_, Ended>((id, answer))
        };
        let handle = AbortOnDropHandle::new(tokio::spawn(ask));
        async move {
            handle
                .await
                .map_err(|e| Error::internal("a reading task panicked").caused_by(e))?
        }
    });
    let mut answers = pin!(answers.buffer_unordered(reader.run.settings.concurrency));
    let (mut sorted, mut refused) = (Answers::default(), Vec::new());
    while let Some((id, answer)) = answers.try_next().await? {
        match answer {
            Answer::Read { rejected } => {
                sorted.read.insert(id);
                if rejected == 0 {
                    sorted.proven.insert(id);
                }
            }
            Answer::Missing => {
                let first = missing.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                if let Some(text) = parents.tell_missing(id).filter(|_| first) {
                    reader.tally.counts().gaps.push(text);
                }
                sorted.unread.insert(id);
            }
            Answer::Unreadable(why) => {
                sorted.unread.insert(id);
                refused.push((id, why));
            }
        }
    }
    tell_refused(&reader, refused);
    let fetched = drain(&reader, buffer).await?;
    Ok((window, whole, fetched, sorted))
}

/// One sentence a message, however many windows it is not read in.
fn tell_refused(reader: &Reader, refused: Vec<(i64, Error)>) {
    let mut counts = reader.tally.counts();
    for (id, why) in refused {
        if counts.refused.insert(id) {
            counts.gaps.push(why.chain());
        }
    }
}

async fn ask(reader: &Arc<Reader>, id: i64, window: Window, buffer: &SharedBuffer) -> Result<Answer, Ended> {
    let request = Request::of(&reader.job.stream, Some(id)).between(window);
    let mut chain = reader.chain(request, Some(id));
    let mut rejected = 0;
    loop {
        match chain.next(buffer).await {
            Ok(Some(page)) => rejected += page.rejected,
            Ok(None) => return Ok(Answer::Read { rejected }),
            Err(Ended::Fetch(FetchError::NotFound(_))) => return Ok(Answer::Missing),
            Err(Ended::Fetch(error @ (FetchError::Refused(_) | FetchError::Forbidden(_)))) => {
                return Ok(Answer::Unreadable(error.into()));
            }
            Err(ended) => return Err(ended),
        }
    }
}

/// Lays windows into the table, in the order in which they come.
struct Committer {
    reader: Arc<Reader>,
    table: Arc<Table>,
    parents: Arc<Parents>,
    since: Timestamp,
    full: Option<FullTable>,
    /// Whether any message was read in any window, if only in part.
    answered: bool,
    /// When the last version was created that holds a window.
    committed: Instant,
}

impl Committer {
    fn new(
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
            committed: Instant::now(),
        }
    }

    async fn commit_all(mut self, mut windows: mpsc::Receiver<ReadWindow>) -> Result<Self, Ended> {
        while let Some(read) = windows.recv().await {
            self.commit(read).await?;
        }
        Ok(self)
    }

    async fn commit(&mut self, read: ReadWindow) -> Result<(), Ended> {
        let window = read.window;
        // Messages that are gone are asked for in every window in which they were never read; that they still are is no news.
        if !read.whole && read.answers.read.is_empty() && read.fetched.rows() == 0 {
            return Ok(());
        }
        let proof = self.full.is_some().then(|| {
            Arc::new(Proof {
                window: Some(window),
                transactional_ids: Some(read.answers.proven),
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
                let keys = full.candidates.entry(one.path.clone()).or_default();
                keys.extend(one.outcome.unfetched.iter().cloned());
            }
            full.candidates.retain(|_, keys| !keys.is_empty());
            full.done.add(window, &[]);
            full.fetched += read.fetched.rows();
        }
        let emptied = emptied(&merged);
        let unread: Vec<i64> = read.answers.unread.into_iter().collect();
        let answered: Vec<i64> = read.answers.read.into_iter().collect();
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
            state.mark = state
                .mark
                .max(state.asked_since.and_then(|start| state.coverage.contiguous_end(start)));
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
        });
        Ok(())
    }

    /// Everything was read: takes away what is not served any more, and remembers whom to ask next time.
    async fn finish(self, missing: &HashSet<i64>) -> Result<(), Ended> {
        // What is refused for every message is no gap of one of them.
        let refused = self.reader.tally.counts().refused.len();
        if refused > 0 && !self.answered {
            let text =
                format!("none of {refused} transactional messages could be read in any window; see why, and run again");
            return Err(Error::api(text).into());
        }
        if let Some(full) = &self.full {
            remove(&self.table, full).await?;
        }
        let remembered = self.parents.remember(missing);
        let draft = self.table.draft(|state| {
            state.transactional_messages = remembered;
            state.full_table = None;
        });
        draft.await;
        self.reader.tally.counts().drafted = true;
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
