//! From what was typed, set and written down to settings that a run can rely on: flag, then environment, then file, then default.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::args::ExportArgs;
use super::config::{Config, StreamConfig};
use super::parse;
use super::place;
use crate::error::{Error, Result};
use crate::manifest::SyncMode;
use crate::plan::Ask;
use crate::run::{Budget, Job, RunSettings};
use crate::source::SourceSettings;
use crate::storage::{Destination, Owner, RunId, layout};
use crate::stream::{Catalog, Stream};

/// How long one request may go without progress.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// How long a claim stands without being renewed.
pub(super) const LEASE: Duration = Duration::from_secs(600);

/// How often a scan commits at least.
pub(super) const COMMIT_EVERY: Duration = Duration::from_secs(60);

/// What only tests change, mostly in seconds; `CONTRIBUTING.md` tells what each does.
const FOR_TESTS: [&str; 4] = [
    "CIO2PARQUET_COMMIT_SECONDS",
    "CIO2PARQUET_LEASE_SECONDS",
    "CIO2PARQUET_ONE_PUT_BYTES",
    "CIO2PARQUET_PATIENCE_SECONDS",
];

/// What the environment says; read once.
#[derive(Debug, Default, Clone)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own; empty values count as unset.
    pub fn read() -> Self {
        let set = ["CIO_TOKEN", "CIO_REGION", "CIO_API_URL"]
            .into_iter()
            .chain(FOR_TESTS)
            .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
        Self(set.filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn seconds(&self, name: &str, default: Duration) -> Result<Duration> {
        let seconds = self.number(name, "seconds")?;
        Ok(seconds.map_or(default, Duration::from_secs))
    }

    fn bytes(&self, name: &str) -> Result<Option<u64>> {
        self.number(name, "bytes")
    }

    fn number(&self, name: &str, of: &str) -> Result<Option<u64>> {
        let number = self.get(name).map(|text| {
            let number = text.parse::<u64>();
            number.map_err(|e| Error::input(format!("{name} is {text:?}, not a number of {of}")).caused_by(e))
        });
        number.transpose()
    }
}

/// Everything that `export` needs.
#[derive(Debug)]
pub struct Settings {
    /// For the engine.
    pub run: RunSettings,
    /// For the HTTP side.
    pub source: SourceSettings,
    /// The lake.
    pub destination: Destination,
    /// When to stop by itself.
    pub max_duration: Option<Duration>,
}

impl Settings {
    /// Validates everything that can be validated without asking anybody.
    ///
    /// # Errors
    /// Input, naming the flag, variable or file and the remedy.
    pub fn resolve(args: &ExportArgs, environment: &Environment, run: RunId, clock: Timestamp) -> Result<Self> {
        let config = Config::read_or_default(args.config.as_deref())?;
        warn_of_schedule(&config);
        let now = args
            .now
            .as_deref()
            .map_or(Ok(clock), |text| parse::instant("--now", text, clock))?;
        let destination = place::destination(args.to.as_deref(), &config)?;
        let memory = parse::size("--memory", &args.memory, Budget::LEAST)?;
        let source = args
            .access
            .source(&config, environment, parse::rate("--rate", &args.rate)?)?;
        let jobs = jobs(args, &config, now)?;
        Ok(Self {
            run: RunSettings {
                run,
                owner: Owner::current(),
                now,
                jobs,
                concurrency: parse::count("--concurrency", &args.concurrency, 1, 256)?,
                memory,
                temp_dir: args.temp_dir.clone(),
                take_over: args.take_over,
                allow_shrink: args.allow_shrink,
                description: config.description.clone(),
                commit_every: environment.seconds("CIO2PARQUET_COMMIT_SECONDS", COMMIT_EVERY)?,
                lease: environment.seconds("CIO2PARQUET_LEASE_SECONDS", LEASE)?,
            },
            destination: Destination {
                memory: place::for_uploads(memory),
                one_put: environment.bytes("CIO2PARQUET_ONE_PUT_BYTES")?,
                temp_dir: args.temp_dir.clone(),
                patience: source.patience,
                ..destination
            },
            source,
            max_duration: args
                .max_duration
                .as_deref()
                .map(|text| parse::span("--max-duration", text))
                .transpose()?,
        })
    }
}

fn warn_of_schedule(config: &Config) {
    let keys = [
        ("trigger", &config.trigger),
        ("timezone", &config.timezone),
        ("full_sync", &config.full_sync),
    ];
    for (key, _) in keys.iter().filter(|(_, value)| value.is_some()) {
        tracing::warn!(
            "`{key}` in the config file is for a scheduler; `export` runs once, now, and does not act on it"
        );
    }
}

/// The streams `named`, or those in the config file, or every core stream; in the catalog's order, each once.
///
/// # Errors
/// Input, naming a stream that does not exist and the nearest one.
pub(super) fn streams(named: &[String], config: &Config, catalog: &Catalog) -> Result<Vec<Arc<Stream>>> {
    for name in named.iter().chain(config.streams.keys()) {
        catalog.get(name)?;
    }
    let wanted = |stream: &&Arc<Stream>| match (named.is_empty(), config.streams.is_empty()) {
        (false, _) => named.contains(&stream.stream),
        (true, false) => config.streams.contains_key(&stream.stream),
        (true, true) => true,
    };
    Ok(catalog.streams().iter().filter(wanted).cloned().collect())
}

fn jobs(args: &ExportArgs, config: &Config, now: Timestamp) -> Result<Vec<Job>> {
    let catalog = Catalog::load()?;
    let streams = streams(&args.streams, config, &catalog)?;
    let tables = table_names(args, &catalog)?;
    let jobs: Vec<Job> = streams
        .iter()
        .map(|stream| {
            let said = config.streams.get(&stream.stream).cloned().unwrap_or_default();
            job(stream, args, config, &said, tables.get(&stream.stream), now)
        })
        .collect::<Result<_>>()?;
    distinct(&jobs)?;
    Ok(jobs)
}

fn job(
    stream: &Arc<Stream>,
    args: &ExportArgs,
    config: &Config,
    said: &StreamConfig,
    table: Option<&String>,
    now: Timestamp,
) -> Result<Job> {
    let since = args.since.as_deref().or(said.since.as_deref());
    let since = since.map(|text| parse::instant("--since", text, now)).transpose()?;
    let until = args
        .until
        .as_deref()
        .map(|text| parse::instant("--until", text, now))
        .transpose()?;
    if let (Some(from), Some(to)) = (since, until)
        && from >= to
    {
        return Err(Error::input(format!(
            "--since {from} is not before --until {to}; nothing lies between them"
        )));
    }
    if let Some(from) = since.filter(|from| *from > now) {
        return Err(Error::input(format!(
            "--since {from} is after the run's now, {now}; there is nothing to read yet"
        )));
    }
    let lookback = args.lookback.as_deref().or(said.lookback.as_deref());
    let lookback = lookback.map(|text| parse::span("--lookback", text)).transpose()?;
    let lookback = lookback.map(|span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX));
    let name = table.or(said.table.as_ref()).unwrap_or(&stream.stream);
    let prefix = args
        .prefix
        .as_ref()
        .or(config.prefix.as_ref())
        .map_or("", String::as_str);
    let table = format!("{prefix}{name}");
    layout::validate_table_name(&table)?;
    Ok(Job {
        sync: sync_mode(args.sync.as_deref().or(said.sync.as_deref()))?,
        ask: Ask {
            since,
            until,
            lookback: lookback.or(stream.sync.lookback()).unwrap_or(SignedDuration::ZERO),
            now,
        },
        stream: Arc::clone(stream),
        table,
    })
}

fn sync_mode(text: Option<&str>) -> Result<SyncMode> {
    match text {
        None | Some("incremental") => Ok(SyncMode::Incremental),
        Some("full-table") => Ok(SyncMode::FullTable),
        Some(other) => Err(Error::input(format!(
            "unknown sync mode {other:?}; write incremental or full-table"
        ))),
    }
}

fn table_names(args: &ExportArgs, catalog: &Catalog) -> Result<BTreeMap<String, String>> {
    let mut tables = BTreeMap::new();
    for text in &args.table {
        let (stream, table) = text
            .split_once('=')
            .ok_or_else(|| Error::input(format!("--table {text:?} names no table; write --table STREAM=NAME")))?;
        catalog.get(stream)?;
        if tables.insert(stream.to_owned(), table.to_owned()).is_some() {
            return Err(Error::input(format!(
                "--table names stream {stream:?} twice; say it once"
            )));
        }
    }
    Ok(tables)
}

/// Two streams must not share a table, also not on a file system that does not tell capitals apart.
fn distinct(jobs: &[Job]) -> Result<()> {
    let mut seen: BTreeMap<String, &Job> = BTreeMap::new();
    for job in jobs {
        if let Some(other) = seen.insert(job.table.to_lowercase(), job) {
            return Err(Error::input(format!(
                "streams {:?} and {:?} would share the table {:?}; name another with --table {}=NAME",
                other.stream.stream, job.stream.stream, job.table, job.stream.stream
            )));
        }
    }
    Ok(())
}
