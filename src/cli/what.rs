//! What is read, from where, into what: the flags that `export` and `plan` share, and what they mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args as ClapArgs;
use jiff::{SignedDuration, Timestamp};

use super::access::{AccessArgs, PaceArgs};
use super::columns::Rules;
use super::config::{Config, ConfigArgs, StreamConfig};
use super::settings::Environment;
use super::{idle, out, parse, place, timing};
use crate::error::{Error, Result};
use crate::manifest::SyncMode;
use crate::plan::{Ask, Trigger};
use crate::run::Job;
use crate::source::SourceSettings;
use crate::storage::{Destination, layout};
use crate::stream::{Catalog, ColumnRules, Stream};

/// The flags of every command that is about a run.
#[derive(Debug, Default, ClapArgs)]
pub struct WhatArgs {
    /// The streams to export; every core stream when none is named
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Where the lake is: a folder, or a file://, s3://, gs:// or az:// URL
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// How Customer.io is reached.
    #[command(flatten)]
    pub access: AccessArgs,
    /// The beginning: a date, an instant, or how long ago (90d, 2y; the units are s, m, h, d, w, y); rounded down to a UTC day
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// The end, not included, written like --since; rounded up to a UTC day
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// `incremental` upserts what is new, `full-table` makes the table what the API serves now [default: incremental]
    #[arg(long, value_name = "MODE")]
    pub sync: Option<String>,
    /// How far before the mark rows are read again, in units as with --since [default: 7d activities, 30d details]
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub lookback: Option<String>,
    /// How fast Customer.io may be asked.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// Put before every table name
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Another name for a stream's table
    #[arg(long, value_name = "STREAM=NAME")]
    pub table: Vec<String>,
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The run's idea of now, for replays and tests
    #[arg(long, value_name = "INSTANT")]
    pub now: Option<String>,
}

/// What a run is about, validated.
#[derive(Debug)]
pub struct What {
    /// The config file.
    pub config: Config,
    /// The run's idea of now.
    pub now: Timestamp,
    /// The lake.
    pub destination: Destination,
    /// For the HTTP side.
    pub source: SourceSettings,
    /// The streams, in the catalog's order.
    pub jobs: Vec<Job>,
    /// When incremental runs are to be full-table runs instead; `None` also where the command line decides.
    pub full_sync: Option<Trigger>,
}

impl What {
    /// Flag, then environment, then config file, then default; `clock` is now unless a flag says otherwise.
    ///
    /// # Errors
    /// Input, naming the flag, variable or file and the remedy.
    pub fn resolve(args: &WhatArgs, environment: &Environment, clock: Timestamp) -> Result<Self> {
        let config = args.config.read()?;
        let now = args
            .now
            .as_deref()
            .map_or(Ok(clock), |text| parse::instant("--now", text, clock))?;
        // A range that is named for this one run cannot stand for that of the export.
        let decided = args.sync.is_some() || args.since.is_some() || args.until.is_some();
        let jobs = jobs(args, &config, environment, now)?;
        for notice in idle::notices(args, &jobs) {
            out::tell(&format!("{notice}\n"));
        }
        Ok(Self {
            full_sync: timing::full_sync(&config)?.filter(|_| !decided),
            destination: place::destination(args.to.as_deref(), &config)?,
            source: args.access.source(&config, environment, args.pace.rate()?)?,
            jobs,
            now,
            config,
        })
    }
}

/// The streams `named`, or those in the config file, or every core stream; in the catalog's order, each once.
///
/// # Errors
/// Input, naming a stream that does not exist and the nearest one.
pub fn streams(named: &[String], config: &Config, catalog: &Catalog) -> Result<Vec<Arc<Stream>>> {
    for name in named.iter().chain(config.streams.keys()) {
        catalog.get(name)?;
    }
    let wanted = |stream: &&Arc<Stream>| match (named.is_empty(), config.streams.is_empty()) {
        (false, _) => named.contains(&stream.stream),
        (true, false) => config.streams.contains_key(&stream.stream),
        (true, true) => stream.core,
    };
    Ok(catalog.streams().iter().filter(wanted).cloned().collect())
}

/// What `args`, else the config file, say of each stream.
///
/// # Errors
/// Input, naming the flag or key and the remedy.
pub fn jobs(args: &WhatArgs, config: &Config, environment: &Environment, now: Timestamp) -> Result<Vec<Job>> {
    let catalog = Catalog::load()?;
    let streams = streams(&args.streams, config, &catalog)?;
    let rules = Rules::new(config, environment, &streams)?;
    let tables = table_names(args, &catalog)?;
    let jobs: Vec<Job> = streams
        .iter()
        .map(|stream| {
            let said = config.streams.get(&stream.stream).cloned().unwrap_or_default();
            let job = job(stream, args, config, &said, tables.get(&stream.stream), now)?;
            let (stream, columns) = rules.apply(stream)?;
            Ok(Job { stream, columns, ..job })
        })
        .collect::<Result<_>>()?;
    distinct(&jobs)?;
    Ok(jobs)
}

fn job(
    stream: &Arc<Stream>,
    args: &WhatArgs,
    config: &Config,
    said: &StreamConfig,
    table: Option<&String>,
    now: Timestamp,
) -> Result<Job> {
    let instant = |text: &str| parse::instant("--since", text, now);
    let standing = said.since.as_deref().map(instant).transpose()?;
    let since = args.since.as_deref().map(instant).transpose()?.or(standing);
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
        let what = format!("is after the run's now, {now}; there is nothing to read yet");
        return Err(match (&args.since, &said.since) {
            (None, Some(text)) => config.fault(text.span(), &format!("\"since\" {what}")),
            _ => Error::input(format!("--since {from} {what}")),
        });
    }
    let lookback = args.lookback.as_deref().or(said.lookback.as_deref());
    let lookback = lookback.map(|text| parse::span("--lookback", text)).transpose()?;
    let lookback = lookback.map(|span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX));
    let name = table
        .map(String::as_str)
        .or(said.table.as_deref())
        .unwrap_or(&stream.stream);
    let prefix = args.prefix.as_deref().or(config.prefix.as_deref()).unwrap_or("");
    let table = format!("{prefix}{name}");
    layout::validate_table_name(&table)?;
    Ok(Job {
        sync: sync_mode(args.sync.as_deref().or(said.sync.as_deref()))?,
        ask: Ask {
            since,
            standing,
            until,
            lookback: lookback.or(stream.sync.lookback()).unwrap_or(SignedDuration::ZERO),
            now,
        },
        stream: Arc::clone(stream),
        columns: ColumnRules::default(),
        prefix: prefix.to_owned(),
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

fn table_names(args: &WhatArgs, catalog: &Catalog) -> Result<BTreeMap<String, String>> {
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
