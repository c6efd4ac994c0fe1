//! When things happen: a sequence of moments that goes on for ever at one pace.

use super::chance::{Dice, Kind};

pub(super) const SECOND: i64 = 1_000;
pub(super) const HOUR: i64 = 3_600 * SECOND;
pub(super) const DAY: i64 = 24 * HOUR;

/// A moment that never comes. Comparing it with any clock says "not yet".
pub(super) const NEVER: i64 = i64::MAX;

/// So many neighbours share the fate of coming in one burst.
const BLOCK: u64 = 8;
const BURST_GAP_US: i64 = 20_000;

/// A sequence of moments in milliseconds since 1970, monotone in the index, so that a time range is an index range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    seed: u64,
    start: i64,
    step_us: i64,
    bursts: bool,
    /// A block without burst, so that a burst at the end of the span cannot draw moments into it.
    calm_block: u64,
}

impl Pace {
    /// Moments from `start` on, one in every `span / count` milliseconds. `lane` tells sequences of one seed apart.
    pub(super) fn new(seed: u64, lane: u64, start: i64, span: i64, count: u64) -> Self {
        let step = i128::from(span.max(1)) * 1_000 / i128::from(count.max(1));
        Self {
            seed: Dice::new(seed, Kind::Arrival, lane).roll(),
            start,
            step_us: i64::try_from(step).unwrap_or(i64::MAX).max(1),
            bursts: false,
            calm_block: count / BLOCK,
        }
    }

    /// Now and then eight neighbours come within one second, as a sender's loop makes them.
    pub(super) fn with_bursts(self) -> Self {
        Self { bursts: true, ..self }
    }

    /// The same pace, as if it had begun `count` moments before its start.
    pub(super) fn begun_earlier(self, count: u64) -> Self {
        let earlier = i128::from(self.step_us) * i128::from(count) / 1_000;
        Self {
            start: self.start - earlier as i64,
            ..self
        }
    }

    /// The moment of `index`.
    pub(super) fn time(&self, index: u64) -> i64 {
        let (slot, offset) = self.slot(index);
        self.start + ((i128::from(slot) * i128::from(self.step_us) + i128::from(offset)) / 1_000) as i64
    }

    /// How many moments are not after `at`: the index of the first one that is.
    pub(super) fn count_until(&self, at: i64) -> u64 {
        let sure = self.sure_until(at);
        let mut index = sure;
        while self.time(index) <= at {
            index += 1;
        }
        index
    }

    /// A lower bound of `count_until`, less than a burst below it, without a look at any moment.
    pub(super) fn sure_until(&self, at: i64) -> u64 {
        let elapsed = i128::from(at.saturating_sub(self.start)) * 1_000 / i128::from(self.step_us);
        u64::try_from(elapsed).unwrap_or(0)
    }

    fn slot(&self, index: u64) -> (u64, i64) {
        let block = index / BLOCK;
        if self.bursts && block != self.calm_block && Dice::new(self.seed, Kind::Burst, block).one_in(6) {
            let place = (index % BLOCK) as i64;
            return (block * BLOCK, place * BURST_GAP_US.min(self.step_us));
        }
        let jitter = Dice::new(self.seed, Kind::Arrival, index).between(0, self.step_us);
        (index, jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paces() -> [Pace; 3] {
        let plain = Pace::new(7, 1, 1_000_000, 400 * DAY, 20_000);
        [
            plain,
            plain.with_bursts(),
            Pace::new(7, 2, 0, DAY, 100_000_000).with_bursts(),
        ]
    }

    #[test]
    fn moments_never_go_back() {
        for pace in paces() {
            assert!((0..5_000).all(|index| pace.time(index) <= pace.time(index + 1)));
        }
    }

    #[test]
    fn counting_agrees_with_looking() {
        for pace in paces() {
            for index in (0..5_000).step_by(7) {
                let at = pace.time(index);
                assert!(pace.count_until(at) > index);
                assert!(pace.count_until(at - 1) <= index);
                assert!(pace.sure_until(at) <= pace.count_until(at));
            }
            assert_eq!(pace.count_until(pace.start - 1), 0);
        }
    }

    #[test]
    fn the_count_over_the_span_is_the_count_asked_for() {
        let pace = Pace::new(7, 1, 0, 400 * DAY, 20_000);
        assert_eq!(pace.count_until(400 * DAY - 1), 20_000);
        assert_eq!(pace.begun_earlier(500).count_until(400 * DAY - 1), 20_500);
    }

    #[test]
    fn bursts_put_neighbours_into_one_second() {
        let pace = Pace::new(7, 1, 0, 400 * DAY, 20_000).with_bursts();
        let together = (0..4_000).filter(|i| pace.time(i + 7) - pace.time(*i) < SECOND);
        assert!(together.count() > 20);
    }
}
