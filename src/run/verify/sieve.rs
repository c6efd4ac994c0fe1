//! Finds the keys that come twice, holding no more of them at once than memory allows.

use std::collections::BTreeSet;

/// How many doubled keys are named at most; of a table with more the rest is told as a number.
const NAMED: usize = 1000;

/// A range of stand-ins of keys; those outside are left to a later pass.
///
/// When it is full, its upper half is given up for a later pass: so any number of keys is seen in bounded memory.
#[derive(Debug)]
pub struct Sieve {
    from: u128,
    upto: u128,
    limit: usize,
    held: Vec<u128>,
    /// Seen more than once, the first thousand.
    doubled: BTreeSet<u128>,
    /// More than those.
    more: bool,
}

impl Sieve {
    /// A sieve that holds at most `limit` keys at once, of about `expected`.
    pub fn new(limit: usize, expected: u64) -> Self {
        let wanted = usize::try_from(expected).unwrap_or(usize::MAX).saturating_add(1024);
        let mut sieve = Self {
            from: 0,
            upto: 0,
            limit,
            held: Vec::with_capacity(limit.min(wanted)),
            doubled: BTreeSet::new(),
            more: false,
        };
        sieve.upto = sieve.reach(expected);
        sieve
    }

    /// Takes the stand-ins of some keys in.
    pub fn see(&mut self, hashes: impl Iterator<Item = u128>) {
        for hash in hashes {
            if hash < self.from || hash > self.upto {
                continue;
            }
            if self.held.len() >= self.limit {
                self.make_room();
                if hash > self.upto {
                    continue;
                }
            }
            self.held.push(hash);
        }
    }

    /// Ends a pass; whether another one over all keys is needed.
    pub fn next_pass(&mut self, expected: u64) -> bool {
        self.settle();
        self.held.clear();
        if self.upto == u128::MAX {
            return false;
        }
        self.from = self.upto + 1;
        self.upto = self.reach(expected);
        true
    }

    /// The keys that came more than once in the passes that are over, and whether there are more than these.
    pub fn doubled(self) -> (BTreeSet<u128>, bool) {
        (self.doubled, self.more)
    }

    /// The end of a range from `from` on that of `expected` evenly spread keys holds a little fewer than the limit.
    fn reach(&self, expected: u64) -> u128 {
        let part = self.limit as u128 * 9 / 10;
        let keys = u128::from(expected).max(1);
        if part >= keys {
            return u128::MAX;
        }
        self.from.saturating_add((u128::MAX / keys).saturating_mul(part))
    }

    /// Sorts what is held, and keeps each key once.
    fn settle(&mut self) {
        self.held.sort_unstable();
        let (doubled, more) = (&mut self.doubled, &mut self.more);
        self.held.dedup_by(|next, last| {
            let same = next == last;
            if same && doubled.len() < NAMED {
                doubled.insert(*next);
            } else if same {
                *more |= !doubled.contains(next);
            }
            same
        });
    }

    fn make_room(&mut self) {
        self.settle();
        while self.held.len() > self.limit / 4 * 3 && self.upto > self.from {
            self.upto = self.from + (self.upto - self.from) / 2;
            let upto = self.upto;
            let kept = self.held.partition_point(|hash| *hash <= upto);
            self.held.truncate(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The doubled keys, by so many passes over `keys` as it takes, and how many those were.
    fn sift(keys: &[u128], limit: usize, expected: u64) -> (BTreeSet<u128>, usize) {
        let mut sieve = Sieve::new(limit, expected);
        for pass in 1.. {
            for some in keys.chunks(7) {
                sieve.see(some.iter().copied());
                assert!(sieve.held.len() <= limit);
            }
            if !sieve.next_pass(expected) {
                return (sieve.doubled().0, pass);
            }
        }
        unreachable!()
    }

    fn doubled(keys: &[u128]) -> BTreeSet<u128> {
        let mut seen = BTreeSet::new();
        keys.iter().copied().filter(|key| !seen.insert(*key)).collect()
    }

    /// Spread as hashes are.
    fn spread(number: u64) -> u128 {
        u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }

    proptest! {
        #[test]
        fn every_doubled_key_is_found_whatever_the_memory(
            numbers in proptest::collection::vec(0..300_u64, 0..400),
            limit in 8..500_usize,
            expected in 0..1000_u64,
        ) {
            let keys: Vec<u128> = numbers.into_iter().map(spread).collect();
            prop_assert_eq!(sift(&keys, limit, expected).0, doubled(&keys));
        }
    }

    #[test]
    fn passes_are_as_few_as_memory_allows() {
        let keys: Vec<u128> = (0..100_000).map(spread).collect();
        assert_eq!(sift(&keys, 200_000, 100_000).1, 1);
        assert_eq!(sift(&keys, 60_000, 100_000).1, 2);
        // The manifest may be wrong about how many there are.
        assert!(sift(&keys, 60_000, 10).1 <= 3);
    }

    #[test]
    fn keys_at_the_ends_and_many_of_one_kind_are_no_trouble() {
        let keys = [0, 0, u128::MAX, u128::MAX, 1];
        assert_eq!(sift(&keys, 8, 1_000_000).0, BTreeSet::from([0, u128::MAX]));
        let same = vec![5; 1000];
        assert_eq!(sift(&same, 8, 1000).0, BTreeSet::from([5]));
    }
}
