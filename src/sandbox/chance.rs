//! Chance without memory: every draw is a function of the seed, what is drawn for, and its index.

/// What a draw is for, so that two facts about the same index never share their luck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Arrival = 1,
    Burst,
    Person,
    Message,
    Delivery,
    Lifecycle,
    Activity,
    ActivityData,
    Displaced,
    Odd,
    Page,
    Request,
    Item,
}

/// A short sequence of draws for one thing.
///
/// The draws have to be made in the same order whatever the clock or the behaviour says: a fact must not change because
/// another one was asked for.
#[derive(Debug, Clone)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// The draws of item `index` of `kind` in the world of `seed`.
    pub(super) fn new(seed: u64, kind: Kind, index: u64) -> Self {
        Self {
            state: mix(seed ^ mix(index ^ ((kind as u64) << 56))),
        }
    }

    /// 64 random bits.
    pub(super) fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number from 0 to `end - 1`; 0 when `end` is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.roll()) * u128::from(end);
        (wide >> 64) as u64
    }

    /// A signed number from `low` to `high - 1`; `low` when the range is empty.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low + self.below(width) as i64
    }

    /// True once in `n` draws; never when `n` is 0.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        let drawn = self.roll();
        n != 0 && drawn.is_multiple_of(u64::from(n))
    }

    /// True in `percent` of 100 draws.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// The finaliser of splitmix64: every input bit moves every output bit.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Ten characters of time and sixteen of chance: a ULID in its usual 26 characters.
pub(super) fn ulid(milliseconds: i64, dice: &mut Dice) -> [u8; 26] {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut bits =
        ((milliseconds.max(0) as u128) << 80) | (u128::from(dice.roll()) << 16) | u128::from(dice.roll() & 0xffff);
    let mut text = [b'0'; 26];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_kind_and_index_only() {
        let draw = |seed, kind, index| Dice::new(seed, kind, index).roll();
        assert_eq!(draw(1, Kind::Person, 7), draw(1, Kind::Person, 7));
        assert_ne!(draw(1, Kind::Person, 7), draw(2, Kind::Person, 7));
        assert_ne!(draw(1, Kind::Person, 7), draw(1, Kind::Message, 7));
        assert_ne!(draw(1, Kind::Person, 7), draw(1, Kind::Person, 8));
    }

    #[test]
    fn one_in_zero_is_never_and_one_in_one_is_always() {
        let mut dice = Dice::new(1, Kind::Odd, 1);
        assert!((0..100).all(|_| !dice.one_in(0)));
        assert!((0..100).all(|_| dice.one_in(1)));
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn a_ulid_begins_with_its_time() {
        // 01AK4N8V8G of the vendor's example is 2016-05-19T14:03:54Z.
        let text = ulid(1_463_666_634_000, &mut Dice::new(1, Kind::Activity, 1));
        assert_eq!(&text[..3], b"01A");
        let later = ulid(1_463_666_634_001, &mut Dice::new(1, Kind::Activity, 1));
        assert!(text < later);
    }
}
