//! When to ask again: how long to wait, how long to go on, and when the same bad answer is the answer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::Unreadable;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often a complete body may be unreadable in the same way.
const TRIES: usize = 3;

/// The patience with one logical request: how long it may go on without progress, and how often it was tried since.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    since: Option<Instant>,
    tries: u32,
}

impl Patience {
    /// Runs out `limit` after the first attempt started, so that waiting for the first token costs none of it.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            tries: 0,
        }
    }

    /// An attempt starts.
    pub(super) fn attempt(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.tries += 1;
    }

    /// Something new was learnt: time and back-off begin again.
    pub(super) fn renew(&mut self) {
        *self = Self::new(self.limit);
    }

    /// How long it lasts.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Attempts since the last progress.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// How long to wait before the next attempt: what the server `asked` for, else jittered exponential back-off;
    /// `None` when patience has run out. A wait never goes beyond the end of patience: there is a last attempt then.
    pub(super) fn wait(&self, now: Instant, asked: Option<Duration>, chance: f64) -> Option<Duration> {
        let spent = self.since.map_or(Duration::ZERO, |since| now - since);
        let left = self.limit.checked_sub(spent).filter(|left| !left.is_zero())?;
        let wait = asked.unwrap_or_else(|| back_off(self.tries, chance));
        Some(wait.min(left))
    }
}

/// Half of a doubling wait, and of the other half as much as `chance` (0 to 1) says.
fn back_off(tries: u32, chance: f64) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    let whole = (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + chance / 2.0)
}

/// The time that the server asks to be left alone, in seconds or as a date; `None` when it names none that lies ahead.
///
/// A date is counted from the server's own clock where it tells it, since ours may be wrong.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?;
            let server_now = headers.get(DATE).and_then(|date| date.to_str().ok());
            let from = server_now.and_then(|date| httpdate::parse_http_date(date).ok());
            until.duration_since(from.unwrap_or(now)).ok()
        }
    };
    wait.filter(|wait| !wait.is_zero())
}

/// What an unreadable body leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Asking again may help, as long as there is patience.
    Again,
    /// This is what the server has to say: it is for the careful path.
    Content,
    /// Not a page, and not for want of trying.
    GiveUp,
}

/// What one logical request has answered so far that could not be read.
#[derive(Debug, Default)]
pub(super) struct Tally {
    unparsed: Vec<u64>,
    envelopes: usize,
}

impl Tally {
    /// Enters one more unreadable body.
    pub(super) fn rule(&mut self, unreadable: &Unreadable, body: &[u8]) -> Ruling {
        match unreadable {
            Unreadable::Envelope(_) => {
                self.envelopes += 1;
                if self.envelopes < TRIES {
                    Ruling::Again
                } else {
                    Ruling::GiveUp
                }
            }
            // A gateway's page of HTML, nothing at all, or half of a page is no content however often it comes.
            Unreadable::NotJson(_) => Ruling::Again,
            Unreadable::Content(reason) => {
                let print = fingerprint(body, reason);
                self.unparsed.push(print);
                let same = self.unparsed.iter().filter(|other| **other == print).count();
                if same < TRIES { Ruling::Again } else { Ruling::Content }
            }
        }
    }
}

fn fingerprint(body: &[u8], reason: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (body, reason).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(reqwest::header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn back_off_doubles_up_to_its_cap_and_is_jittered() {
        let longest: Vec<u128> = (1..=9).map(|tries| back_off(tries, 1.0).as_millis()).collect();
        assert_eq!(longest, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(back_off(1, 0.0).as_millis(), 125);
        assert_eq!(back_off(u32::MAX, 0.5).as_millis(), 22_500);
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 12:00:00 GMT").unwrap();
        let seconds = |text| retry_after(&headers(&[(RETRY_AFTER, text)]), now).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Mon, 23 Nov 2026 12:00:09 GMT"), Some(9));
        for no_wait in [
            "0",
            "-1",
            "NaN",
            "inf",
            "1e300",
            "soon",
            "",
            "Mon, 23 Nov 2026 11:00:00 GMT",
        ] {
            assert_eq!(seconds(no_wait), None, "{no_wait}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_date_is_counted_from_the_clock_of_the_server() {
        let ours = httpdate::parse_http_date("Mon, 23 Nov 2026 09:00:00 GMT").unwrap();
        let headers = headers(&[
            (DATE, "Mon, 23 Nov 2026 12:00:00 GMT"),
            (RETRY_AFTER, "Mon, 23 Nov 2026 12:00:05 GMT"),
        ]);
        assert_eq!(retry_after(&headers, ours), Some(Duration::from_secs(5)));
    }

    #[test]
    fn patience_is_bounded_by_time_and_ends_with_a_last_attempt() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Duration::from_secs(600));
        patience.attempt(start);
        let asked = Some(Duration::from_secs(3600));
        assert_eq!(patience.wait(start, asked, 0.5), Some(Duration::from_secs(600)));
        assert_eq!(patience.wait(after(590), asked, 0.5), Some(Duration::from_secs(10)));
        assert_eq!(patience.wait(after(600), None, 0.5), None);
        patience.renew();
        patience.attempt(after(600));
        assert!(patience.wait(after(1100), None, 0.5).is_some());
    }

    #[test]
    fn the_same_bad_body_three_times_is_content() {
        let mut tally = Tally::default();
        let bad = Unreadable::Content("at byte 7".into());
        assert_eq!(tally.rule(&bad, b"{\"a\": nope}"), Ruling::Again);
        assert_eq!(tally.rule(&bad, b"{\"a\": never}"), Ruling::Again);
        assert_eq!(tally.rule(&bad, b"{\"a\": nope}"), Ruling::Again);
        let other_way = Unreadable::Content("at byte 9".into());
        assert_eq!(tally.rule(&other_way, b"{\"a\": nope}"), Ruling::Again);
        assert_eq!(tally.rule(&bad, b"{\"a\": nope}"), Ruling::Content);
    }

    #[test]
    fn what_is_no_complete_json_never_is() {
        let mut tally = Tally::default();
        let bad = Unreadable::NotJson("at byte 0".into());
        for body in [&b"<html>maintenance</html>"[..], b"", b"{\"a\":"] {
            for _ in 0..5 {
                assert_eq!(tally.rule(&bad, body), Ruling::Again);
            }
        }
    }

    #[test]
    fn an_envelope_has_three_tries_whatever_the_bodies_are() {
        let mut tally = Tally::default();
        let bad = Unreadable::Envelope("no messages".into());
        assert_eq!(tally.rule(&bad, b"{}"), Ruling::Again);
        assert_eq!(tally.rule(&bad, b"{\"x\":1}"), Ruling::Again);
        assert_eq!(tally.rule(&bad, b"{}"), Ruling::GiveUp);
    }
}
