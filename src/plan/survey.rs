//! How the rest of a window is read once every transactional message in it has shown its first page. Pure.
//!
//! ```text
//!  window      |--------------- part ---------------|--------------- part ---------------|
//!  long rest   |== stretch ==|== stretch ==|stretch |== stretch ==|== stretch ==|   ...seen
//!  short rest  |========================= followed by its cursor ========================|  ...seen
//! ```
//! A part is what is committed at once. Fewer parts mean fewer pages that are not full; more of them mean that less is lost
//! when a run is killed, and less is held in memory.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::months::seconds;
use crate::stream::{Window, days, floor_day, next_day};

/// At a limit a part is about a quarter of a minute of requests.
const PART_PAGES: f64 = 150.0;

/// Pages of a stretch at most and at least, which come one after the other: more stretches are more pages that are not full,
/// fewer of them leave the limiter waiting for the last one.
const LONGEST: f64 = 32.0;
const SHORTEST: f64 = 4.0;

/// Of one message in one part: whatever is estimated, the plan stays small.
const MOST_STRETCHES: f64 = 1000.0;

/// A stretch is no more than one of so many in its part. Where there is one part only, the next one may not be there to keep the
/// limiter busy while the last stretches come to their end: they are shorter.
const STRETCHES_A_PART: f64 = 6.0;
const STRETCHES_ALONE: f64 = 12.0;

/// Each part may end every message with a page that is not full as often as a part a month would, and for this share of the pages,
const PART_DAYS: f64 = 31.0;
const UNFILLED: f64 = 0.04;
/// or this one where a request is cheaper than to put a part's rows on disk.
const UNFILLED_FOR_MEMORY: f64 = 0.3;

/// What a run has to be sparing with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scarce {
    /// Requests, because there is a limit.
    Requests,
    /// Memory, because there is none; so many pages fit into what a part may take.
    Memory {
        /// Pages that one part may hold.
        pages: f64,
    },
}

impl Scarce {
    /// How many pages a part should have.
    fn part(self) -> f64 {
        match self {
            Self::Requests => PART_PAGES,
            Self::Memory { pages } => pages.max(1.0),
        }
    }

    fn unfilled(self) -> f64 {
        match self {
            Self::Requests => UNFILLED,
            Self::Memory { .. } => UNFILLED_FOR_MEMORY,
        }
    }
}

/// What one message holds in a window beyond its first page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rest {
    /// The transactional message.
    pub id: i64,
    /// Where its unread rows lie: from the beginning of the window to the last row seen, whose second may hold more.
    pub unread: Window,
    /// Estimated from how close the rows of the first page lie.
    pub pages: f64,
}

/// A stretch of one message to be asked for, page after page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// The transactional message.
    pub id: i64,
    /// The stretch.
    pub window: Window,
    /// How many pages it will take, roughly.
    pub pages: f64,
}

/// Consecutive windows to be committed one after the other, and how they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// The windows; they tile the one that was cut and meet at midnights.
    pub windows: Vec<Window>,
    /// What is asked for in each of them, the longest first.
    pub stretches: Vec<Vec<Stretch>>,
    /// The messages that are followed by their cursors to the beginning of the whole window.
    pub followed: Vec<i64>,
}

impl Parts {
    /// Cuts `window`, of which `rests` are not read yet.
    pub fn cut(window: Window, rests: &[Rest], scarce: Scarce) -> Self {
        let pages: f64 = rests.iter().map(|rest| rest.pages).sum();
        let windows = tile(window, rests, parts(window, rests.len(), pages, scarce));
        let count = windows.len() as f64;
        let alone = windows.len() == 1;
        let most = if alone { STRETCHES_ALONE } else { STRETCHES_A_PART };
        let length = (pages / count / most).clamp(SHORTEST, LONGEST);
        let short = if alone { length } else { 2.0 * count };
        let mut stretches = vec![Vec::new(); windows.len()];
        let (mut followed, mut held) = (Vec::new(), 0.0);
        let mut by_length: Vec<&Rest> = rests.iter().collect();
        by_length.sort_by(|a, b| a.pages.total_cmp(&b.pages).then(a.id.cmp(&b.id)));
        for rest in by_length {
            // What is followed is held until the last part is committed: no more of it than a part would hold.
            if rest.pages <= short && (alone || held + rest.pages <= scarce.part()) {
                held += rest.pages;
                followed.push(rest.id);
                continue;
            }
            for (part, stretches) in windows.iter().zip(&mut stretches) {
                stretches.extend(rest.within(*part, length));
            }
        }
        for stretches in &mut stretches {
            stretches.sort_by(|a, b| b.pages.total_cmp(&a.pages).then(a.id.cmp(&b.id)));
        }
        Self {
            windows,
            stretches,
            followed,
        }
    }

    /// How many requests reading them will take, roughly.
    pub fn requests(&self, rests: &[Rest]) -> f64 {
        let asked: f64 = self.stretches.iter().flatten().map(|ask| ask.pages + 0.5).sum();
        let ids: HashSet<i64> = self.followed.iter().copied().collect();
        let followed = rests.iter().filter(|rest| ids.contains(&rest.id));
        asked + followed.map(|rest| rest.pages + 0.5).sum::<f64>()
    }
}

impl Rest {
    /// What is left of message `id` below a page that reached from `newest` back to `last`, newest first; `None` when nothing older
    /// can lie in the window.
    pub fn below(id: i64, window: Window, newest: Timestamp, last: Timestamp) -> Option<Self> {
        let after = last.saturating_add(SignedDuration::from_secs(1)).unwrap_or(last);
        let unread = Window::new(window.from, after.min(window.to))?;
        let seen = newest.duration_since(last).as_secs_f64().max(1.0);
        let pages = seconds(unread) / seen;
        Some(Self { id, unread, pages })
    }

    /// The same rest in stretches to be read side by side.
    pub fn stretches(&self) -> Vec<Stretch> {
        let length = (self.pages / STRETCHES_ALONE).clamp(SHORTEST, LONGEST);
        self.within(self.unread, length)
    }

    /// The stretches of what lies in `part`, each of about so many pages.
    fn within(&self, part: Window, length: f64) -> Vec<Stretch> {
        let Some(common) = self.unread.intersection(&part) else {
            return Vec::new();
        };
        let pages = self.pages * seconds(common) / seconds(self.unread).max(1.0);
        let count = (pages / length).round().clamp(1.0, MOST_STRETCHES);
        let step = whole_seconds(seconds(common) / count);
        let mut windows = Vec::new();
        let mut from = common.from;
        while let Some(window) = Window::new(from, common.to) {
            let to = from.saturating_add(step).unwrap_or(common.to).min(common.to);
            windows.extend(Window::new(from, to));
            from = window.from.max(to);
        }
        let share = pages / windows.len().max(1) as f64;
        let stretches = windows.into_iter().map(|window| Stretch {
            id: self.id,
            window,
            pages: share,
        });
        stretches.collect()
    }
}

/// How many parts a window of so many pages becomes.
fn parts(window: Window, messages: usize, pages: f64, scarce: Scarce) -> f64 {
    let months = (seconds(window) / days(1).as_secs_f64() / PART_DAYS).ceil();
    let worth = months + scarce.unfilled() * pages / messages.max(1) as f64;
    (pages / scarce.part()).ceil().min(worth.floor()).max(1.0)
}

/// Cuts `window` at midnights into at most `count` windows of about equally many pages.
fn tile(window: Window, rests: &[Rest], count: f64) -> Vec<Window> {
    let expected = |day: Window| -> f64 {
        let within = |rest: &Rest| {
            let common = rest.unread.intersection(&day).map_or(0.0, seconds);
            rest.pages * common / seconds(rest.unread).max(1.0)
        };
        rests.iter().map(within).sum()
    };
    let share = rests.iter().map(|rest| rest.pages).sum::<f64>() / count;
    let mut windows = Vec::new();
    let (mut from, mut midnight, mut passed) = (window.from, window.from, 0.0);
    while let Some(day) = Window::new(midnight, next_day(floor_day(midnight)).min(window.to)) {
        passed += expected(day);
        midnight = day.to;
        let due = share * (windows.len() + 1) as f64;
        // The last part takes what rounding has left.
        if passed + share / 1e6 >= due && ((windows.len() + 1) as f64) < count && midnight < window.to {
            windows.extend(Window::new(from, midnight));
            from = midnight;
        }
    }
    windows.extend(Window::new(from, window.to));
    windows
}

/// At least one, since the API counts in whole ones.
fn whole_seconds(seconds: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(seconds.ceil().max(1.0)).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn window(from: i64, to: i64) -> Window {
        let at = |second| Timestamp::from_second(second).unwrap();
        Window::new(at(from), at(to)).unwrap()
    }

    fn half_a_year() -> Window {
        window(0, 183 * DAY)
    }

    fn even(pages: &[f64]) -> Vec<Rest> {
        let rests = pages.iter().zip(1..).map(|(pages, id)| Rest {
            id,
            unread: half_a_year(),
            pages: *pages,
        });
        rests.collect()
    }

    #[test]
    fn a_little_is_one_part_without_stretches() {
        let parts = Parts::cut(half_a_year(), &even(&[0.4, 3.0, 2.0]), Scarce::Requests);
        assert_eq!(parts.windows, [half_a_year()]);
        assert_eq!(parts.followed, [1, 3, 2]);
        assert!(parts.stretches[0].is_empty());
    }

    #[test]
    fn nothing_left_is_one_part() {
        let parts = Parts::cut(half_a_year(), &[], Scarce::Memory { pages: 20.0 });
        assert_eq!(parts.windows, [half_a_year()]);
    }

    #[test]
    fn one_long_chain_becomes_several() {
        let parts = Parts::cut(half_a_year(), &even(&[100.0, 2.0]), Scarce::Requests);
        assert_eq!((parts.windows.len(), parts.followed.as_slice()), (1, &[2_i64][..]));
        assert_eq!(parts.stretches[0].len(), 12);
    }

    #[test]
    fn a_part_is_some_seconds_of_requests_and_short_messages_are_followed_through_all_of_them() {
        let parts = Parts::cut(half_a_year(), &even(&[1500.0, 1499.0, 5.0]), Scarce::Requests);
        assert_eq!(parts.windows.len(), 21);
        assert_eq!(parts.followed, [3]);
        let pages: Vec<f64> = parts
            .stretches
            .iter()
            .map(|asks| asks.iter().map(|ask| ask.pages).sum())
            .collect();
        assert!(pages.iter().all(|pages| (120.0..160.0).contains(pages)), "{pages:?}");
    }

    #[test]
    fn an_absurd_estimate_makes_no_absurd_plan() {
        for pages in [1e12, f64::MAX] {
            let parts = Parts::cut(half_a_year(), &even(&[pages, 1.0]), Scarce::Requests);
            assert!(parts.windows.len() <= 183);
            assert!(parts.stretches.iter().all(|stretches| stretches.len() <= 1001));
        }
    }

    #[test]
    fn many_messages_of_some_pages_are_not_asked_in_every_part() {
        for (scarce, times) in [(Scarce::Requests, 6), (Scarce::Memory { pages: 12.0 }, 12)] {
            let parts = Parts::cut(half_a_year(), &even(&[20.0; 200]), scarce);
            assert!(parts.stretches.iter().map(Vec::len).sum::<usize>() <= 200 * times);
        }
    }

    #[test]
    fn without_a_limit_memory_decides() {
        let parts = Parts::cut(half_a_year(), &even(&[60.0]), Scarce::Memory { pages: 20.0 });
        assert_eq!(parts.windows.len(), 3);
    }

    #[test]
    fn the_rest_is_judged_by_what_was_seen() {
        let day = |day: i64| Timestamp::from_second(day * DAY).unwrap();
        // It was retired halfway, and went a page a day before.
        let rest = Rest::below(7, half_a_year(), day(91), day(90)).unwrap();
        assert_eq!(rest.unread, window(0, 90 * DAY + 1));
        assert!((rest.pages - 90.0).abs() < 0.1);
        assert!(Rest::below(7, half_a_year(), day(1), day(-1)).is_none());
    }

    proptest! {
        #[test]
        fn every_unread_second_is_asked_for_once(
            days in 1..200_i64,
            odd in 0..DAY,
            rests in prop::collection::vec((0.1..900.0_f64, 0.01..1.0_f64), 0..30),
            limited in any::<bool>(),
        ) {
            let whole = window(odd, odd + days * DAY);
            let rests: Vec<Rest> = rests.into_iter().zip(1..).map(|((pages, share), id)| {
                let end = odd + ((days * DAY) as f64 * share).ceil() as i64;
                Rest { id, unread: window(odd, end), pages }
            }).collect();
            let scarce = if limited { Scarce::Requests } else { Scarce::Memory { pages: 25.0 } };
            let parts = Parts::cut(whole, &rests, scarce);
            prop_assert_eq!(parts.windows[0].from, whole.from);
            prop_assert_eq!(parts.windows.last().unwrap().to, whole.to);
            prop_assert!(parts.windows.windows(2).all(|two| two[0].to == two[1].from && floor_day(two[0].to) == two[0].to));
            for rest in &rests {
                let mut asked: Vec<Window> = Vec::new();
                for (part, asks) in parts.windows.iter().zip(&parts.stretches) {
                    for ask in asks.iter().filter(|ask| ask.id == rest.id) {
                        prop_assert!(part.from <= ask.window.from && ask.window.to <= part.to);
                        asked.push(ask.window);
                    }
                }
                asked.sort();
                if parts.followed.contains(&rest.id) {
                    prop_assert!(asked.is_empty());
                    continue;
                }
                prop_assert_eq!(asked[0].from, rest.unread.from);
                prop_assert_eq!(asked.last().unwrap().to, rest.unread.to);
                prop_assert!(asked.windows(2).all(|two| two[0].to == two[1].from));
            }
        }
    }
}
