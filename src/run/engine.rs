//! A run from beginning to end: what is stored, rights, claims, the streams side by side, the claims given back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::budget::Budget;
use super::context::{ListenerSlot, Run};
use super::cpu::Cpu;
use super::event::Listener;
use super::lane::{Lane, restated};
use super::lists::Lists;
use super::pipeline::Ended;
use super::report::{RunReport, Status, StreamReport};
use super::settings::RunSettings;
use super::stop::Stop;
use super::table::{Opened, Table, held};
use crate::crash::{Step, pass};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::claimable;
use crate::source::Source;
use crate::storage::{Owner, Storage};

/// So long the store is waited for once the run is asked to stop: for what was read to be laid in, and for claims to be given back, which end
/// by themselves otherwise.
pub const GRACE: Duration = Duration::from_secs(15);

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
        flights: Arc::new(Semaphore::new(flights(&settings))),
        merges: Semaphore::new(cpu.threads()),
        listener: ListenerSlot(listener),
        settings,
        source,
        storage,
        cpu,
        stop,
    }))
}

/// What `--concurrency` leaves to the streams of many chains, beside one request for each of the others.
fn flights(settings: &RunSettings) -> usize {
    let single = settings
        .jobs
        .iter()
        .filter(|job| job.stream.fetch.each.is_none())
        .count();
    settings.concurrency.saturating_sub(single).max(1)
}

impl Run {
    async fn export(self: Arc<Self>) -> RunReport {
        match self.stop.race(self.look()).await {
            Ok(Ok(())) => {}
            Ok(Err((lane, error))) => return self.ended_early(&error, |other| (lane == other).then_some(&error)),
            Err(_) => return self.report(self.each(|_| Ended::Stopped)),
        }
        let lanes = match self.stop.race(self.knock()).await {
            Ok(Ok(lanes)) => lanes,
            Ok(Err(error)) => return self.ended_early(&error, |_| Some(&error)),
            Err(_) => return self.report(self.each(|_| Ended::Stopped)),
        };
        if let Some(refusal) = all_refused(&lanes) {
            return self.ended_early(&refusal.0, |lane| refusal.1.get(lane).copied());
        }
        let tables = match self.claim(&lanes).await {
            Ok(tables) => tables,
            Err((_, error)) if error.kind() == ErrorKind::Storage && self.stop.check().is_err() => {
                return self.report(self.each(|_| Ended::Stopped));
            }
            Err((lane, error)) => return self.ended_early(&error, |other| (lane == Some(other)).then_some(&error)),
        };
        let streams = lanes
            .into_iter()
            .zip(tables)
            .map(|(lane, table)| Arc::new(lane).spawn(table));
        let reports = futures::future::join_all(streams).await;
        pass(Step::ClaimsGivenBack);
        self.clear_staging().await;
        self.report(reports)
    }

    fn report(&self, streams: Vec<StreamReport>) -> RunReport {
        let settings = &self.settings;
        RunReport::of(settings.run.clone(), settings.now, streams, self.stop.reason())
    }

    /// The report of a run that touched no table because of `error`; `why` tells which streams it is about, the others were not begun.
    fn ended_early<'a>(self: &Arc<Self>, error: &Error, why: impl Fn(usize) -> Option<&'a Error>) -> RunReport {
        let streams = self.each(|lane| why(lane).map_or(Ended::Stopped, |error| restated(error).into()));
        RunReport::ended_early(self.settings.run.clone(), self.settings.now, streams, error)
    }

    /// A report on each stream that was not begun, by why.
    fn each(self: &Arc<Self>, why: impl Fn(usize) -> Ended) -> Vec<StreamReport> {
        let lanes = self.settings.jobs.iter().map(|job| Lane::new(self, job)).enumerate();
        lanes
            .map(|(position, lane)| lane.report(Err(why(position)), None))
            .collect()
    }

    /// Whether every table is one for these rows: what the manifest refuses is told before anything is asked of Customer.io.
    async fn look(&self) -> Result<(), (usize, Error)> {
        let settings = &self.settings;
        let looks = settings.jobs.iter().map(async |job| {
            let initial = job.initial(settings.description.clone());
            claimable(&self.storage, &initial, settings.claiming()).await
        });
        let looks = futures::future::join_all(looks).await;
        let refused = looks
            .into_iter()
            .enumerate()
            .find_map(|(lane, look)| Some((lane, look.err()?)));
        refused.map_or(Ok(()), Err)
    }

    /// One cheap request a stream: the key, the region, the rights, and the list of transactional messages.
    async fn knock(self: &Arc<Self>) -> Result<Vec<Lane>> {
        self.source.locate().await?;
        let mut lanes: Vec<Lane> = self.settings.jobs.iter().map(|job| Lane::new(self, job)).collect();
        let streams = self.settings.jobs.iter().map(|job| &job.stream);
        let lists = Lists::read(&self.source, streams, self.settings.now).await?;
        let knocks = lanes.iter_mut().map(|lane| lane.knock(&lists));
        futures::future::join_all(knocks).await;
        Ok(lanes)
    }

    /// Gives back what was claimed before a claim failed; what cannot be given back ends by itself.
    async fn give_back(&self, tables: Vec<Option<Arc<Table>>>) {
        for table in tables.into_iter().flatten() {
            let given = self.before_grace_is_over(table.give_back(Status::Held)).await;
            if let Some(error) = given.unwrap_or_else(|| Err(silent())).err() {
                tracing::warn!(error = %error.chain(), "cannot give the claim on {:?} back", table.job.table);
            }
        }
        self.clear_staging().await;
    }

    /// What `work` comes to, unless the run is asked to stop and the store still says nothing some time later.
    async fn before_grace_is_over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let over = async {
            self.stop.thrown().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = over => None,
        }
    }

    async fn clear_staging(&self) {
        if let Err(error) = self.storage.close_staging(&self.settings.run).await {
            tracing::warn!(error = %error.chain(), "cannot remove this run's staging folder; the next run does");
        }
    }

    /// Claims the tables of every stream that may be read, in order of name; gives all of them back when one is held.
    ///
    /// # Errors
    /// What was in the way, and of which stream.
    async fn claim(self: &Arc<Self>, lanes: &[Lane]) -> Result<Vec<Option<Arc<Table>>>, (Option<usize>, Error)> {
        let nobody = |error| (None, error);
        let settings = &self.settings;
        self.storage.sweep_staging(Owner::is_dead).await.map_err(nobody)?;
        self.storage
            .open_staging(&settings.run, &settings.owner)
            .await
            .map_err(nobody)?;
        pass(Step::StagingOpened);
        let mut order: Vec<usize> = (0..lanes.len()).filter(|lane| lanes[*lane].refused.is_none()).collect();
        order.sort_by_key(|lane| &lanes[*lane].reader.job.table);
        let mut tables: Vec<Option<Arc<Table>>> = vec![None; lanes.len()];
        for lane in order {
            let reader = &lanes[lane].reader;
            let opened = match self.stop.check() {
                Ok(()) => self.before_grace_is_over(Table::open(reader)).await,
                Err(_) => None,
            };
            let refusal = match opened.unwrap_or_else(|| Err(silent())) {
                Ok(Opened::Claimed(table)) => {
                    tables[lane] = Some(table);
                    continue;
                }
                Ok(Opened::Held(claim)) => held(&reader.job.table, &claim),
                Err(error) => error,
            };
            self.give_back(tables).await;
            return Err((Some(lane), refusal));
        }
        self.sweep_uploads(&tables).await;
        Ok(tables)
    }

    /// Aborts what earlier runs have begun to send into these tables and never completed. Nobody sees it, but somebody pays for it.
    async fn sweep_uploads(&self, tables: &[Option<Arc<Table>>]) {
        let folders: Vec<&str> = tables.iter().flatten().map(|table| table.job.table.as_str()).collect();
        match self.storage.abort_uploads_below(&folders).await {
            Ok(0) => {}
            Ok(count) => tracing::info!("aborted {count} unfinished uploads of earlier runs"),
            Err(error) => tracing::debug!(error = %error.chain(), "unfinished uploads were not looked for"),
        }
    }
}

fn silent() -> Error {
    Error::storage(
        "the run was asked to stop, and the store did not answer in time; a claim that stands ends by itself",
    )
}

/// Why no stream can be read at all: the error that speaks for all of them, and each one's own.
fn all_refused(lanes: &[Lane]) -> Option<(Error, Vec<&Error>)> {
    let refused: Vec<&Error> = lanes.iter().filter_map(|lane| lane.refused.as_ref()).collect();
    if let Some(key) = refused.iter().find(|error| error.kind() == ErrorKind::Key) {
        return Some((restated(key), vec![key; lanes.len()]));
    }
    let first = refused.first()?;
    let forbidden = refused.len() == lanes.len() && refused.iter().all(|error| error.kind() == ErrorKind::Forbidden);
    let text = format!("the key has no right to any stream asked for: {}", first.chain());
    forbidden.then(|| (Error::new(ErrorKind::Forbidden, text), refused))
}
