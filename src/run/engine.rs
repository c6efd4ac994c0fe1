//! A run from beginning to end: rights, claims, the streams side by side, the claims given back.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::budget::Budget;
use super::context::{ListenerSlot, Run};
use super::cpu::Cpu;
use super::event::Listener;
use super::lane::{Lane, restated};
use super::lists::Lists;
use super::pipeline::Ended;
use super::report::{RunReport, StreamReport};
use super::settings::RunSettings;
use super::stop::Stop;
use super::table::{Opened, Table, held};
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;
use crate::storage::{Owner, Storage};

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
        let lists = Lists::read(self).await?;
        let knocks = lanes.iter_mut().map(|lane| lane.knock(&lists));
        futures::future::join_all(knocks).await;
        Ok(lanes)
    }

    /// Claims the tables of every stream that may be read, in order of name; gives all of them back when one is held.
    async fn claim(self: &Arc<Self>, lanes: &[Lane]) -> Result<Vec<Option<Arc<Table>>>> {
        let settings = &self.settings;
        self.storage.sweep_staging(Owner::is_dead).await?;
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
