//! What a run tells, for people: a line a stream on a terminal, plain lines otherwise.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{LogFormat, Output};
use super::lanes::Lanes;
use super::{drawn, out};
use crate::run::{Listener, RunEvent, RunSettings, StreamReport};

/// How often a plain line about progress is written, per stream.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// A listener, and how to end it.
pub struct Listening {
    /// Hears the run.
    pub hear: Listener,
    drawn: Vec<ProgressBar>,
}

impl Listening {
    /// Takes the progress lines off the terminal.
    pub fn end(self) {
        // One that has not ended is drawn again by its tick, whoever still holds it.
        self.drawn.iter().for_each(ProgressBar::finish_and_clear);
        drawn::end();
    }
}

/// Progress lines on a terminal, plain lines otherwise, JSON log lines when asked for, nothing when quiet.
/// `rate` is in requests a second.
pub fn listener(settings: &RunSettings, rate: f64, output: Output) -> Listening {
    if output.quiet {
        return plain(Arc::new(|_| ()));
    }
    if output.log_format == LogFormat::Json {
        return plain(Arc::new(|event| log(&event)));
    }
    if output.verbose == 0 && std::io::stderr().is_terminal() && !out::plain() {
        return bars(settings, rate);
    }
    let lanes = Mutex::new(Lanes::new(rate));
    plain(Arc::new(move |event| {
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = line(&mut lanes, &event) {
            out::tell(&format!("{line}\n"));
        }
    }))
}

fn plain(hear: Listener) -> Listening {
    Listening {
        hear,
        drawn: Vec::new(),
    }
}

/// The line about `event`, where it is worth one.
fn line(lanes: &mut Lanes, event: &RunEvent) -> Option<String> {
    lanes.hear(event);
    match event {
        RunEvent::Started { .. } | RunEvent::Expected { .. } => None,
        RunEvent::Page { stream, .. } => {
            if !lanes.due(stream, PLAIN_EVERY) {
                return None;
            }
            Some(format!("{stream}: {}", lanes.text(stream)?))
        }
        RunEvent::Committed { stream, what, .. } => {
            lanes.in_days(stream).then(|| format!("{stream}: committed {what}"))
        }
        RunEvent::Notice { stream, text } => Some(format!("{stream}: {text}")),
        RunEvent::Ended(report) => {
            let done = lanes.done(&report.stream)?;
            Some(format!("{}: {} ({done})", report.stream, report.status.name()))
        }
    }
}

fn log(event: &RunEvent) {
    match event {
        RunEvent::Started { stream, days } => tracing::info!(name: "started", stream, days),
        RunEvent::Expected { stream, requests } => tracing::info!(name: "expected", stream, requests),
        RunEvent::Page { stream, rows, requests } => tracing::debug!(name: "page", stream, rows, requests),
        RunEvent::Committed { stream, what, days } => {
            tracing::info!(name: "committed", stream, days, message = what.as_str());
        }
        RunEvent::Notice { stream, text } => tracing::info!(name: "notice", stream, message = text.as_str()),
        RunEvent::Ended(report) => ended(report),
    }
}

fn ended(report: &StreamReport) {
    tracing::info!(
        name: "ended",
        stream = report.stream,
        table = report.table,
        sync = report.sync.to_string(),
        status = report.status.name(),
        fetched = report.rows.fetched,
        new = report.rows.new,
        changed = report.rows.changed,
        unchanged = report.rows.unchanged,
        removed = report.rows.removed,
        rejected = report.rows.rejected,
        requests = report.requests,
        retries = report.retries,
        mark = report.mark.map(|mark| mark.to_string())
    );
}

/// One line a stream.
fn bars(settings: &RunSettings, rate: f64) -> Listening {
    let bars = drawn::begin();
    let style = ProgressStyle::with_template("{spinner} {prefix:<30} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let streams: BTreeMap<String, ProgressBar> = settings
        .jobs
        .iter()
        .map(|job| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style.clone()));
            bar.set_prefix(job.stream.stream.clone());
            bar.set_message("waiting");
            bar.enable_steady_tick(Duration::from_millis(200));
            (job.stream.stream.clone(), bar)
        })
        .collect();
    let lanes = Mutex::new(Lanes::new(rate));
    let drawn = streams.values().cloned().collect();
    let hear: Listener = Arc::new(move |event| {
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.hear(&event);
        draw(&lanes, &streams, &event);
    });
    Listening { hear, drawn }
}

fn draw(lanes: &Lanes, bars: &BTreeMap<String, ProgressBar>, event: &RunEvent) {
    match event {
        RunEvent::Started { .. } | RunEvent::Expected { .. } => {}
        RunEvent::Page { stream, .. } | RunEvent::Committed { stream, .. } => {
            if let (Some(bar), Some(text)) = (bars.get(stream), lanes.text(stream)) {
                bar.set_message(text);
            }
        }
        RunEvent::Notice { stream, text } => out::tell(&format!("{stream}: {text}\n")),
        RunEvent::Ended(report) => {
            let status = report.status.name();
            if let Some(bar) = bars.get(&report.stream) {
                let done = lanes
                    .done(&report.stream)
                    .map_or(String::new(), |done| format!(" · {done}"));
                bar.finish_with_message(format!("{status}{done}"));
            }
        }
    }
}
