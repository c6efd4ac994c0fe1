//! What a config file says, as a run understands it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::file::Config;
use crate::cli::settings::{Environment, HASH_KEY};
use crate::cli::what::{WhatArgs, jobs};
use crate::error::Result;
use crate::manifest::SyncMode;
use crate::plan::{Trigger, time_zone};
use crate::run::Job;
use crate::stream::Shape;

/// In the place of a key of hashes that is not set.
const STAND_IN: &str = "no key, but long enough for one";

/// How many of the next triggers are told.
const NEXT: usize = 3;

/// What will run, and when.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub(super) file: String,
    pub(super) description: Option<String>,
    pub(super) to: Option<String>,
    pub(super) storage: Storage,
    /// Both are tried when there is none.
    pub(super) region: Option<String>,
    pub(super) timezone: String,
    pub(super) trigger: Option<Due>,
    pub(super) full_sync: Option<Due>,
    pub(super) streams: Vec<Exported>,
    #[serde(skip)]
    pub(super) zone: TimeZone,
}

/// How the store is reached, as far as the file says.
#[derive(Debug, Serialize)]
pub(super) struct Storage {
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) profile: Option<String>,
}

/// When something is due.
#[derive(Debug, Serialize)]
pub(super) struct Due {
    pub(super) cron: String,
    pub(super) next: Vec<Timestamp>,
}

/// One stream of a run.
#[derive(Debug, Serialize)]
pub(super) struct Exported {
    pub(super) stream: String,
    pub(super) table: String,
    pub(super) sync: SyncMode,
    /// What is read where the file says nothing of a beginning; none for lists, which are always read whole.
    #[serde(skip)]
    pub(super) shape: Shape,
    pub(super) since: Option<Timestamp>,
    /// As it is written, where it is.
    #[serde(skip)]
    pub(super) since_said: Option<String>,
    /// In seconds; none where nothing is read again.
    pub(super) lookback: Option<i64>,
    pub(super) exclude: Vec<String>,
    pub(super) hash: Vec<String>,
}

impl Explanation {
    /// The meaning of `config` to a run at `now`.
    ///
    /// # Errors
    /// Input, where a run would be refused.
    pub fn of(config: &Config, now: Timestamp) -> Result<Self> {
        let timezone = said(config.timezone.as_deref()).unwrap_or_else(|| "UTC".to_owned());
        let due = |text: &str| Due::of(text, &timezone, now);
        // Whoever checks a file need not have the key; it changes nothing that is told here.
        let environment = Environment::read()?.or(HASH_KEY, STAND_IN);
        let jobs = jobs(&WhatArgs::default(), config, &environment, now)?;
        Ok(Self {
            file: config.name().to_owned(),
            description: said(config.description.as_deref()),
            to: said(config.to.as_deref()),
            storage: Storage {
                endpoint: said(config.storage.endpoint.as_deref()),
                region: said(config.storage.region.as_deref()),
                path_style: config.storage.path_style,
                profile: said(config.storage.profile.as_deref()),
            },
            region: said(config.region.as_deref()),
            trigger: config.trigger.as_deref().map(due).transpose()?,
            full_sync: config.full_sync.as_deref().map(due).transpose()?,
            streams: jobs.iter().map(|job| exported(job, config)).collect(),
            zone: time_zone(&timezone)?,
            timezone,
        })
    }
}

impl Due {
    fn of(text: &str, zone: &str, now: Timestamp) -> Result<Self> {
        let trigger = Trigger::parse(text, zone)?;
        let next = std::iter::successors(trigger.next(now), |last| trigger.next(*last));
        Ok(Self {
            cron: text.to_owned(),
            next: next.take(NEXT).collect(),
        })
    }
}

fn exported(job: &Job, config: &Config) -> Exported {
    let said_of = config.streams.get(&job.stream.stream);
    let again = job.sync == SyncMode::Incremental && job.stream.sync.lookback().is_some();
    Exported {
        stream: job.stream.stream.clone(),
        table: job.table.clone(),
        sync: job.sync,
        shape: job.stream.sync,
        since: job.ask.since,
        since_said: said(said_of.and_then(|said| said.since.as_deref())),
        lookback: again.then(|| job.ask.lookback.as_secs()),
        exclude: job.columns.exclude.clone(),
        hash: job.columns.hash.clone(),
    }
}

fn said(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
