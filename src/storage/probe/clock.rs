//! The store's clock against this machine's.

use jiff::{SignedDuration, Timestamp};

use super::report::Trouble;
use crate::error::Error;

/// Clocks that differ by more are told; leases and signatures count minutes.
const SKEWED: SignedDuration = SignedDuration::from_mins(1);

/// With clocks that differ by more, leases and signatures do not hold.
const WRONG: SignedDuration = SignedDuration::from_mins(5);

/// Stores tell times in whole seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// What the clock said just before and just after a put.
pub(super) type Between = [Timestamp; 2];

/// How far a time of the store lies outside the time in which it was made; ahead is more than zero.
pub(super) fn skew(stored: Timestamp, [before, after]: Between) -> SignedDuration {
    let (late, early) = (stored.duration_since(after), before.duration_since(stored));
    if late.is_positive() {
        late
    } else if early > SECOND {
        -early
    } else {
        SignedDuration::ZERO
    }
}

/// What a difference of that size means.
pub(super) fn judge(skew: SignedDuration) -> Result<(), Trouble> {
    let size = skew.abs();
    if size <= SKEWED {
        return Ok(());
    }
    let (way, seconds) = (if skew.is_positive() { "behind" } else { "ahead of" }, size.as_secs());
    let text = format!(
        "this machine's clock is {seconds} s {way} the store's; leases and signatures rely on it: let it keep time (NTP)"
    );
    Err(if size > WRONG {
        Error::storage(text).into()
    } else {
        Trouble::Warning(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-22T{text}Z").parse().unwrap()
    }

    #[test]
    fn a_time_between_the_two_looks_is_right_whatever_its_fraction() {
        let between = [at("12:00:01.900"), at("12:00:02.100")];
        for same in ["12:00:01", "12:00:02", "12:00:02.050"] {
            assert_eq!(skew(at(same), between), SignedDuration::ZERO, "{same}");
        }
        assert_eq!(skew(at("12:00:12.100"), between), SignedDuration::from_secs(10));
        assert_eq!(skew(at("11:59:51.900"), between), SignedDuration::from_secs(-10));
    }

    #[test]
    fn minutes_decide_and_the_way_is_told() {
        assert!(judge(SignedDuration::from_secs(-60)).is_ok());
        for (seconds, way) in [(61, "behind"), (-300, "ahead of")] {
            let judged = judge(SignedDuration::from_secs(seconds));
            assert!(
                matches!(judged, Err(Trouble::Warning(text)) if text.contains(way)),
                "{seconds}"
            );
        }
        for (seconds, way) in [(301, "301 s behind"), (-3600, "3600 s ahead of")] {
            let judged = judge(SignedDuration::from_secs(seconds));
            assert!(
                matches!(judged, Err(Trouble::Failed(error)) if error.chain().contains(way)),
                "{seconds}"
            );
        }
    }
}
