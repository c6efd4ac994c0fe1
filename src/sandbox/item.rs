//! The life of one row of a list: it comes, is edited now and then, and may go.

use super::chance::{Dice, Kind};
use super::listing::Listing;
use super::timeline::{DAY, NEVER, SECOND};

const FIRST_NEW: i64 = 6 * DAY;
const FIRST_GONE: i64 = 12 * DAY;
const EVERY: i64 = 25 * DAY;
/// One neighbour of so many goes some day.
const FATES: u64 = 4;

/// Everything that lists ever hold.
#[derive(Debug, Clone)]
pub(super) struct Items {
    seed: u64,
    now: i64,
}

/// One row of a list, seen at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) index: u64,
    pub(super) id: i64,
    at: i64,
    created: i64,
    gone: i64,
    edited_every: i64,
    flags: u64,
}

impl Items {
    /// `now` is the clock at the start, in milliseconds since 1970.
    pub(super) fn new(seed: u64, now: i64) -> Self {
        Self { seed, now }
    }

    /// The rows of `listing` that were made until `at`, those that are gone included; in the order of their ids.
    pub(super) fn known(&self, listing: &'static Listing, at: i64) -> impl Iterator<Item = Item> + '_ {
        // The first ones were made in any order, the later ones one after the other.
        (0..)
            .map(move |index| self.item(listing, index, at))
            .take_while(move |item| item.index < listing.count || item.created <= at)
            .filter(move |item| item.created <= at)
    }

    /// Row `index` of `listing` as it is at `at`.
    pub(super) fn item(&self, listing: &Listing, index: u64, at: i64) -> Item {
        let mut dice = Dice::new(self.seed, Kind::Item, listing.lane(index));
        let created = match index.checked_sub(listing.count) {
            Some(new) => self.now + FIRST_NEW + new as i64 * EVERY,
            None => self.now - dice.between(DAY, 700 * DAY),
        };
        let due = self.now + FIRST_GONE + (index / FATES) as i64 * EVERY;
        Item {
            index,
            id: (1 + 3 * index + dice.below(3)) as i64,
            at,
            created,
            gone: match index % FATES {
                1 => due.max(created + 20 * DAY),
                _ => NEVER,
            },
            edited_every: dice.between(12 * DAY, 36 * DAY),
            flags: dice.roll(),
        }
    }
}

impl Item {
    pub(super) fn is_gone(&self) -> bool {
        self.at >= self.gone
    }

    /// How often it was edited.
    pub(super) fn edits(&self) -> i64 {
        (self.at - self.created).max(0) / self.edited_every
    }

    /// When it was made, in unix seconds.
    pub(super) fn created(&self) -> i64 {
        self.created.div_euclid(SECOND)
    }

    /// When it was last edited, in unix seconds.
    pub(super) fn updated(&self) -> i64 {
        (self.created + self.edits() * self.edited_every).div_euclid(SECOND)
    }

    /// Whole hours since it was made, as a cache of two hours counts them.
    pub(super) fn hours(&self) -> i64 {
        (self.at - self.created).max(0) / (2 * 3_600 * SECOND) * 2
    }

    pub(super) fn flag(&self, bit: u32) -> bool {
        self.flags >> bit & 1 == 1
    }

    /// One of `choices`, which must not be empty, the same for the whole life.
    pub(super) fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.index as usize % choices.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::LISTINGS;
    use super::super::workspace::Workspace;
    use super::*;

    fn items() -> (Items, i64) {
        let now = Workspace::default().now.as_millisecond();
        (Items::new(1, now), now)
    }

    #[test]
    fn within_forty_days_rows_come_are_edited_and_go_in_every_list() {
        let (items, now) = items();
        for listing in &LISTINGS {
            let there = |at: i64| -> Vec<Item> { items.known(listing, at).filter(|item| !item.is_gone()).collect() };
            let (before, after) = (there(now), there(now + 40 * DAY));
            assert_eq!(before.len() as u64, listing.count, "{}", listing.name);
            let same = |item: &Item, rows: &[Item]| rows.iter().any(|other| other.index == item.index);
            assert!(after.iter().any(|item| !same(item, &before)), "{}", listing.name);
            assert!(before.iter().any(|item| !same(item, &after)), "{}", listing.name);
            let edited = |item: &&Item| {
                before
                    .iter()
                    .any(|old| old.index == item.index && old.edits() < item.edits())
            };
            assert!(after.iter().filter(edited).count() > 1, "{}", listing.name);
        }
    }

    #[test]
    fn ids_are_unique_and_times_in_order() {
        let (items, now) = items();
        for listing in &LISTINGS {
            let known: Vec<Item> = items.known(listing, now + 400 * DAY).collect();
            assert!(known.len() as u64 > listing.count + 10);
            assert!(known.is_sorted_by(|one, other| one.id < other.id), "{}", listing.name);
            assert!(known.iter().all(|item| item.created() <= item.updated()));
        }
    }

    #[test]
    fn before_the_start_fewer_are_there() {
        let (items, now) = items();
        for listing in &LISTINGS {
            assert_eq!(items.known(listing, now - 800 * DAY).count(), 0, "{}", listing.name);
        }
        assert!(items.known(&LISTINGS[0], now - 350 * DAY).count() < 24);
    }
}
