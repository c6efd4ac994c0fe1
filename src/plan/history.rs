//! Where the API counts nothing: what earlier runs have read says how much a day brings.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use super::ask::back;
use super::forecast::{Basis, Forecast, float, pages};
use super::months::seconds;
use super::{Ask, ScanPlan, top};
use crate::manifest::{Coverage, TableState};
use crate::stream::{Shape, Stream, Window, day_of, days, whole_day};

/// Up to so many whole days before the mark say how much a day brings: a week has every day of the week once.
const HISTORY_DAYS: i64 = 7;

/// From the newest row back to a bound, in pages of `limit` rows; `stored` is how many rows the table holds of each day.
pub fn scan(
    stream: &Stream,
    plan: &ScanPlan,
    ask: &Ask,
    state: &TableState,
    stored: &BTreeMap<Date, u64>,
    limit: u32,
) -> Forecast {
    // What is older than is promised ends the pages before the bound does.
    let promised = promised(stream, ask);
    let lower = plan.lower.filter(|lower| *lower > promised);
    let ranges = ranges(plan, lower.unwrap_or(promised), ask.now);
    let mut known = state.coverage.clone();
    if let Some(read) = plan
        .resume
        .as_ref()
        .and_then(|scan| Window::new(scan.reached, scan.upper))
    {
        known.add(read, &[]);
    }
    let history = History { known: &known, stored };
    let Some(a_day) = history.a_day(ask.now) else {
        let why = "nothing to go by: the API has no time filter and counts these rows nowhere, and no whole day is stored yet";
        return Forecast {
            windows: ranges,
            ..Forecast::unknown(why)
        };
    };
    let bounded = lower.is_some();
    let (mut asked, mut rows, mut new) = (0, 0.0, 0.0);
    for (place, range) in ranges.iter().enumerate() {
        let here = history.rows(*range, a_day);
        // Only a page of older rows tells that the bound was passed.
        let passing = u64::from(bounded || place + 1 < ranges.len());
        let pages = pages(here, limit) + passing;
        asked += pages;
        // Where older rows lie behind the bound, the last pages are full of them.
        rows += if passing > 0 {
            float(pages) * f64::from(limit)
        } else {
            here
        };
        new += known
            .uncovered(*range)
            .iter()
            .map(|part| history.rows(*part, a_day))
            .sum::<f64>();
    }
    let lost = plan.lost.map(|lost| {
        let (from, to) = (day_of(lost.from), day_of(lost.to));
        format!("what happened from {from} to {to} may not be served any more")
    });
    Forecast {
        windows: ranges,
        notes: lost.into_iter().collect(),
        ..Forecast::new(Basis::History).asking(asked, rows, new)
    }
}

/// From when on the API promises to serve rows.
fn promised(stream: &Stream, ask: &Ask) -> Timestamp {
    match stream.sync {
        Shape::Scan { retention_days, .. } => back(ask.now, days(retention_days)),
        _ => ask.now,
    }
}

/// The stretches that a scan reads, the newest first: what is new on top of an unfinished one, then the rest.
fn ranges(plan: &ScanPlan, lower: Timestamp, now: Timestamp) -> Vec<Window> {
    let ranges = match &plan.resume {
        None => [None, Window::new(lower, now)],
        Some(scan) => {
            let top = top(scan).max(lower);
            [Window::new(top, now), Window::new(lower, scan.reached)]
        }
    };
    ranges.into_iter().flatten().collect()
}

/// What earlier runs have read, by day.
struct History<'a> {
    known: &'a Coverage,
    stored: &'a BTreeMap<Date, u64>,
}

impl History<'_> {
    /// How many rows a day brings; `None` when no whole day was read.
    fn a_day(&self, now: Timestamp) -> Option<f64> {
        let end = self.known.windows().last()?.to.min(now);
        let day = |back: i64| whole_day(day_of(end).checked_sub(Span::new().days(back)).ok()?);
        let whole = (1..=HISTORY_DAYS).map_while(|back| day(back).filter(|day| self.is_known(*day)));
        let counts: Vec<f64> = whole.map(|day| self.of(day)).collect();
        (!counts.is_empty()).then(|| counts.iter().sum::<f64>() / float(counts.len() as u64))
    }

    /// The rows in `range`: as they were read, and `a_day` where nothing was read.
    fn rows(&self, range: Window, a_day: f64) -> f64 {
        let mut rows = 0.0;
        for part in range.split_days(1) {
            let Some(day) = whole_day(day_of(part.from)) else {
                continue;
            };
            let count = if self.is_known(day) { self.of(day) } else { a_day };
            rows += count * seconds(part) / seconds(day);
        }
        rows
    }

    fn is_known(&self, day: Window) -> bool {
        self.known.uncovered(day).is_empty()
    }

    fn of(&self, day: Window) -> f64 {
        float(self.stored.get(&day_of(day.from)).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ScanProgress, SchemaRef, SyncMode};
    use crate::stream::Catalog;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A hundred rows on each day of November, read until noon of the 20th.
    fn read() -> (TableState, BTreeMap<Date, u64>) {
        let schema = SchemaRef {
            version: 1,
            fingerprint: String::new(),
        };
        let mut state = TableState::new("activities", "t", schema);
        state.mark = Some(at("2026-11-20T12:00:00Z"));
        let read = Window::new(at("2026-11-01T00:00:00Z"), at("2026-11-20T12:00:00Z")).unwrap();
        state.coverage.add(read, &[]);
        let stored = read.split_days(1).into_iter().map(|day| (day_of(day.from), 100));
        (state, stored.collect())
    }

    fn foretold(sync: SyncMode, now: &str, state: &TableState, stored: &BTreeMap<Date, u64>) -> Forecast {
        let stream = Catalog::load().unwrap().get("activities").unwrap();
        let ask = Ask {
            standing: None,
            since: None,
            until: None,
            lookback: days(7),
            now: at(now),
        };
        let plan = super::super::scan(&stream, sync, &ask, state);
        scan(&stream, &plan, &ask, state, stored, 100)
    }

    #[test]
    fn the_days_before_the_mark_say_what_the_days_after_it_bring() {
        let (state, stored) = read();
        let forecast = foretold(SyncMode::Incremental, "2026-11-22T12:00:00Z", &state, &stored);
        // Nine days of a page each, and a page that lies behind the bound.
        assert_eq!((forecast.basis, forecast.requests), (Basis::History, Some(10)));
        assert_eq!((forecast.rows, forecast.new), (Some(1000), Some(200)));
    }

    #[test]
    fn a_full_table_reads_what_is_promised() {
        let (state, stored) = read();
        let forecast = foretold(SyncMode::FullTable, "2026-11-22T12:00:00Z", &state, &stored);
        assert_eq!((forecast.requests, forecast.rows), (Some(30), Some(3000)));
        assert_eq!(forecast.windows[0].from, at("2026-10-23T12:00:00Z"));
    }

    #[test]
    fn an_unfinished_scan_is_read_on_top_and_below() {
        let (mut state, stored) = read();
        (state.mark, state.coverage) = (None, Coverage::default());
        state.scan = Some(ScanProgress {
            upper: at("2026-11-20T12:00:00Z"),
            lower: None,
            reached: at("2026-11-10T00:00:00Z"),
            cursor: None,
            topped: None,
        });
        let forecast = foretold(SyncMode::Incremental, "2026-11-21T11:00:00Z", &state, &stored);
        // A day on top and a page to pass its bound, then eighteen and a half days to the end.
        assert_eq!((forecast.windows.len(), forecast.requests), (2, Some(1 + 1 + 19)));
    }

    #[test]
    fn nothing_is_known_before_a_day_was_read_and_quiet_days_are_known() {
        let (mut state, _) = read();
        let quiet = foretold(SyncMode::Incremental, "2026-11-22T12:00:00Z", &state, &BTreeMap::new());
        assert_eq!((quiet.requests, quiet.new), (Some(2), Some(0)));
        state.coverage = Coverage::default();
        let forecast = foretold(SyncMode::Incremental, "2026-11-22T12:00:00Z", &state, &BTreeMap::new());
        assert_eq!((forecast.basis, forecast.requests), (Basis::Unknown, None));
    }
}
