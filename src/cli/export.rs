//! `export`: the main job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::args::{ExportArgs, LogFormat, Output};
use super::listen;
use super::logging;
use super::out;
use super::settings::{Environment, Settings};
use super::signals::on_signal;
use super::summary;
use super::timing::{self, Due};
use crate::error::{Error, ErrorKind, Result};
use crate::run::{RunEvent, RunReport, Stop, StopReason};
use crate::source::Source;
use crate::storage::{RunId, Storage};

/// Exports once, now, until it is done or a signal ends it.
///
/// # Errors
/// As [`once`].
pub async fn run(args: Box<ExportArgs>, output: Output) -> Result<u8> {
    let stop = Stop::default();
    let _signals = AbortOnDropHandle::new(tokio::spawn(on_signal(stop.clone())));
    once(&args, output, Timestamp::now(), stop).await
}

/// Resolves the settings, opens both ends, runs, and tells what became of it; `clock` is now unless a flag says otherwise.
///
/// # Errors
/// Input, which has no run to report on.
pub async fn once(args: &ExportArgs, output: Output, clock: Timestamp, stop: Stop) -> Result<u8> {
    let id = uuid::Uuid::now_v7().to_string().parse::<RunId>()?;
    let began = Instant::now();
    let _of_run = logging::of_run(&id);
    let settings = Settings::resolve(args, &Environment::read()?, id.clone(), clock)?;
    let now = settings.run.now;
    let _limit = AbortOnDropHandle::new(tokio::spawn(on_time(stop.clone(), settings.max_duration)));
    let report = match stop.race(prepare(settings)).await {
        Ok(Ok(prepared)) => export(prepared, stop, output).await,
        // A mistake in the settings has no run to report on.
        Ok(Err(error)) if error.kind() == ErrorKind::Input => return Err(error),
        Ok(Err(error)) => RunReport::ended_early(id, now, Vec::new(), &error),
        Err(_) => RunReport::stopped_early(id, now, stop.reason()),
    };
    tell(&report, began.elapsed(), args.tune.report.is_some(), output);
    // A mistake in the settings that only the lake could show has no report either.
    if args.tune.report.is_some() && report.exit_code != ErrorKind::Input.exit_code() {
        out::line(&to_json(&report)?)?;
    }
    Ok(report.exit_code)
}

/// What became of the run, on stderr: in a table with what went wrong, or the latter only where a report or nothing is wanted.
fn tell(report: &RunReport, took: Duration, reports: bool, output: Output) {
    let json = output.log_format == LogFormat::Json;
    if let Some(error) = &report.error {
        out::error(None, error);
    } else if reports || output.quiet || json {
        let errors = report
            .streams
            .iter()
            .filter_map(|stream| Some((stream, stream.error.as_ref()?)));
        for (stream, error) in errors {
            out::error(Some(&stream.stream), error);
        }
    } else {
        out::tell(&summary::table(report, took));
    }
    if json {
        summary::log(report, took);
    }
}

/// Everything that a run takes, with both ends open.
struct Prepared {
    settings: Settings,
    source: Source,
    storage: Storage,
    due: Vec<Due>,
}

async fn prepare(mut settings: Settings) -> Result<Prepared> {
    let source = Source::new(settings.source.clone())?;
    let storage = Storage::open(&settings.destination).await?;
    let run = &mut settings.run;
    let due = match &settings.full_sync {
        Some(full_sync) => timing::apply(full_sync, run.now, &mut run.jobs, Some(&storage)).await?,
        None => Vec::new(),
    };
    Ok(Prepared {
        settings,
        source,
        storage,
        due,
    })
}

async fn export(prepared: Prepared, stop: Stop, output: Output) -> RunReport {
    let settings = prepared.settings;
    let listener = listen::listener(&settings.run, settings.source.rate, output);
    for Due { stream, why: text } in prepared.due {
        (listener.hear)(RunEvent::Notice { stream, text });
    }
    let hear = Arc::clone(&listener.hear);
    let report = crate::run::run(settings.run, prepared.source, prepared.storage, stop, hear).await;
    listener.end();
    report
}

async fn on_time(stop: Stop, limit: Option<Duration>) {
    if let Some(limit) = limit {
        tokio::time::sleep(limit).await;
        stop.throw(StopReason::OutOfTime);
    }
}

fn to_json(report: &RunReport) -> Result<String> {
    serde_json::to_string(report).map_err(|e| Error::internal("cannot write the report").caused_by(e))
}
