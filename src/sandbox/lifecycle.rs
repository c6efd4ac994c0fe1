//! What becomes of one delivery: when it is sent, opened, clicked and so on, and what is never going to happen.

use super::chance::Dice;
use super::messages::Channel;
use super::timeline::{DAY, HOUR, NEVER, SECOND};

/// The documented metrics of a delivery, in the order of the lake's struct: thirteen times, then the four whose meaning the
/// documentation leaves open.
pub(super) const METRICS: [&str; 17] = [
    "bounced",
    "clicked",
    "converted",
    "created",
    "delivered",
    "drafted",
    "dropped",
    "failed",
    "opened",
    "sent",
    "spammed",
    "undeliverable",
    "unsubscribed",
    "human_clicked",
    "prefetch_clicked",
    "human_opened",
    "prefetch_opened",
];

const BOUNCED: usize = 0;
const CLICKED: usize = 1;
const CONVERTED: usize = 2;
const CREATED: usize = 3;
const DELIVERED: usize = 4;
const DRAFTED: usize = 5;
const DROPPED: usize = 6;
const FAILED: usize = 7;
const OPENED: usize = 8;
const SENT: usize = 9;
const SPAMMED: usize = 10;
const UNDELIVERABLE: usize = 11;
const UNSUBSCRIBED: usize = 12;
const HUMAN_CLICKED: usize = 13;
const PREFETCH_CLICKED: usize = 14;
const HUMAN_OPENED: usize = 15;
const PREFETCH_OPENED: usize = 16;

/// The moment of each metric in milliseconds since 1970, known from the beginning; a clock decides which of them show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifecycle {
    moments: [i64; METRICS.len()],
    forgotten: i64,
}

impl Lifecycle {
    /// The life of a delivery created at `created`.
    pub(super) fn new(created: i64, channel: Channel, dice: &mut Dice) -> Self {
        let mut life = Self {
            moments: [NEVER; METRICS.len()],
            forgotten: NEVER,
        };
        let forgotten = created + dice.between(60 * DAY, 300 * DAY);
        if dice.one_in(30) {
            life.forgotten = forgotten;
        }
        if dice.one_in(8) {
            life.moments[CREATED] = created;
        }
        life.send(created, channel, dice);
        life
    }

    fn send(&mut self, created: i64, channel: Channel, dice: &mut Dice) {
        let sent = created + dice.between(SECOND, 40 * SECOND);
        match dice.below(1_000) {
            0..5 => self.moments[DRAFTED] = created,
            5..12 => self.moments[FAILED] = sent,
            12..20 => self.moments[UNDELIVERABLE] = sent,
            _ => {
                self.moments[SENT] = sent;
                self.deliver(sent, channel, dice);
            }
        }
    }

    fn deliver(&mut self, sent: i64, channel: Channel, dice: &mut Dice) {
        let slow = dice.one_in(20);
        let delay = if slow {
            dice.between(HOUR, 12 * HOUR)
        } else {
            dice.between(SECOND, 90 * SECOND)
        };
        match dice.below(100) {
            0 | 1 => self.moments[BOUNCED] = sent + delay,
            2 => self.moments[DROPPED] = sent + delay,
            _ if channel == Channel::Webhook => {}
            _ => {
                self.moments[DELIVERED] = sent + delay;
                self.read(sent + delay, channel, dice);
            }
        }
    }

    fn read(&mut self, delivered: i64, channel: Channel, dice: &mut Dice) {
        if channel == Channel::Twilio || !dice.percent(45) {
            return;
        }
        let opened = delivered + patience(dice);
        self.moments[OPENED] = opened;
        if channel == Channel::Email && dice.percent(30) {
            self.moments[PREFETCH_OPENED] = opened;
        }
        if dice.percent(70) {
            self.moments[HUMAN_OPENED] = opened.saturating_add(dice.between(0, HOUR));
        }
        self.act(opened, channel, dice);
    }

    fn act(&mut self, opened: i64, channel: Channel, dice: &mut Dice) {
        if dice.percent(25) {
            let clicked = opened + dice.between(2 * SECOND, 10 * HOUR);
            self.moments[CLICKED] = clicked;
            let other = if dice.percent(85) {
                HUMAN_CLICKED
            } else {
                PREFETCH_CLICKED
            };
            self.moments[other] = clicked;
            if dice.percent(20) {
                self.moments[CONVERTED] = clicked + dice.between(HOUR, 85 * DAY);
            }
        }
        let regret = opened + dice.between(SECOND, 3 * DAY);
        match dice.below(400) {
            0 if channel == Channel::Email => self.moments[SPAMMED] = regret,
            1 | 2 => self.moments[UNSUBSCRIBED] = regret,
            _ => {}
        }
    }

    /// The metric at that place of `METRICS` in unix seconds, if it has happened at `now`.
    pub(super) fn seconds(&self, metric: usize, now: i64) -> Option<i64> {
        let moment = self.moments[metric];
        (moment <= now).then(|| moment.div_euclid(SECOND))
    }

    /// The latest metric at `now` in milliseconds, if any has happened.
    pub(super) fn latest(&self, now: i64) -> Option<i64> {
        self.moments.iter().copied().filter(|moment| *moment <= now).max()
    }

    /// Whether its content is no longer kept at `now`.
    pub(super) fn is_forgotten(&self, now: i64) -> bool {
        self.forgotten <= now
    }

    /// Why it did not arrive, if that has happened at `now`.
    pub(super) fn failure(&self, now: i64) -> Option<&'static str> {
        const REASONS: [(usize, &str); 4] = [
            (BOUNCED, "550 5.1.1 <recipient> \"mailbox\" unavailable"),
            (DROPPED, "suppressed: previously bounced"),
            (FAILED, "undefined variable: customer.first_name\nat line 3"),
            (UNDELIVERABLE, "recipient is empty"),
        ];
        let happened = REASONS.iter().find(|(metric, _)| self.moments[*metric] <= now);
        happened.map(|(_, reason)| *reason)
    }
}

/// How long people wait before they open: mostly hours, some weeks, a few up to 150 days.
fn patience(dice: &mut Dice) -> i64 {
    match dice.below(100) {
        0..70 => dice.between(20 * SECOND, 12 * HOUR),
        70..88 => dice.between(12 * HOUR, 5 * DAY),
        88..97 => dice.between(5 * DAY, 29 * DAY),
        _ => dice.between(31 * DAY, 150 * DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::super::chance::Kind;
    use super::*;

    fn lives() -> impl Iterator<Item = Lifecycle> {
        (0..20_000).map(|index| Lifecycle::new(0, Channel::Email, &mut Dice::new(5, Kind::Lifecycle, index)))
    }

    #[test]
    fn metrics_come_late_within_and_beyond_thirty_days() {
        let changed = |from: i64, to: i64| lives().filter(|life| life.latest(from) != life.latest(to)).count();
        assert!(changed(DAY, 30 * DAY) > 1_000);
        assert!(changed(30 * DAY, 150 * DAY) > 100);
        assert!(
            lives().any(|life| life.seconds(OPENED, 100 * DAY).is_none() && life.seconds(OPENED, NEVER - 1).is_some())
        );
    }

    #[test]
    fn nothing_happens_before_its_cause() {
        for life in lives() {
            let at = |metric: usize| life.moments[metric];
            assert!(at(SENT) == NEVER || at(SENT) > 0);
            assert!(at(DELIVERED) == NEVER || at(DELIVERED) > at(SENT));
            assert!(at(OPENED) == NEVER || at(OPENED) > at(DELIVERED));
            assert!(at(CLICKED) == NEVER || at(CLICKED) > at(OPENED));
            assert!(at(BOUNCED) == NEVER || at(DELIVERED) == NEVER);
        }
    }

    #[test]
    fn every_metric_happens_to_somebody() {
        for (metric, name) in METRICS.iter().enumerate() {
            assert!(lives().any(|life| life.moments[metric] != NEVER), "{name}");
        }
        assert!(lives().any(|life| life.is_forgotten(200 * DAY)));
    }
}
