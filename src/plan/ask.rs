//! What a run is asked for, and what of an earlier one it may go on with.

use jiff::{SignedDuration, Timestamp};

use crate::stream::{floor_day, next_day};

/// An unfinished full-table run is gone on with by the next one for this long: nights are a day apart, give or take, and one may take several.
const FULL_TABLE_KEEPS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What was asked for on the command line or in the config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The beginning of the range, if one was named.
    pub since: Option<Timestamp>,
    /// The beginning that stands in a config file for every run, even where this one was told another.
    pub standing: Option<Timestamp>,
    /// The end of the range, if one was named.
    pub until: Option<Timestamp>,
    /// How far before the mark rows are read again.
    pub lookback: SignedDuration,
    /// The run's idea of now.
    pub now: Timestamp,
}

impl Ask {
    /// The day on which the range begins, if a beginning was named: one that stands in a file moves on every night, and must not leave
    /// out what nights without a run have left unread, from `due` on.
    pub(super) fn begin(&self, due: Option<Timestamp>) -> Option<Timestamp> {
        let since = self.since.map(floor_day)?;
        let left = due.filter(|_| self.since == self.standing);
        Some(left.map_or(since, |left| since.min(left)))
    }
}

/// Whether an unfinished full-table run that began at `began` is young enough to be gone on with.
pub(super) fn may_continue(began: Timestamp, ask: &Ask) -> bool {
    ask.now.duration_since(began).abs() <= FULL_TABLE_KEEPS
}

/// Midnight UTC at or after `time`.
pub fn ceil_day(time: Timestamp) -> Timestamp {
    if floor_day(time) == time { time } else { next_day(time) }
}

pub(super) fn back(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
