//! A run from beginning to end: rights, claims, the streams side by side, the claims given back.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::datatypes::Int64Type;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::adopt;
use super::budget::Budget;
use super::cpu::Cpu;
use super::event::{Listener, RunEvent};
use super::pipeline::{Ended, Reader};
use super::report::{RunReport, Status, StreamReport};
use super::settings::{Job, RunSettings};
use super::stop::Stop;
use super::table::{Opened, Table, held};
use super::tally::Tally;
use super::{list, scan, snapshot, windows};
use crate::columnar::{PageContext, PageDecoder, PageError};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{DriftNote, RunRecord, TableState};
use crate::source::{FetchError, Meter, Request, Response, Source, Unreadable};
use crate::storage::Storage;
use crate::stream::{Catalog, Shape, Stream};

/// What the streams of a run share.
#[derive(Debug)]
pub struct Run {
    /// What to do.
    pub settings: RunSettings,
    /// Where rows come from.
    pub source: Source,
    /// Where they go.
    pub storage: Storage,
    /// Threads for plain work.
    pub cpu: Cpu,
    /// Memory by use.
    pub budget: Budget,
    /// Ends everything in good order.
    pub stop: Stop,
    /// Hears what happens.
    pub listener: ListenerSlot,
    /// Requests in flight at once, over all streams.
    pub flights: Semaphore,
    /// Partitions that are merged at once, over all streams: each holds an encoder's buffers.
    pub merges: Semaphore,
}

/// A listener that can be called like a function and printed.
pub struct ListenerSlot(pub Listener);

impl std::ops::Deref for ListenerSlot {
    type Target = dyn Fn(RunEvent) + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl std::fmt::Debug for ListenerSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

impl Run {
    /// The folder for spills of this run.
    pub fn spill_dir(&self) -> PathBuf {
        let temp_dir = self.settings.temp_dir.as_deref();
        self.storage.spill_dir(&self.settings.run, temp_dir)
    }
}

/// Exports every job of `settings`; never fails: the report says what became of each stream.
pub async fn run(settings: RunSettings, source: Source, storage: Storage, stop: Stop, listener: Listener) -> RunReport {
    let (run_id, now) = (settings.run.clone(), settings.now);
    match start(settings, source, storage, stop, listener) {
        Ok(run) => run.export().await,
        Err(error) => RunReport::ended_early(run_id, now, Vec::new(), &error),
    }
}

fn start(settings: RunSettings, source: Source, storage: Storage, stop: Stop, listener: Listener) -> Result<Arc<Run>> {
    let cpu = Cpu::start()?;
    Ok(Arc::new(Run {
        budget: Budget::new(settings.memory, settings.jobs.len()),
        flights: Semaphore::new(settings.concurrency),
        merges: Semaphore::new(cpu.threads()),
        listener: ListenerSlot(listener),
        settings,
        source,
        storage,
        cpu,
        stop,
    }))
}

/// The ids of each list that other streams ask one by one, by the list's name.
type Lists = Vec<(String, Result<Vec<i64>>)>;

/// One stream on its way through the run.
struct Lane {
    reader: Arc<Reader>,
    /// The transactional messages that the API lists, for streams that ask each of them.
    listed: Vec<i64>,
    /// How the first request ended, if not well.
    refused: Option<Error>,
}

impl Run {
    async fn export(self: Arc<Self>) -> RunReport {
        let early =
            |error: &Error| RunReport::ended_early(self.settings.run.clone(), self.settings.now, Vec::new(), error);
        let lanes = match self.stop.race(self.knock()).await {
            Ok(Ok(lanes)) => lanes,
            Ok(Err(error)) => return early(&error),
            Err(_) => return self.report(self.all_stopped()),
        };
        let refused = lanes.iter().filter_map(|lane| lane.refused.as_ref());
        if let Some(key) = refused.clone().find(|error| error.kind() == ErrorKind::Key) {
            return early(key);
        }
        if !lanes.is_empty()
            && refused.clone().count() == lanes.len()
            && refused.clone().all(|error| error.kind() == ErrorKind::Forbidden)
        {
            return self.forbidden(&lanes);
        }
        let tables = match self.claim(&lanes).await {
            Ok(tables) => tables,
            Err(error) => return early(&error),
        };
        let streams = lanes
            .into_iter()
            .zip(tables)
            .map(|(lane, table)| Arc::new(lane).spawn(table));
        let reports = futures::future::join_all(streams).await;
        if let Err(error) = self.storage.close_staging(&self.settings.run).await {
            tracing::warn!(error = %error.chain(), "cannot remove this run's staging folder; the next run does");
        }
        self.report(reports)
    }

    /// The key is good, but for nothing that was asked for.
    fn forbidden(&self, lanes: &[Lane]) -> RunReport {
        let refused = |lane: &Lane| {
            lane.refused
                .as_ref()
                .map_or(Ok(()), |error| Err(restated(error).into()))
        };
        let reports: Vec<StreamReport> = lanes.iter().map(|lane| lane.report(refused(lane), None)).collect();
        let first = reports
            .first()
            .and_then(|report| report.error.clone())
            .unwrap_or_default();
        RunReport {
            error: Some(format!("the key has no right to any stream asked for: {first}")),
            ..self.report(reports)
        }
    }

    fn report(&self, streams: Vec<StreamReport>) -> RunReport {
        let settings = &self.settings;
        RunReport::of(settings.run.clone(), settings.now, streams, self.stop.reason())
    }

    fn all_stopped(self: &Arc<Self>) -> Vec<StreamReport> {
        let lanes = self.settings.jobs.iter().map(|job| Lane::new(self, job));
        lanes.map(|lane| lane.report(Err(Ended::Stopped), None)).collect()
    }

    /// One cheap request a stream: the key, the region, the rights, and the list of transactional messages.
    async fn knock(self: &Arc<Self>) -> Result<Vec<Lane>> {
        self.source.locate().await?;
        let mut lanes: Vec<Lane> = self.settings.jobs.iter().map(|job| Lane::new(self, job)).collect();
        let lists = self.lists().await?;
        let knocks = lanes.iter_mut().map(|lane| lane.knock(&lists));
        futures::future::join_all(knocks).await;
        Ok(lanes)
    }

    /// The lists that other streams ask each row of, by name; read once.
    async fn lists(self: &Arc<Self>) -> Result<Lists> {
        let catalog = Catalog::load()?;
        let mut lists = Lists::new();
        for job in &self.settings.jobs {
            let Some(each) = &job.stream.fetch.each else { continue };
            if lists.iter().all(|(name, _)| name != each) {
                let ids = list_ids(self, &catalog.get(each)?).await;
                lists.push((each.clone(), ids));
            }
        }
        Ok(lists)
    }

    /// Claims the tables of every stream that may be read, in order of name; gives all of them back when one is held.
    async fn claim(self: &Arc<Self>, lanes: &[Lane]) -> Result<Vec<Option<Arc<Table>>>> {
        let settings = &self.settings;
        self.storage.sweep_staging(crate::storage::Owner::is_dead).await?;
        self.storage.open_staging(&settings.run, &settings.owner).await?;
        let mut order: Vec<usize> = (0..lanes.len()).filter(|lane| lanes[*lane].refused.is_none()).collect();
        order.sort_by_key(|lane| &lanes[*lane].reader.job.table);
        let mut tables: Vec<Option<Arc<Table>>> = vec![None; lanes.len()];
        for lane in order {
            let job = &lanes[lane].reader.job;
            let opened = Table::open(self, job).await;
            let refusal = match opened {
                Ok(Opened::Claimed(table)) => {
                    tables[lane] = Some(table);
                    continue;
                }
                Ok(Opened::Held(claim)) => held(&job.table, &claim),
                Err(error) => error,
            };
            for table in tables.iter().flatten() {
                table.release(|_| ()).await?;
            }
            self.storage.close_staging(&settings.run).await?;
            return Err(refusal);
        }
        Ok(tables)
    }
}

/// The same error for another stream; a cause cannot be shared, but it can be told twice.
fn restated(error: &Error) -> Error {
    Error::new(error.kind(), error.chain())
}

/// The ids that the list `stream` holds now.
async fn list_ids(run: &Arc<Run>, stream: &Arc<Stream>) -> Result<Vec<i64>> {
    let decoder = PageDecoder::new(Arc::clone(stream));
    let context = PageContext {
        transactional_id: None,
        requested_at: run.settings.now,
        period: None,
        steps: None,
    };
    let read = |response: Response| {
        let page = decoder.decode(&response.body, &context);
        let page = page.map(|page| (page.rows, page.next)).map_err(unreadable);
        async move { page }
    };
    let mut pages = run.source.pages(Request::of(stream, None), Meter::default());
    let mut ids = Vec::new();
    while let Some(rows) = pages.next(read).await? {
        let column = rows
            .column_by_name(&stream.key)
            .and_then(|column| column.as_primitive_opt::<Int64Type>());
        ids.extend(column.into_iter().flat_map(|column| column.iter().flatten()));
    }
    Ok(ids)
}

fn unreadable(error: PageError) -> Unreadable {
    match error {
        PageError::NotJson(reason) => Unreadable::NotJson(reason),
        PageError::MissingRows(reason) => Unreadable::Envelope(reason),
    }
}

impl Lane {
    fn new(run: &Arc<Run>, job: &Job) -> Self {
        let tally = Arc::new(Tally::default());
        Self {
            reader: Arc::new(Reader::new(Arc::clone(run), job.clone(), tally)),
            listed: Vec::new(),
            refused: None,
        }
    }

    /// Asks for one row, or takes what the list it depends on has answered.
    async fn knock(&mut self, lists: &Lists) {
        let stream = &self.reader.job.stream;
        let request = match &stream.fetch.each {
            None => Some(Request::of(stream, None)),
            Some(each) => match lists.iter().find(|(name, _)| name == each) {
                Some((_, Ok(ids))) => {
                    self.listed.clone_from(ids);
                    ids.first().map(|id| Request::of(stream, Some(*id)))
                }
                Some((_, Err(error))) => {
                    self.refused = Some(restated(error));
                    None
                }
                None => None,
            },
        };
        let Some(request) = request else { return };
        let request = if stream.fetch.paging.is_some() {
            request.with_limit(1)
        } else {
            request
        };
        let outcome = self
            .reader
            .run
            .source
            .fetch(&request, &self.reader.meter, |_| async { Ok(()) })
            .await;
        self.refused = match outcome {
            Ok(()) => None,
            // What one message answers says nothing about the right to read the others.
            Err(FetchError::NotFound(_) | FetchError::Refused(_)) if stream.fetch.each.is_some() => None,
            Err(error) => Some(error.into()),
        };
    }

    /// Exports beside the other streams; a panic ends this stream only.
    async fn spawn(self: Arc<Self>, table: Option<Arc<Table>>) -> StreamReport {
        let lane = Arc::clone(&self);
        let held = table.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move { lane.export(held).await }));
        let panic = match task.await {
            Ok(report) => return report,
            Err(panic) => Error::internal("the stream's task panicked; please report what it printed").caused_by(panic),
        };
        let report = self.report(Err(panic.into()), None);
        if let Some(table) = table
            && let Err(error) = table.release(|_| ()).await
        {
            tracing::warn!(error = %error.chain(), "cannot give the claim back");
        }
        report
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
        let lost = matches!(&outcome, Err(Ended::Failed(error)) if error.kind() == ErrorKind::Held);
        let report = self.report(outcome, Some(&table.state().await));
        if lost {
            return report;
        }
        let record = self.record(&report, started);
        let drift = &report.drift;
        let now = self.reader.job.ask.now;
        let released = table.release(|state| {
            state.sync = Some(self.reader.job.sync);
            state.rejected += self.reader.tally.counts().newly_rejected;
            state.record(record);
            for seen in drift {
                note_drift(state, &seen.path, &seen.kind, seen.count, now);
            }
        });
        match released.await {
            Ok(()) => report,
            Err(error) => self.report(Err(error.into()), Some(&table.state().await)),
        }
    }

    async fn work(&self, table: &Arc<Table>) -> Result<(), Ended> {
        let reader = &self.reader;
        let settled = adopt::settle(table).await?;
        settled.notices.into_iter().for_each(|text| reader.notice(text));
        reader.tally.counts().gaps.extend(settled.gaps);
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

    fn report(&self, outcome: Result<(), Ended>, state: Option<&TableState>) -> StreamReport {
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
        if counts.newly_rejected > 0 {
            told.push(format!(
                "{} rows were set aside under _rejected/{}",
                counts.newly_rejected, job.table
            ));
        }
        told.extend(error.as_ref().map(Error::chain));
        let windows = state.into_iter().flat_map(|state| state.coverage.windows());
        StreamReport {
            stream: job.stream.stream.clone(),
            table: job.table.clone(),
            sync: job.sync,
            status,
            rows: counts.rows,
            requests: self.reader.meter.requests(),
            retries: self.reader.meter.retries(),
            mark: state.and_then(|state| state.mark),
            coverage: windows.map(|covered| [covered.from, covered.to]).collect(),
            drift: counts.drift(),
            error: (!told.is_empty()).then(|| told.join("; ")),
            kind: error.map(|error| error.kind()),
            committed: counts.committed,
        }
    }
}

fn ended(error: Error) -> (Status, Option<Error>) {
    let status = match error.kind() {
        ErrorKind::Forbidden => Status::Forbidden,
        ErrorKind::Held => Status::Held,
        _ => Status::Failed,
    };
    (status, Some(error))
}

fn note_drift(state: &mut TableState, path: &str, kind: &str, count: u64, now: Timestamp) {
    let known = state
        .drift
        .iter_mut()
        .find(|note| note.path == path && note.kind == kind);
    match known {
        Some(note) => note.count += count,
        None => state.drift.push(DriftNote {
            path: path.to_owned(),
            kind: kind.to_owned(),
            count,
            first_seen: now,
        }),
    }
}
