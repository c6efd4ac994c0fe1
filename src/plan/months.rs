//! The API's counts by month, and how many of them fall into a window.

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::stream::Window;

/// The API's days begin at midnight five hours behind UTC, daylight saving or not.
const OFFSET: Offset = Offset::constant(-5);

/// The fewest and the most months that the API counts at once.
const STEPS: (i64, i64) = (2, 121);

/// How much there was in each month, the running one last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Months(Vec<(Window, u64)>);

impl Months {
    /// The months that end with the one of `now`, by their `counts`, oldest first.
    pub fn new(counts: &[u64], now: Timestamp) -> Self {
        let months = counts.iter().rev().zip(0..).map_while(|(count, back)| {
            let from = month_start(now, back)?;
            let to = match back {
                // What the running month will bring is not counted yet.
                0 => now.max(from.saturating_add(SignedDuration::from_secs(1)).ok()?),
                _ => month_start(now, back - 1)?,
            };
            Some((Window::new(from, to)?, *count))
        });
        let mut months: Vec<_> = months.collect();
        months.reverse();
        Self(months)
    }

    /// How many months have to be asked for at `now` to reach back to `since`, as far as the API does.
    pub fn steps(since: Timestamp, now: Timestamp) -> i64 {
        let month = |time| {
            let date = OFFSET.to_datetime(time).date();
            i64::from(date.year()) * 12 + i64::from(date.month())
        };
        (month(now) - month(since) + 1).clamp(STEPS.0, STEPS.1)
    }

    /// How much falls into `window`, when what a month holds is spread evenly over it.
    pub fn rows(&self, window: Window) -> f64 {
        let shares = self.0.iter().filter_map(|(month, count)| {
            let common = month.intersection(&window)?;
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let count = *count as f64;
            Some(count * seconds(common) / seconds(*month))
        });
        shares.sum()
    }
}

pub(super) fn seconds(window: Window) -> f64 {
    window.to.duration_since(window.from).as_secs_f64()
}

/// When the month began that is `back` months before the one of `now`.
fn month_start(now: Timestamp, back: i64) -> Option<Timestamp> {
    let first = OFFSET.to_datetime(now).date().first_of_month();
    let first = first.checked_sub(back.months()).ok()?;
    OFFSET.to_timestamp(first.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(from: &str, to: &str) -> Window {
        Window::new(at(from), at(to)).unwrap()
    }

    #[test]
    fn whole_months_count_whole_and_parts_by_their_share() {
        let months = Months::new(&[300, 310, 50], at("2026-11-06T05:00:00Z"));
        assert!((months.rows(window("2026-09-01T05:00:00Z", "2026-10-01T05:00:00Z")) - 300.0).abs() < 1e-9);
        assert!((months.rows(window("2026-10-11T05:00:00Z", "2026-10-21T05:00:00Z")) - 100.0).abs() < 1e-9);
        // The running month is five days old: one of them holds a fifth.
        assert!((months.rows(window("2026-11-05T05:00:00Z", "2026-11-06T05:00:00Z")) - 10.0).abs() < 1e-9);
        assert!((months.rows(window("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z")) - 660.0).abs() < 1e-9);
    }

    #[test]
    fn the_first_hours_of_a_month_in_utc_belong_to_the_month_before() {
        let months = Months::new(&[70, 0], at("2026-12-01T04:00:00Z"));
        assert!((months.rows(window("2026-10-01T05:00:00Z", "2026-11-01T05:00:00Z")) - 70.0).abs() < 1e-9);
        let fresh = Months::new(&[7, 0], at("2026-12-01T05:00:00Z"));
        assert!((fresh.rows(window("2026-11-01T05:00:00Z", "2026-12-01T05:00:00Z")) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn as_many_months_are_asked_for_as_reach_the_beginning() {
        let now = at("2026-11-22T03:00:00Z");
        for (since, steps) in [
            ("2026-11-02T00:00:00Z", 2),
            ("2025-11-22T00:00:00Z", 13),
            ("2025-11-01T00:00:00Z", 14),
            ("1999-01-01T00:00:00Z", 121),
        ] {
            assert_eq!(Months::steps(at(since), now), steps, "{since}");
        }
    }

    proptest! {
        #[test]
        fn windows_that_tile_hold_what_the_whole_holds(
            counts in prop::collection::vec(0_u64..100_000, 1..30),
            now in 1_700_000_000_i64..1_800_000_000,
            from in 0_i64..900, days in 1_i64..900,
            cuts in prop::collection::vec(0_i64..(900 * DAY), 0..6),
        ) {
            let now = Timestamp::from_second(now).unwrap();
            let second = |second| Timestamp::from_second(second).unwrap();
            let begin = now.as_second() - from * DAY;
            let whole = Window::new(second(begin), second(begin + days * DAY)).unwrap();
            let months = Months::new(&counts, now);
            let mut ends: Vec<i64> = cuts.iter().map(|cut| begin + cut).filter(|cut| *cut < begin + days * DAY).collect();
            ends.extend([begin, begin + days * DAY]);
            ends.sort_unstable();
            let tiles = ends.windows(2).filter_map(|two| Window::new(second(two[0]), second(two[1])));
            let sum: f64 = tiles.map(|tile| months.rows(tile)).sum();
            let rows = months.rows(whole);
            prop_assert!((sum - rows).abs() < 1e-6 * (1.0 + rows), "{sum} {rows}");
            let total: u64 = counts.iter().sum();
            prop_assert!(rows >= 0.0 && rows <= total as f64 + 1e-6);
            let reaching = Window::new(second(now.as_second() - 40 * 366 * DAY), second(now.as_second() + DAY)).unwrap();
            prop_assert!((months.rows(reaching) - total as f64).abs() < 1e-6 * (1.0 + total as f64));
        }
    }
}
