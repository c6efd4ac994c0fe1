//! One stream from its first request to the last version of its table.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::context::Run;
use super::event::RunEvent;
use super::knock::{Knocked, knock};
use super::lists::Lists;
use super::pipeline::{Ended, Reader};
use super::report::{SetAside, Status, StreamReport};
use super::settings::Job;
use super::silence::WITNESSES;
use super::table::Table;
use super::tally::Tally;
use super::{adopt, list, scan, snapshot, windows};
use crate::error::{Error, ErrorKind};
use crate::manifest::{RunRecord, TableState};
use crate::storage::layout;
use crate::stream::{Shape, days};

/// One stream on its way through the run.
pub struct Lane {
    /// Reads its pages.
    pub reader: Arc<Reader>,
    /// The transactional messages that the API lists, for streams that ask each of them.
    listed: Vec<i64>,
    /// How the first request ended, if not well.
    pub refused: Option<Error>,
}

impl Lane {
    /// A stream that nothing was asked of yet.
    pub fn new(run: &Arc<Run>, job: &Job) -> Self {
        let tally = Arc::new(Tally::default());
        Self {
            reader: Arc::new(Reader::new(Arc::clone(run), job.clone(), tally)),
            listed: Vec::new(),
            refused: None,
        }
    }

    /// Finds out whether the stream may be read, and what the list it depends on holds.
    pub async fn knock(&mut self, lists: &Lists) {
        let reader = &self.reader;
        let stream = &reader.job.stream;
        if let Some(each) = &stream.fetch.each
            && let Some(Ok(listed)) = lists.get(each)
        {
            self.listed.clone_from(&listed.ids);
            let mut counts = reader.tally.counts();
            counts.gaps.extend(listed.gap(each));
            counts.witnesses = listed.ids.iter().copied().take(WITNESSES).collect();
        }
        match knock(&reader.run.source, stream, lists, &reader.meter).await {
            Ok(Knocked::Served | Knocked::NobodyToAsk) => {}
            Ok(Knocked::ServedButFor { id, told }) => _ = reader.tally.counts().silent.insert(id, told),
            Err(error) => self.refused = Some(error),
        }
    }

    /// Exports beside the other streams; a panic ends this stream only.
    pub async fn spawn(self: Arc<Self>, table: Option<Arc<Table>>) -> StreamReport {
        let lane = Arc::clone(&self);
        let held = table.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move { lane.export(held).await }));
        let panic = match task.await {
            Ok(report) => return report,
            Err(panic) => Error::internal("the stream's task panicked; please report what it printed").caused_by(panic),
        };
        if let Some(table) = table {
            if let Err(error) = table.give_back(Status::Failed).await {
                tracing::warn!(error = %error.chain(), "cannot give the claim back");
            }
            table.committed().await;
        }
        self.report(Err(panic.into()), None)
    }

    async fn export(&self, table: Option<Arc<Table>>) -> StreamReport {
        let report = match (table, &self.refused) {
            (Some(table), None) => self.export_into(&table).await,
            (_, Some(refused)) => self.report(Err(restated(refused).into()), None),
            (None, None) => self.report(Ok(()), None),
        };
        (self.reader.run.listener)(RunEvent::Ended(Box::new(report.clone())));
        report
    }

    async fn export_into(&self, table: &Arc<Table>) -> StreamReport {
        let started = Timestamp::now();
        let outcome = self.work(table).await;
        if matches!(&outcome, Err(Ended::Failed(error)) if error.kind() == ErrorKind::Held) {
            return self.report(outcome, Some(&table.committed().await));
        }
        let report = self.report(outcome, Some(&table.state().await));
        let record = self.record(&report, started);
        let full_synced = self.reader.tally.counts().full_synced && self.reader.run.settings.whole_range;
        let released = table.release(|state| {
            state.sync = Some(self.reader.job.sync);
            if full_synced {
                state.full_synced = state.full_synced.max(Some(self.reader.job.ask.now));
            }
            state.record(record);
        });
        match released.await {
            Ok(()) => report,
            // Why the stream ended says more than that its claim could not be given back either, unless that was lost: whoever took
            // the table over took the files away that this run failed without.
            Err(error) if report.status == Status::Failed && error.kind() != ErrorKind::Held => {
                tracing::warn!(error = %error.chain(), "cannot give the claim back");
                let state = table.committed().await;
                resting_on(&state, self.reader.tally.counts().committed, report)
            }
            Err(error) => self.report(Err(error.into()), Some(&table.committed().await)),
        }
    }

    async fn work(&self, table: &Arc<Table>) -> Result<(), Ended> {
        let reader = &self.reader;
        let settled = adopt::settle(table).await?;
        settled.notices.into_iter().for_each(|text| reader.notice(text));
        reader.tally.counts().gaps.extend(settled.gaps);
        let now = reader.job.ask.now;
        let tomorrow = now.saturating_add(days(1)).unwrap_or(now);
        if let Some(mark) = table.state().await.mark.filter(|mark| *mark > tomorrow) {
            reader.notice(format!(
                "the mark {mark} lies after this run's now, {now}: an earlier run was told a later one, or its clock was wrong; --since brings what it has left out"
            ));
        }
        match reader.job.stream.sync {
            Shape::List => list::export(reader, table).await,
            Shape::Scan { .. } => scan::export(reader, table).await,
            Shape::Snapshot => snapshot::export(reader, table, &self.listed).await,
            Shape::Windows { .. } => windows::export(reader, table, &self.listed).await,
        }
    }

    fn record(&self, report: &StreamReport, started: Timestamp) -> RunRecord {
        RunRecord {
            run: self.reader.run.settings.run.clone(),
            started,
            ended: Timestamp::now(),
            sync: report.sync,
            requests: report.requests,
            retries: report.retries,
            rows: report.rows,
            outcome: report.status.name().to_owned(),
        }
    }

    /// What became of the stream, given how it ended and what the manifest says.
    pub fn report(&self, outcome: Result<(), Ended>, state: Option<&TableState>) -> StreamReport {
        let job = &self.reader.job;
        let counts = self.reader.tally.counts().clone();
        let (status, error) = match outcome {
            Ok(()) if counts.has_gaps() => (Status::Gaps, None),
            Ok(()) => (Status::Complete, None),
            Err(Ended::Stopped) => (Status::Stopped, None),
            Err(Ended::Fetch(error)) => ended(error.into()),
            Err(Ended::Failed(error)) => ended(error),
        };
        let mut told = counts.gaps.clone();
        let set_aside = SetAside {
            new: counts.newly_rejected(),
            total: state.map_or(0, |state| state.rejected) + counts.to_enter().0.rejected,
            folder: layout::rejected_folder(&job.table),
        };
        if set_aside.new > 0 {
            told.push(format!(
                "{} rows were set aside under {}",
                set_aside.new, set_aside.folder
            ));
        }
        told.extend(error.as_ref().map(Error::chain));
        StreamReport {
            stream: job.stream.stream.clone(),
            table: job.table.clone(),
            sync: job.sync,
            status,
            rows: counts.rows,
            requests: self.reader.meter.requests(),
            retries: self.reader.meter.retries(),
            mark: state.and_then(|state| state.mark),
            coverage: state.map(windows).unwrap_or_default(),
            drift: counts.drift(state, job.ask.now),
            set_aside,
            error: (!told.is_empty()).then(|| told.join("; ")),
            kind: error.map(|error| error.kind()),
            committed: counts.committed || counts.drafted,
        }
    }
}

/// The report of a stream whose last version could not be created: what was to stand in it does not hold.
fn resting_on(state: &TableState, committed: bool, report: StreamReport) -> StreamReport {
    StreamReport {
        mark: state.mark,
        coverage: windows(state),
        committed,
        ..report
    }
}

fn windows(state: &TableState) -> Vec<[Timestamp; 2]> {
    let windows = state.coverage.windows().iter();
    windows.map(|covered| [covered.from, covered.to]).collect()
}

fn ended(error: Error) -> (Status, Option<Error>) {
    let status = match error.kind() {
        ErrorKind::Forbidden => Status::Forbidden,
        ErrorKind::Held => Status::Held,
        _ => Status::Failed,
    };
    (status, Some(error))
}

/// The same error for another stream; a cause cannot be shared, but it can be told twice.
pub fn restated(error: &Error) -> Error {
    Error::new(error.kind(), error.chain())
}
