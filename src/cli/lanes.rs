//! What is known of the streams under way, in the words of a progress line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::span::{self, counted};
use crate::run::RunEvent;

/// The streams of a run. One limiter lets all of their requests through.
#[derive(Debug)]
pub struct Lanes {
    lanes: BTreeMap<String, Lane>,
    /// Requests a second; 0 is unlimited.
    rate: f64,
}

/// One stream.
#[derive(Debug)]
struct Lane {
    began: Instant,
    told: Instant,
    rows: u64,
    requests: u64,
    /// How many requests there will have been when it is done.
    expected: Option<u64>,
    days: Option<u64>,
    done: u64,
    ended: bool,
}

impl Lane {
    fn new(days: Option<u64>) -> Self {
        Self {
            began: Instant::now(),
            told: Instant::now(),
            rows: 0,
            requests: 0,
            expected: None,
            days,
            done: 0,
            ended: false,
        }
    }

    /// What matters most comes first, for a narrow terminal cuts the end off.
    fn text(&self, left: Option<String>) -> String {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.rows as f64 / seconds;
        let days = self.days.map(|days| format!("{}/{days} days", self.done));
        let left = left.map(|left| format!("{left} left"));
        let rows = counted(self.rows, "row");
        let requests = counted(self.requests, "request");
        let parts = [
            days,
            left,
            Some(rows),
            Some(requests),
            Some(format!("{rate:.0} rows/s")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Lanes {
    /// Nothing has begun yet; `rate` is in requests a second.
    pub fn new(rate: f64) -> Self {
        Self {
            lanes: BTreeMap::new(),
            rate,
        }
    }

    /// Takes in what happened.
    pub fn hear(&mut self, event: &RunEvent) {
        if let RunEvent::Started { stream, days } = event {
            self.lanes.insert(stream.clone(), Lane::new(*days));
        }
        let Some(lane) = stream(event).and_then(|stream| self.lanes.get_mut(stream)) else {
            return;
        };
        match event {
            RunEvent::Expected { requests, .. } => lane.expected = Some(*requests),
            RunEvent::Page { rows, requests, .. } => {
                lane.rows += *rows;
                lane.requests = *requests;
            }
            RunEvent::Committed { days, .. } => lane.done += days.unwrap_or_default(),
            RunEvent::Ended(_) => lane.ended = true,
            RunEvent::Started { .. } | RunEvent::Notice { .. } => {}
        }
    }

    /// What `stream` has done, as far as it has begun.
    pub fn done(&self, stream: &str) -> Option<String> {
        self.lanes.get(stream).map(|lane| lane.text(None))
    }

    /// The same, and how long the whole run still takes.
    pub fn text(&self, stream: &str) -> Option<String> {
        self.lanes.get(stream).map(|lane| lane.text(self.left()))
    }

    /// Whether `stream` covers days, so that each part is worth a line.
    pub fn in_days(&self, stream: &str) -> bool {
        let days = self.lanes.get(stream).and_then(|lane| lane.days);
        days.is_some_and(|days| days > 1)
    }

    /// Whether nothing was told of `stream` for as long as `every`; then it counts as told now.
    pub fn due(&mut self, stream: &str, every: Duration) -> bool {
        let lane = self.lanes.get_mut(stream).filter(|lane| lane.told.elapsed() >= every);
        lane.is_some_and(|lane| {
            lane.told = Instant::now();
            true
        })
    }

    /// How long the requests take that are still expected; `None` without a limit, and where none are known of.
    fn left(&self) -> Option<String> {
        let under_way = || self.lanes.values().filter(|lane| !lane.ended);
        let known = under_way().filter_map(|lane| Some(lane.expected?.saturating_sub(lane.requests)));
        let left: u64 = known.sum();
        if self.rate <= 0.0 || left == 0 {
            return None;
        }
        // What a stream will ask that does not know yet comes on top.
        let word = if under_way().all(|lane| lane.expected.is_some()) {
            "about"
        } else {
            "at least"
        };
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = left as f64 / self.rate;
        Some(format!("{word} {}", span::rough(seconds)))
    }
}

fn stream(event: &RunEvent) -> Option<&str> {
    Some(match event {
        RunEvent::Started { stream, .. }
        | RunEvent::Expected { stream, .. }
        | RunEvent::Page { stream, .. }
        | RunEvent::Committed { stream, .. }
        | RunEvent::Notice { stream, .. } => stream,
        RunEvent::Ended(report) => &report.stream,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(lanes: &mut Lanes, stream: &str) {
        let stream = stream.to_owned();
        lanes.hear(&RunEvent::Started { stream, days: None });
    }

    fn expected(lanes: &mut Lanes, stream: &str, requests: u64) {
        let stream = stream.to_owned();
        lanes.hear(&RunEvent::Expected { stream, requests });
    }

    fn page(lanes: &mut Lanes, stream: &str, requests: u64) {
        let (stream, rows) = (stream.to_owned(), 10);
        lanes.hear(&RunEvent::Page { stream, rows, requests });
    }

    #[test]
    fn what_is_left_is_of_all_streams_together() {
        let mut lanes = Lanes::new(10.0);
        started(&mut lanes, "a");
        started(&mut lanes, "b");
        assert_eq!(lanes.left(), None);
        expected(&mut lanes, "a", 1300);
        page(&mut lanes, "a", 100);
        assert_eq!(lanes.left().unwrap(), "at least 2 min");
        expected(&mut lanes, "b", 1800);
        assert_eq!(lanes.left().unwrap(), "about 5 min");
        expected(&mut lanes, "a", 160);
        page(&mut lanes, "b", 1850);
        assert_eq!(lanes.left().unwrap(), "about 10 s");
        let text = lanes.text("a").unwrap();
        assert!(text.starts_with("about 10 s left, 10 rows, 100 requests, "), "{text}");
    }

    /// The widest line that a terminal of eighty columns is to show: behind the name it has 47 of them.
    #[test]
    fn days_and_time_left_come_before_what_may_be_cut() {
        let mut lanes = Lanes::new(10.0);
        let (stream, days) = ("a".to_owned(), Some(3650));
        lanes.hear(&RunEvent::Started { stream, days });
        expected(&mut lanes, "a", 900_000);
        started(&mut lanes, "b");
        let text = lanes.text("a").unwrap();
        let end = text.find(" left").unwrap() + " left".len();
        assert!(
            text.starts_with("0/3650 days, at least 25 h 0 min left, ") && end <= 47,
            "{text}"
        );
    }

    #[test]
    fn without_a_limit_nobody_knows_how_long_it_takes() {
        let mut lanes = Lanes::new(0.0);
        started(&mut lanes, "a");
        expected(&mut lanes, "a", 1000);
        assert_eq!(lanes.left(), None);
        assert!(lanes.text("a").unwrap().starts_with("0 rows, 0 requests, "));
        assert_eq!(lanes.text("b"), None);
    }

    #[test]
    fn a_line_is_due_once_in_a_while() {
        let mut lanes = Lanes::new(10.0);
        started(&mut lanes, "a");
        assert!(!lanes.due("a", Duration::from_secs(60)));
        assert!(lanes.due("a", Duration::ZERO));
        assert!(!lanes.due("b", Duration::ZERO));
    }
}
