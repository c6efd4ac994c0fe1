//! `schedule`: stays up and exports at each trigger of the config file.

mod clock;
mod keep;

use std::path::PathBuf;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use self::clock::Clock;
use self::keep::{Ran, World, keep};
use super::args::{ExportArgs, Output, ScheduleArgs};
use super::config::{Config, ConfigArgs};
use super::settings::{Environment, Settings};
use super::signals::on_signal;
use super::what::WhatArgs;
use super::{export, out, timing};
use crate::error::{Error, Result};
use crate::plan::{Schedule, Trigger};
use crate::run::{Stop, StopReason, newest_states};
use crate::storage::{RunId, Storage};

/// Waits for triggers and exports at each, until a signal ends it; answers 0, or the exit code of the run that the signal ended.
///
/// # Errors
/// Input, for settings that no run could use; Storage, when the lake cannot be looked at. Later runs end nothing.
pub async fn run(args: Box<ScheduleArgs>, output: Output) -> Result<u8> {
    let environment = Environment::read()?;
    let mut clock = Clock::of(&environment)?;
    let stop = Stop::default();
    let _signals = AbortOnDropHandle::new(tokio::spawn(on_signal(stop.clone())));
    let config = args.config.read()?;
    let trigger = timing::trigger(&config)?.ok_or_else(|| no_trigger(&config))?;
    let export = args.export(&config);
    let now = clock.now();
    let id = uuid::Uuid::now_v7().to_string().parse::<RunId>()?;
    let settings = Settings::resolve(&export, &environment, id, now)?;
    let Ok(last) = stop.race(last_run(&settings)).await else {
        return Ok(0);
    };
    let (schedule, first) = begin(trigger, now, last?);
    say(&first);
    let mut real = Real {
        export,
        output,
        clock,
        stop,
    };
    Ok(keep(schedule, &mut real).await)
}

impl ScheduleArgs {
    /// What `export` would be told at each trigger. It goes by the file that was found first, wherever that was.
    fn export(&self, config: &Config) -> ExportArgs {
        let found = Some(config.name()).filter(|name| !name.is_empty()).map(PathBuf::from);
        ExportArgs {
            what: WhatArgs {
                access: self.access.clone(),
                pace: self.pace.clone(),
                config: ConfigArgs {
                    config: self.config.config.clone().or(found),
                    no_config: self.config.no_config,
                },
                ..WhatArgs::default()
            },
            tune: self.tune.clone(),
            take_over: false,
            new_table: false,
            allow_shrink: false,
        }
    }
}

/// When the newest run of any of the tables began; `Timestamp::MIN` for one that was never ended, `None` when no table was ever written.
async fn last_run(settings: &Settings) -> Result<Option<Timestamp>> {
    let Some(storage) = Storage::open_if_there(&settings.destination).await? else {
        return Ok(None);
    };
    let states = newest_states(&settings.run.jobs, &storage).await?;
    let began = states
        .iter()
        .flatten()
        .map(|state| state.runs.last().map_or(Timestamp::MIN, |run| run.started));
    Ok(began.max())
}

/// Where the triggers begin at `now` when the newest run began at `last`, and what to say about it.
fn begin(trigger: Trigger, now: Timestamp, last: Option<Timestamp>) -> (Schedule, String) {
    let schedule = Schedule::new(trigger, last.unwrap_or(now).min(now));
    let next = schedule.trigger().local(schedule.next());
    let told = match last {
        None => format!(
            "nothing was exported here yet; the first run is at {next}, `cio2parquet export` need not wait for it"
        ),
        Some(_) if schedule.next() <= now => {
            "a trigger was missed since the last run; one run makes up for it".to_owned()
        }
        Some(_) => format!("the next run is at {next}"),
    };
    let told = format!("trigger {}: {told}", schedule.trigger());
    (schedule, told)
}

fn no_trigger(config: &Config) -> Error {
    let place = match config.name() {
        "" => "a config file, and name it with --config",
        name => name,
    };
    Error::input(format!(
        "`trigger` is not set, so there is nothing to wait for; write for example trigger = \"0 3 * * *\" into {place}"
    ))
}

/// Tells how it goes.
fn say(text: &str) {
    out::tell(&format!("schedule: {text}\n"));
}

/// The machine's clock, the process's signals and `export`.
struct Real {
    export: ExportArgs,
    output: Output,
    clock: Clock,
    stop: Stop,
}

impl World for Real {
    fn now(&mut self) -> Timestamp {
        self.clock.now()
    }

    async fn wait(&mut self, until: Timestamp) -> bool {
        self.stop.race(self.clock.wait(until)).await.is_ok()
    }

    async fn run(&mut self, now: Timestamp) -> Ran {
        // --max-duration ends one run, a signal that and the schedule.
        let run = Stop::default();
        let (schedule, of_run) = (self.stop.clone(), run.clone());
        let _handed_on = AbortOnDropHandle::new(tokio::spawn(async move {
            schedule.thrown().await;
            of_run.throw(StopReason::Interrupted);
        }));
        let code = match export::once(&self.export, self.output, now, run).await {
            Ok(code) => code,
            Err(error) => {
                for line in error.lines() {
                    out::error(None, &line);
                }
                error.kind().exit_code()
            }
        };
        let config = self.export.what.config.read();
        Ran {
            code,
            trigger: config.and_then(|config| timing::trigger(&config)).ok().flatten(),
            last: self.stop.check().is_err(),
        }
    }

    fn say(&mut self, text: &str) {
        say(text);
    }
}
