//! Instants, spans, sizes and counts as people write them.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result};

/// What a span can be counted in.
const UNITS: &str = "the units are s, m, h, d, w and y";

/// The slowest that is no mistake: a request in a hundred seconds.
const SLOWEST: f64 = 0.01;

/// A date (midnight UTC), an RFC 3339 instant, or a span back from `now`.
///
/// # Errors
/// Input, naming `flag` and the forms that are understood.
pub fn instant(flag: &str, text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(instant) = TimeZone::UTC.to_timestamp(date.to_datetime(Time::midnight()))
        && text.len() == 10
    {
        return Ok(instant);
    }
    let back = seconds(text).and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    back.ok_or_else(|| {
        Error::input(format!(
            "{flag} {text:?} is no time; write a date (2026-01-31), an instant (2026-01-31T08:00:00Z) or how long ago (90d; {UNITS})"
        ))
    })
}

/// A span such as `30d`, `4h` or `90m`.
///
/// # Errors
/// Input, naming `flag` and the forms that are understood.
pub fn span(flag: &str, text: &str) -> Result<Duration> {
    let span = seconds(text).and_then(|seconds| u64::try_from(seconds).ok());
    let span = span.map(Duration::from_secs);
    span.ok_or_else(|| {
        Error::input(format!(
            "{flag} {text:?} is no span of time; write for example 30d, 4h, 90m or 45s ({UNITS})"
        ))
    })
}

/// A [`span`] that leaves time for something.
///
/// # Errors
/// Input, naming `flag`, also for no time at all.
pub fn longer_than_nothing(flag: &str, text: &str) -> Result<Duration> {
    match span(flag, text)? {
        Duration::ZERO => Err(Error::input(format!(
            "{flag} {text} leaves no time for anything; give it a second at least"
        ))),
        span => Ok(span),
    }
}

/// A number of bytes such as `256MiB`.
///
/// # Errors
/// Input, naming `flag`, when it is no size or below `least`.
pub fn size(flag: &str, text: &str, least: u64) -> Result<u64> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => 0,
    };
    let bytes = number
        .and_then(|number| number.checked_mul(factor))
        .filter(|_| factor > 0);
    match bytes {
        None => Err(Error::input(format!(
            "{flag} {text:?} is no size; write for example 256MiB or 1GiB"
        ))),
        Some(bytes) if bytes < least => {
            let least = least >> 20;
            Err(Error::input(format!(
                "{flag} {text} is too little; give at least {least}MiB"
            )))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// A rate in requests a second, zero or no less than [`SLOWEST`].
///
/// # Errors
/// Input, naming `flag`.
pub fn rate(flag: &str, text: &str) -> Result<f64> {
    match text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.0) {
        Some(rate) if rate > 0.0 && rate < SLOWEST => Err(Error::input(format!(
            "{flag} {text} is too slow to come to an end; give {SLOWEST} requests a second at least, or 0 for unlimited"
        ))),
        Some(rate) => Ok(rate),
        None => Err(Error::input(format!(
            "{flag} {text:?} is no rate; write requests a second, 0 for unlimited"
        ))),
    }
}

/// A whole number between `least` and `most`.
///
/// # Errors
/// Input, naming `flag`.
pub fn count(flag: &str, text: &str, least: usize, most: usize) -> Result<usize> {
    let count = text
        .parse::<usize>()
        .ok()
        .filter(|count| (least..=most).contains(count));
    count.ok_or_else(|| {
        Error::input(format!(
            "{flag} {text:?} is out of range; write a whole number from {least} to {most}"
        ))
    })
}

fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = split(text);
    let factor: i64 = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        _ => return None,
    };
    i64::try_from(number?).ok()?.checked_mul(factor)
}

fn split(text: &str) -> (Option<u64>, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.parse().ok(), unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_work_in_is_longer_than_nothing() {
        let span = |text| longer_than_nothing("--max-duration", text);
        assert_eq!(span("90m").unwrap(), Duration::from_mins(90));
        for (text, words) in [
            ("0s", "leaves no time"),
            ("0d", "leaves no time"),
            ("soon", "is no span"),
        ] {
            let error = span(text).unwrap_err();
            assert!(
                error.kind().exit_code() == 2 && error.to_string().contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn times_are_dates_instants_or_spans_back() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let at = |text| instant("--since", text, now).unwrap().to_string();
        assert_eq!(at("2026-01-31"), "2026-01-31T00:00:00Z");
        assert_eq!(at("2026-01-31T08:00:00+01:00"), "2026-01-31T07:00:00Z");
        assert_eq!(at("2d"), "2026-11-20T10:00:00Z");
        assert!(instant("--since", "yesterday", now).is_err());
        assert!(instant("--since", "2026-02-30", now).is_err());
        assert!(instant("--since", "9999999999y", now).is_err());
    }

    #[test]
    fn sizes_have_units_and_a_floor() {
        assert_eq!(size("--memory", "256MiB", 0).unwrap(), 256 << 20);
        assert!(size("--memory", "1MiB", 64 << 20).is_err());
        assert!(size("--memory", "lots", 0).is_err());
    }
}
