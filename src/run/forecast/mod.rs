//! What a run would ask for, told without one: the first requests of a run, the API's counts where it has any, and the manifest.
//! Claims nothing and writes nothing.

mod counts;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;

use self::counts::Teller;
use super::knock::{Knocked, knock};
use super::lane::restated;
use super::lists::Lists;
use super::parents::Parents;
use super::settings::Job;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{ClaimOptions, TableState, claimable};
use crate::plan;
use crate::plan::forecast::{self, Forecast};
use crate::source::{Meter, Source};
use crate::storage::{Storage, layout};
use crate::stream::{Catalog, Shape, Stream, day_of};

pub use report::{ForecastReport, StreamForecast};

/// Parts are cut to what a buffer can count on then.
const UNLIMITED: &str = "without a limit an export sends up to 30 % more requests than these, which saves memory";

/// What is to be foretold.
#[derive(Debug, Clone)]
pub struct ForecastSettings {
    /// The run's idea of now.
    pub now: Timestamp,
    /// The streams, in the order in which they are reported.
    pub jobs: Vec<Job>,
    /// Requests a second; 0 is unlimited.
    pub rate: f64,
}

/// Asks what a run asks first, and how much there is. `storage` is the lake, if it is there yet.
///
/// # Errors
/// Whatever would end a run before it reads: Key, Forbidden or API for every stream; Storage and Input for what stands in the manifest.
pub async fn forecast(
    settings: &ForecastSettings,
    source: &Source,
    storage: Option<&Storage>,
) -> Result<ForecastReport> {
    source.locate().await?;
    let catalog = Catalog::load()?;
    let lists = Lists::read(source, listing(settings, &catalog), settings.now).await?;
    let meter = Meter::default();
    let knocks = settings
        .jobs
        .iter()
        .map(|job| knock(source, &job.stream, &lists, &meter));
    let knocks = join_all(knocks).await;
    refuse(&knocks)?;
    let teller = Teller {
        source,
        now: settings.now,
    };
    let mut streams = Vec::new();
    for (job, knocked) in settings.jobs.iter().zip(knocks) {
        let state = match storage {
            Some(storage) => claimable(storage, &job.initial(None), ClaimOptions::default()).await?,
            None => None,
        };
        let outcome = match knocked {
            Ok(knocked) => {
                let forecast = one(job, &lists, state.as_ref(), &teller).await?;
                Ok(with_first(forecast, first_costs(job, settings, knocked)))
            }
            Err(error) => Err(error),
        };
        streams.push(StreamForecast::of(job, outcome, state.as_ref(), settings.rate));
    }
    Ok(ForecastReport::of(settings, streams))
}

/// The streams whose lists are wanted: those of the run, and whoever else asks a list that is exported itself.
fn listing<'a>(settings: &'a ForecastSettings, catalog: &'a Catalog) -> impl Iterator<Item = &'a Arc<Stream>> {
    let exported = |name: &String| settings.jobs.iter().any(|job| job.stream.stream == *name);
    let asks = move |stream: &&Arc<Stream>| stream.fetch.each.as_ref().is_some_and(exported);
    let jobs = settings.jobs.iter().map(|job| &job.stream);
    jobs.chain(catalog.streams().iter().filter(asks))
}

/// The first of: the key is refused, no stream can be read, every stream is forbidden.
fn refuse(knocks: &[Result<Knocked>]) -> Result<()> {
    let refused: Vec<&Error> = knocks.iter().filter_map(|knock| knock.as_ref().err()).collect();
    if let Some(key) = refused.iter().find(|error| error.kind() == ErrorKind::Key) {
        return Err(restated(key));
    }
    if refused.len() < knocks.len() {
        return Ok(());
    }
    let failed = refused.iter().find(|error| error.kind() != ErrorKind::Forbidden);
    match (failed, refused.first()) {
        (Some(failed), _) => Err(restated(failed)),
        (None, Some(first)) => {
            let text = format!("the key has no right to any stream asked for: {}", first.chain());
            Err(Error::new(ErrorKind::Forbidden, text))
        }
        (None, None) => Ok(()),
    }
}

/// What a run's first request of the stream costs: nothing where a list that others need has shown the right to it.
fn first_costs(job: &Job, settings: &ForecastSettings, knocked: Knocked) -> u64 {
    let name = Some(&job.stream.stream);
    let listed = settings
        .jobs
        .iter()
        .any(|other| other.stream.fetch.each.as_ref() == name);
    u64::from(!listed && knocked != Knocked::NobodyToAsk)
}

fn with_first(forecast: Forecast, first: u64) -> Forecast {
    Forecast {
        requests: forecast.requests.map(|requests| requests + first),
        ..forecast
    }
}

/// The forecast of one stream that may be read.
async fn one(job: &Job, lists: &Lists, state: Option<&TableState>, teller: &Teller<'_>) -> Result<Forecast> {
    let stream = &job.stream;
    let limit = stream.fetch.paging.map(|paging| paging.limit);
    let list = |name: &str| lists.get(name).and_then(|listed| listed.as_ref().ok());
    let listed = stream
        .fetch
        .each
        .as_deref()
        .and_then(list)
        .map_or(&[][..], |listed| &listed.ids);
    let empty = job.initial(None);
    let known = state.unwrap_or(&empty);
    let parents = Parents::new(listed, known);
    Ok(match stream.sync {
        Shape::List => {
            let rows = list(&stream.stream).map(|listed| listed.ids.len() as u64);
            forecast::list(rows, job.sync, state, limit)
        }
        Shape::Snapshot => {
            let today = known.partitions.get(&layout::partition_name(Some(day_of(job.ask.now))));
            let stored = today.map_or(0, |file| file.rows);
            forecast::snapshot(parents.ids.len() as u64, parents.listed.len() as u64, stored)
        }
        Shape::Scan { .. } => {
            let plan = plan::scan(stream, job.sync, &job.ask, known);
            let files = known.partitions.iter();
            let stored = files.filter_map(|(path, file)| Some((layout::partition_date(path)?, file.rows)));
            let stored: BTreeMap<_, _> = stored.collect();
            forecast::scan(stream, &plan, &job.ask, known, &stored, limit.unwrap_or(u32::MAX))
        }
        Shape::Windows { .. } => {
            let known = owing(known.clone(), &parents);
            let plan = plan::windows(stream, job.sync, &job.ask, &known);
            let (counted, notes) = teller.tell(stream, &plan, &parents.ids).await?;
            let mut forecast = forecast::windows(&plan, &counted, &known, limit.unwrap_or(u32::MAX));
            forecast.notes.extend(notes);
            if !teller.source.is_limited() {
                forecast.notes.push(UNLIMITED.to_owned());
            }
            forecast
        }
    })
}

/// The state as a run finds it once it has noted that messages unknown to it are owed in every window that was read without them.
fn owing(mut state: TableState, parents: &Parents) -> TableState {
    let newcomers = parents.newcomers(&state);
    if !newcomers.is_empty() {
        state.coverage.owe(&newcomers);
        state.full_table = None;
    }
    state
}
