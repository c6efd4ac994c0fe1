//! Activities: what people did and what was done to them, newest first by event time.
//!
//! Most rows arrive when they happen. Some are displaced: they arrive days after their time (a phone that was offline), or
//! before it (a clock that is wrong). Both kinds are monotone in their time, so that a page is a merge of two walks back.

use super::chance::{Dice, Kind, ulid};
use super::timeline::{DAY, HOUR, Pace, SECOND};
use super::workspace::Workspace;

/// One in so many activities is displaced.
const DISPLACED_ONE_IN: u64 = 40;
/// The number of activities of a workspace is about so long a time.
const KEPT: i64 = 30 * DAY;
/// No row is dated further into the future.
const FURTHEST: i64 = 3 * DAY;

/// The two sequences of activities. Indices begin with the history, so that they never change.
#[derive(Debug, Clone)]
pub(super) struct Activities {
    seed: u64,
    prompt: Pace,
    displaced: Pace,
    any: bool,
}

/// Which activity: the order among rows of one millisecond too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Event time in milliseconds since 1970.
    pub(super) time: i64,
    pub(super) displaced: bool,
    pub(super) index: u64,
}

impl Activities {
    pub(super) fn new(workspace: &Workspace) -> Self {
        let displaced = workspace.activities / DISPLACED_ONE_IN;
        let pace = |lane: Kind, count: u64| Pace::new(workspace.seed, lane as u64, workspace.start_ms(), KEPT, count);
        Self {
            seed: workspace.seed,
            prompt: pace(Kind::Activity, workspace.activities - displaced).with_bursts(),
            displaced: pace(Kind::Displaced, displaced),
            any: workspace.activities > 0,
        }
    }

    /// The activities served at `now`, for so many days, newest first, from behind `after` on.
    pub(super) fn newest_first(
        &self,
        now: i64,
        days: u32,
        after: Option<Position>,
    ) -> impl Iterator<Item = Position> + '_ {
        let oldest = now - i64::from(days) * DAY;
        let mut prompt = self.walk_back(false, now, after);
        let mut displaced = self
            .walk_back(true, now + FURTHEST, after)
            .filter(move |at| self.arrival(at.index) <= now);
        let (mut left, mut right) = (prompt.next(), displaced.next());
        std::iter::from_fn(move || {
            if left > right {
                std::mem::replace(&mut left, prompt.next())
            } else {
                std::mem::replace(&mut right, displaced.next())
            }
        })
        .take_while(move |at| at.time >= oldest)
    }

    /// The position of an index, as a cursor names it.
    pub(super) fn position(&self, displaced: bool, index: u64) -> Position {
        let pace = if displaced { &self.displaced } else { &self.prompt };
        Position {
            time: pace.time(index),
            displaced,
            index,
        }
    }

    /// The row's id: the ULID of its arrival.
    pub(super) fn id(&self, at: Position) -> [u8; 26] {
        let arrival = if at.displaced { self.arrival(at.index) } else { at.time };
        ulid(arrival, &mut self.dice(at))
    }

    /// The draws for the facts of one row.
    pub(super) fn dice(&self, at: Position) -> Dice {
        let kind = if at.displaced { Kind::Displaced } else { Kind::Activity };
        Dice::new(self.seed, kind, at.index)
    }

    /// When displaced row `index` is first served.
    fn arrival(&self, index: u64) -> i64 {
        let mut dice = Dice::new(self.seed, Kind::Displaced, !index);
        let delay = match dice.below(100) {
            0..70 => dice.between(HOUR, 5 * DAY),
            70..85 => dice.between(5 * DAY, 20 * DAY),
            _ => -dice.between(10 * SECOND, FURTHEST),
        };
        self.displaced.time(index) + delay
    }

    /// The rows of one sequence that are dated `latest` or before, and behind `after`.
    fn walk_back(&self, displaced: bool, latest: i64, after: Option<Position>) -> impl Iterator<Item = Position> + '_ {
        let pace = if displaced { &self.displaced } else { &self.prompt };
        let latest = after.map_or(latest, |after| latest.min(after.time));
        let end = if self.any { pace.count_until(latest) } else { 0 };
        let rows = (0..end).rev().map(move |index| self.position(displaced, index));
        rows.skip_while(move |at| after.is_some_and(|after| *at >= after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activities() -> (Activities, i64) {
        let workspace = Workspace::default();
        (Activities::new(&workspace), workspace.now.as_millisecond())
    }

    #[test]
    fn rows_come_newest_first_and_for_thirty_days() {
        let (activities, now) = activities();
        let rows: Vec<Position> = activities.newest_first(now, 30, None).collect();
        assert!((5_800..6_100).contains(&rows.len()), "{}", rows.len());
        assert!(rows.is_sorted_by(|a, b| a > b));
        assert!(rows.iter().all(|row| row.time >= now - KEPT));
        assert!(rows.iter().any(|row| row.time > now + HOUR));
        assert!(rows.iter().filter(|row| row.displaced && row.time < now - DAY).count() > 20);
    }

    #[test]
    fn any_row_can_be_gone_on_from() {
        let (activities, now) = activities();
        let rows: Vec<Position> = activities.newest_first(now, 30, None).take(501).collect();
        for pair in rows.windows(2) {
            let next = activities.newest_first(now, 30, Some(pair[0])).next();
            assert_eq!(next, Some(pair[1]));
        }
    }

    #[test]
    fn late_rows_arrive_below_the_top() {
        let (activities, now) = activities();
        let before: Vec<Position> = activities.newest_first(now, 30, None).collect();
        let after: Vec<Position> = activities.newest_first(now + DAY, 30, None).collect();
        let late = after
            .iter()
            .filter(|row| row.time < now - HOUR && !before.contains(row))
            .count();
        assert!(late > 2, "{late}");
        let lost = before
            .iter()
            .filter(|row| !after.contains(row))
            .all(|row| row.time < now + DAY - KEPT);
        assert!(lost);
    }

    #[test]
    fn an_empty_workspace_has_none() {
        let activities = Activities::new(&Workspace {
            activities: 0,
            ..Workspace::default()
        });
        assert_eq!(activities.newest_first(i64::MAX / 4, 30, None).count(), 0);
    }
}
