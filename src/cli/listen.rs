//! What a run tells, for people: a line a stream on a terminal, plain lines otherwise.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::args::{LogFormat, Output};
use super::out;
use crate::run::{Listener, RunEvent, RunSettings};

/// How often a plain line about progress is written, per stream.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// A listener, and how to end it.
pub struct Listening {
    /// Hears the run.
    pub hear: Listener,
    bars: Option<MultiProgress>,
}

impl Listening {
    /// Takes the progress lines off the terminal.
    pub fn end(self) {
        if let Some(bars) = self.bars {
            // A terminal that is gone needs no clearing.
            let _ = bars.clear();
        }
    }
}

/// Progress lines on a terminal, plain lines otherwise, JSON log lines when asked for, nothing when quiet.
pub fn listener(settings: &RunSettings, output: Output) -> Listening {
    if output.quiet {
        return plain(Arc::new(|_| ()));
    }
    if output.log_format == LogFormat::Json {
        let run = settings.run.to_string();
        return plain(Arc::new(move |event| log(&run, &event)));
    }
    if std::io::stderr().is_terminal() && output.verbose == 0 {
        return bars(settings);
    }
    let lanes: Mutex<BTreeMap<String, Lane>> = Mutex::default();
    plain(Arc::new(move |event| {
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = line(&mut lanes, &event) {
            out::tell(&format!("{line}\n"));
        }
    }))
}

fn plain(hear: Listener) -> Listening {
    Listening { hear, bars: None }
}

/// What is known about a stream under way.
#[derive(Debug)]
struct Lane {
    began: Instant,
    told: Instant,
    rows: u64,
    requests: u64,
    units: Option<u64>,
    done: u64,
}

impl Lane {
    fn new(units: Option<u64>) -> Self {
        Self {
            began: Instant::now(),
            told: Instant::now(),
            rows: 0,
            requests: 0,
            units,
            done: 0,
        }
    }

    fn page(&mut self, rows: u64, requests: u64) {
        self.rows += rows;
        self.requests = requests;
    }

    fn text(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.rows as f64 / seconds;
        let left = match self.units {
            Some(units) => format!(", {}/{units} days", self.done),
            None => String::new(),
        };
        format!("{} rows, {rate:.0}/s, {} requests{left}", self.rows, self.requests)
    }
}

fn line(lanes: &mut BTreeMap<String, Lane>, event: &RunEvent) -> Option<String> {
    match event {
        RunEvent::Started { stream, units } => {
            lanes.insert(stream.clone(), Lane::new(*units));
            None
        }
        RunEvent::Expected { .. } => None,
        RunEvent::Page { stream, rows, requests } => {
            let lane = lanes.get_mut(stream)?;
            lane.page(*rows, *requests);
            if lane.told.elapsed() < PLAIN_EVERY {
                return None;
            }
            lane.told = Instant::now();
            Some(format!("{stream}: {}", lane.text()))
        }
        RunEvent::Committed { stream, what, units } => {
            let lane = lanes.get_mut(stream)?;
            lane.done += units;
            (lane.units.is_some_and(|units| units > 1)).then(|| format!("{stream}: committed {what}"))
        }
        RunEvent::Notice { stream, text } => Some(format!("{stream}: {text}")),
        RunEvent::Ended(report) => {
            let lane = lanes.get(&report.stream)?;
            Some(format!("{}: {} ({})", report.stream, report.status.name(), lane.text()))
        }
    }
}

fn log(run: &str, event: &RunEvent) {
    match event {
        RunEvent::Started { stream, units } => tracing::info!(run, stream, ?units, "started"),
        RunEvent::Expected { stream, requests } => tracing::info!(run, stream, requests, "expected"),
        RunEvent::Page { stream, rows, requests } => tracing::debug!(run, stream, rows, requests, "page"),
        RunEvent::Committed { stream, what, .. } => tracing::info!(run, stream, what, "committed"),
        RunEvent::Notice { stream, text } => tracing::info!(run, stream, text, "notice"),
        RunEvent::Ended(report) => {
            tracing::info!(
                run,
                stream = report.stream,
                status = report.status.name(),
                rows = report.rows.fetched,
                "ended"
            );
        }
    }
}

/// One line a stream.
fn bars(settings: &RunSettings) -> Listening {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{spinner} {prefix:<30} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let lanes: BTreeMap<String, (ProgressBar, Lane)> = settings
        .jobs
        .iter()
        .map(|job| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style.clone()));
            bar.set_prefix(job.stream.stream.clone());
            bar.set_message("waiting");
            bar.enable_steady_tick(Duration::from_millis(200));
            (job.stream.stream.clone(), (bar, Lane::new(None)))
        })
        .collect();
    let lanes = Mutex::new(lanes);
    let above = bars.clone();
    let hear: Listener = Arc::new(move |event| {
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        draw(&mut lanes, &above, &event);
    });
    Listening { hear, bars: Some(bars) }
}

fn draw(lanes: &mut BTreeMap<String, (ProgressBar, Lane)>, above: &MultiProgress, event: &RunEvent) {
    match event {
        RunEvent::Started { stream, units } => {
            if let Some((_, lane)) = lanes.get_mut(stream) {
                *lane = Lane::new(*units);
            }
        }
        RunEvent::Expected { .. } => {}
        RunEvent::Page { stream, rows, requests } => {
            if let Some((bar, lane)) = lanes.get_mut(stream) {
                lane.page(*rows, *requests);
                bar.set_message(lane.text());
            }
        }
        RunEvent::Committed { stream, units, .. } => {
            if let Some((bar, lane)) = lanes.get_mut(stream) {
                lane.done += units;
                bar.set_message(lane.text());
            }
        }
        RunEvent::Notice { stream, text } => {
            // A terminal that is gone has nobody to tell.
            let _ = above.println(format!("{stream}: {text}"));
        }
        RunEvent::Ended(report) => {
            if let Some((bar, lane)) = lanes.get_mut(&report.stream) {
                bar.finish_with_message(format!("{} · {}", report.status.name(), lane.text()));
            }
        }
    }
}
