//! What a run would ask for, as far as that can be known before it asks: requests and rows, and what the numbers rest on.
//!
//! One function for each shape of traffic. The first request of a stream, which only finds out about the right to it, is not in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use super::history::scan;
use super::{Months, WindowPlan, WindowTask};
use crate::manifest::{SyncMode, TableState};
use crate::stream::Window;

/// A long chain is cut into stretches of so many pages, at least and at most, which are read side by side: a tenth of what the window
/// holds lies between.
const STRETCH: (f64, f64) = (4.0, 15.0);

/// The last page of a stretch is half full.
const UNFILLED: f64 = 0.5;

/// A message with more pages than this in a window is asked once for its counts, before it is cut.
const COUNTED_BEYOND: u64 = 17;

/// What the numbers of a forecast rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The list that says so was read.
    Exact,
    /// The API's own counts.
    Estimate,
    /// What earlier runs have read.
    History,
    /// Nobody can know.
    Unknown,
}

/// What a run of one stream would ask for; `None` where that cannot be known.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// What the numbers rest on.
    pub basis: Basis,
    /// The intervals that are read, where there are such.
    pub windows: Vec<Window>,
    /// How many transactional messages are asked.
    pub messages: Option<u64>,
    /// Pages of rows.
    pub pages: Option<u64>,
    /// Requests for them.
    pub requests: Option<u64>,
    /// Rows that are read.
    pub rows: Option<u64>,
    /// How many of them are not stored yet.
    pub new: Option<u64>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// What a transactional message has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// Its deliveries by month.
    Months(Months),
    /// It answers 404.
    Missing,
    /// It could not be asked.
    Unknown,
}

impl Forecast {
    pub(super) fn new(basis: Basis) -> Self {
        Self {
            basis,
            windows: Vec::new(),
            messages: None,
            pages: None,
            requests: None,
            rows: None,
            new: None,
            notes: Vec::new(),
        }
    }

    /// Nobody can know, because of `why`.
    pub fn unknown(why: &str) -> Self {
        Self {
            notes: vec![why.to_owned()],
            ..Self::new(Basis::Unknown)
        }
    }

    pub(super) fn asking(self, pages: u64, rows: f64, new: f64) -> Self {
        Self {
            pages: Some(pages),
            requests: Some(pages),
            rows: Some(whole(rows)),
            new: Some(whole(new)),
            ..self
        }
    }
}

/// A whole list. `listed` is how many rows it has, where it was read; otherwise the last run says.
pub fn list(listed: Option<u64>, sync: SyncMode, state: Option<&TableState>, limit: Option<u32>) -> Forecast {
    let stored = state.map_or(0, TableState::rows);
    let read_before = state.and_then(|state| {
        let last = state.runs.iter().rev().find(|run| run.ended_well())?;
        // A full-table run may have read the list twice.
        Some(match last.sync {
            SyncMode::Incremental => last.rows.fetched,
            SyncMode::FullTable => stored,
        })
    });
    let (rows, basis) = match (listed, read_before) {
        (Some(rows), _) => (rows, Basis::Exact),
        (None, Some(rows)) => (rows, Basis::History),
        (None, None) => {
            return Forecast::unknown(
                "first run: the API does not say how many rows there are; the whole list is read",
            );
        }
    };
    // What is stored and was not met is looked for in a second reading before it is taken away.
    let readings = if sync == SyncMode::FullTable && stored > rows {
        2
    } else {
        1
    };
    let pages = limit.map_or(1, |limit| pages(float(rows), limit));
    Forecast::new(basis).asking(readings * pages, float(rows), float(rows.saturating_sub(stored)))
}

/// The present values of `asked` messages, `listed` of which are there; `stored` rows of today are there already.
pub fn snapshot(asked: u64, listed: u64, stored: u64) -> Forecast {
    Forecast {
        messages: Some(asked),
        ..Forecast::new(Basis::Exact).asking(asked, float(listed), float(listed.saturating_sub(stored)))
    }
}

/// Time windows of each of `messages`, in pages of `limit` rows.
pub fn windows(plan: &WindowPlan, messages: &BTreeMap<i64, Counted>, state: &TableState, limit: u32) -> Forecast {
    let (mut sum, mut missing, mut unknown) = (Sum::default(), BTreeSet::new(), BTreeSet::new());
    let (mut asked, mut long) = (BTreeSet::new(), BTreeSet::new());
    for task in &plan.tasks {
        // What was not read of some messages is new all of it.
        let fresh = match task.only {
            Some(_) => vec![task.window],
            None => state.coverage.uncovered(task.window),
        };
        let mut filled = Vec::new();
        for (id, counted) in whom(task, messages) {
            asked.insert(id);
            match counted {
                Counted::Months(months) => {
                    let pages = sum.add(months, task.window, &fresh, limit);
                    filled.push(pages);
                    if pages > COUNTED_BEYOND {
                        long.insert(id);
                    }
                }
                // One 404 speaks for every window.
                Counted::Missing => _ = missing.insert(id),
                Counted::Unknown => {
                    unknown.insert(id);
                    filled.push(1);
                }
            }
        }
        sum.pages += filled.iter().sum::<u64>();
        sum.requests += requests(&filled);
    }
    let known = asked.len() - missing.len() - unknown.len();
    let mut forecast = match (known, unknown.len()) {
        (0, 1..) => Forecast::unknown("no transactional message could be asked how much it has sent"),
        _ if asked.is_empty() => Forecast::new(Basis::Exact).asking(0, 0.0, 0.0),
        _ => {
            let gone = missing.len() as u64;
            Forecast {
                requests: Some(whole(sum.requests) + gone + long.len() as u64),
                ..Forecast::new(Basis::Estimate).asking(sum.pages + gone, sum.rows, sum.new)
            }
        }
    };
    if known > 0 && !unknown.is_empty() {
        let text = format!(
            "{} of {} transactional messages are counted as one page a window: how much they have sent could not be asked",
            unknown.len(),
            asked.len()
        );
        forecast.notes.push(text);
    }
    Forecast {
        windows: plan.tasks.iter().map(|task| task.window).collect(),
        messages: Some(asked.len() as u64),
        ..forecast
    }
}

/// The messages that `task` asks, and what they have counted.
fn whom<'a>(task: &'a WindowTask, messages: &'a BTreeMap<i64, Counted>) -> impl Iterator<Item = (i64, &'a Counted)> {
    let wanted = |id: &i64| task.only.as_ref().is_none_or(|only| only.contains(id));
    messages
        .iter()
        .filter(move |(id, _)| wanted(id))
        .map(|(id, counted)| (*id, counted))
}

/// What messages and windows add up to.
#[derive(Debug, Default)]
struct Sum {
    pages: u64,
    requests: f64,
    rows: f64,
    new: f64,
}

impl Sum {
    /// Enters what one message holds in `window`, and answers the pages that it fills.
    fn add(&mut self, months: &Months, window: Window, fresh: &[Window], limit: u32) -> u64 {
        let rows = months.rows(window);
        self.rows += rows;
        self.new += fresh.iter().map(|fresh| months.rows(*fresh)).sum::<f64>();
        pages(rows, limit)
    }
}

/// One message in one window is one chain of pages; where nothing lies there it is asked all the same.
pub(super) fn pages(rows: f64, limit: u32) -> u64 {
    whole((rows / f64::from(limit.max(1))).ceil()).max(1)
}

/// What the messages of one window cost, given how many pages each of them fills: a first page each, and what is long in stretches.
fn requests(pages: &[u64]) -> f64 {
    let rests = || pages.iter().map(|pages| float(pages.saturating_sub(1)));
    let length = (rests().sum::<f64>() / 10.0).clamp(STRETCH.0, STRETCH.1);
    let costs = rests().map(|rest| {
        let stretches = if rest > length { (rest / length).ceil() } else { 0.0 };
        1.0 + rest + UNFILLED * stretches
    });
    costs.sum()
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float beyond the range becomes the end of it"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{RowCounts, RunRecord, SchemaRef};
    use jiff::Timestamp;

    fn state() -> TableState {
        let schema = SchemaRef {
            version: 1,
            fingerprint: String::new(),
        };
        TableState::new("s", "t", schema)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(from: &str, to: &str) -> Window {
        Window::new(at(from), at(to)).unwrap()
    }

    fn plan(tasks: &[(Window, Option<Vec<i64>>)]) -> WindowPlan {
        let task = |(window, only): &(Window, Option<Vec<i64>>)| WindowTask {
            window: *window,
            only: only.clone(),
        };
        WindowPlan {
            tasks: tasks.iter().map(task).collect(),
            since: at("2026-01-01T00:00:00Z"),
            until: at("2026-12-01T00:00:00Z"),
        }
    }

    #[test]
    fn a_page_that_is_begun_is_a_request_and_long_chains_cost_a_little_more() {
        for (rows, filled) in [(0.0, 1), (0.4, 1), (1000.0, 1), (1000.5, 2), (99_999.0, 100)] {
            assert_eq!(pages(rows, 1000), filled, "{rows}");
        }
        let costs = |filled: &[u64], requested: f64| assert!((requests(filled) - requested).abs() < 1e-9, "{filled:?}");
        costs(&[], 0.0);
        costs(&[1, 1, 5], 7.0);
        costs(&[1, 9], 11.0);
        costs(&[301, 1, 4], 306.0 + 10.0);
    }

    #[test]
    fn each_message_is_counted_in_the_windows_that_ask_it() {
        let (early, late) = (
            window("2026-09-01T05:00:00Z", "2026-10-01T05:00:00Z"),
            window("2026-10-01T05:00:00Z", "2026-11-01T05:00:00Z"),
        );
        let months = |counts: &[u64]| Counted::Months(Months::new(counts, at("2026-11-10T05:00:00Z")));
        let messages = BTreeMap::from([
            (1, months(&[2500, 100, 0])),
            (2, months(&[0, 40, 0])),
            (3, Counted::Missing),
            (4, Counted::Unknown),
        ]);
        let mut known = state();
        known.coverage.add(late, &[]);
        let plan = plan(&[(early, Some(vec![1])), (late, None)]);
        let forecast = windows(&plan, &messages, &known, 1000);
        // Three pages of the first message, then a page of everybody.
        assert_eq!((forecast.basis, forecast.requests), (Basis::Estimate, Some(3 + 4)));
        assert_eq!((forecast.rows, forecast.new), (Some(2640), Some(2500)));
        assert_eq!((forecast.messages, forecast.notes.len()), (Some(4), 1));
    }

    #[test]
    fn where_nobody_answers_nothing_is_known_and_without_windows_nothing_is_asked() {
        let messages = BTreeMap::from([(1, Counted::Unknown)]);
        let whole = window("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z");
        let forecast = windows(&plan(&[(whole, None)]), &messages, &state(), 1000);
        assert_eq!((forecast.basis, forecast.requests), (Basis::Unknown, None));
        let forecast = windows(&plan(&[]), &messages, &state(), 1000);
        assert_eq!((forecast.basis, forecast.requests), (Basis::Exact, Some(0)));
    }

    #[test]
    fn a_list_is_as_long_as_it_was_and_is_read_twice_where_something_is_to_be_taken_away() {
        assert_eq!(
            list(None, SyncMode::Incremental, None, Some(1000)).basis,
            Basis::Unknown
        );
        let mut state = state();
        for (outcome, fetched) in [("complete", 2100), ("failed", 7)] {
            state.record(RunRecord {
                run: "r".parse().unwrap(),
                started: Timestamp::UNIX_EPOCH,
                ended: Timestamp::UNIX_EPOCH,
                sync: SyncMode::Incremental,
                requests: 0,
                retries: 0,
                rows: RowCounts {
                    fetched,
                    ..RowCounts::default()
                },
                outcome: outcome.into(),
            });
        }
        let known = list(None, SyncMode::Incremental, Some(&state), Some(1000));
        assert_eq!(
            (known.basis, known.requests, known.rows),
            (Basis::History, Some(3), Some(2100))
        );
        let listed = list(Some(12), SyncMode::FullTable, Some(&state), None);
        assert_eq!(
            (listed.basis, listed.requests, listed.new),
            (Basis::Exact, Some(1), Some(12))
        );
    }
}
