//! Half-open intervals of time, and the UTC days that partitions are made of.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// `from` is inside, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
}

impl Window {
    /// The interval from `from` up to, not including, `to`; `None` when it would be empty.
    pub fn new(from: Timestamp, to: Timestamp) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// Whether `time` lies inside.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.from <= time && time < self.to
    }

    /// What both have in common.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::new(self.from.max(other.from), self.to.min(other.to))
    }

    /// How many UTC days it touches.
    pub fn days(&self) -> u64 {
        let last = self.to.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(self.to);
        let seconds = next_day(last).duration_since(floor_day(self.from)).as_secs();
        u64::try_from(seconds / DAY).unwrap_or(0)
    }

    /// Consecutive pieces of at most `days` days, about equally long, that tile this window; they meet at midnights UTC.
    pub fn split_days(&self, days: u32) -> Vec<Self> {
        let count = self.days().div_ceil(u64::from(days.max(1))).max(1);
        let length = self.days().div_ceil(count).max(1).cast_signed();
        let mut pieces = Vec::new();
        let mut from = self.from;
        while from < self.to {
            let end = floor_day(from).saturating_add(SignedDuration::from_secs(DAY * length));
            let to = end.unwrap_or(self.to).min(self.to);
            pieces.extend(Self::new(from, to));
            from = to;
        }
        pieces
    }
}

/// The UTC day of `time`.
pub fn day_of(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

/// The UTC day from midnight to midnight; `None` at the edges of what a timestamp can say.
pub fn whole_day(day: Date) -> Option<Window> {
    let from = TimeZone::UTC.to_timestamp(day.to_datetime(Time::midnight())).ok()?;
    Window::new(from, next_day(from))
}

/// Midnight UTC at or before `time`.
pub fn floor_day(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() - time.as_second().rem_euclid(DAY);
    // Below the least timestamp there is no midnight left.
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
}

/// Midnight UTC after `time`.
pub fn next_day(time: Timestamp) -> Timestamp {
    Timestamp::from_second(floor_day(time).as_second() + DAY).unwrap_or(Timestamp::MAX)
}

/// `count` days as a duration.
pub fn days(count: u32) -> SignedDuration {
    SignedDuration::from_secs(DAY * i64::from(count))
}

const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn pieces_tile_the_window_and_meet_at_midnight() {
        let window = Window::new(at("2026-01-01T05:00:00Z"), at("2026-02-10T03:00:00Z")).unwrap();
        let pieces = window.split_days(31);
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].from, window.from);
        assert_eq!(pieces[0].to, at("2026-01-22T00:00:00Z"));
        assert_eq!(pieces[1].from, pieces[0].to);
        assert_eq!(pieces[1].to, window.to);
    }

    #[test]
    fn an_empty_window_does_not_exist() {
        let t = at("2026-01-01T00:00:00Z");
        assert_eq!(Window::new(t, t), None);
    }

    #[test]
    fn days_before_1970_round_down() {
        assert_eq!(floor_day(at("1969-12-31T23:00:00Z")), at("1969-12-31T00:00:00Z"));
    }
}
