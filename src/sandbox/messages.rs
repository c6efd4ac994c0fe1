//! Transactional messages: what is sent, how often, and what becomes of it.

use super::chance::{Dice, Kind};
use super::json;
use super::timeline::{DAY, NEVER, Pace};
use super::workspace::Workspace;

/// Every transactional message the workspace ever has, by index in order of creation.
///
/// Of six neighbours two never send anything, one vanishes some day and one is unlisted some day.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    seed: u64,
    start: i64,
    now: i64,
    /// How many deliveries each of the first messages has until `now`.
    shares: Vec<u64>,
    /// Deliveries of a message that comes after `now`, over a history's length.
    newcomer: u64,
}

/// The life of one transactional message. Nothing here depends on the clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) index: u64,
    pub(super) id: u64,
    pub(super) channel: Channel,
    pub(super) created: i64,
    /// From then on it is neither listed nor served.
    vanishes: i64,
    /// From then on it is not listed and sends nothing, but is still served by id.
    unlisted: i64,
    pub(super) edited_every: i64,
    pub(super) flags: u64,
    /// The moments at which it sends; none if it never does.
    sends: Option<Pace>,
}

/// Through what a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Email,
    Push,
    InApp,
    Twilio,
    Webhook,
}

impl Channel {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Push => "push",
            Self::InApp => "in_app",
            Self::Twilio => "twilio",
            Self::Webhook => "webhook",
        }
    }
}

const TOPICS: [(&str, &str); 12] = [
    ("Order confirmation", "order_confirmation"),
    ("Password reset", "password_reset"),
    ("Shipping update", "shipping_update"),
    ("Annual statement", "annual_statement"),
    ("Sign-in code", "sign_in_code"),
    ("Data export ready", "data_export_ready"),
    ("Receipt", "receipt"),
    ("Invitation", "invitation"),
    ("Payment failed", "payment_failed"),
    ("Address changed", "address_changed"),
    ("Welcome", "welcome"),
    ("Rückerstattung", "refund"),
];

const FIRST_NEW: i64 = 7 * DAY;
const FIRST_VANISHED: i64 = 15 * DAY;
const FIRST_UNLISTED: i64 = 22 * DAY;
const EVERY: i64 = 30 * DAY;

impl Messages {
    pub(super) fn new(workspace: &Workspace) -> Self {
        Self {
            seed: workspace.seed,
            start: workspace.start_ms(),
            now: workspace.now.as_millisecond(),
            shares: shares(workspace.messages, workspace.deliveries),
            newcomer: (workspace.deliveries / u64::from(workspace.messages.max(1))).max(1),
        }
    }

    /// How many messages were ever created until `at`, vanished ones included.
    pub(super) fn count_until(&self, at: i64) -> u64 {
        let first = (0..self.shares.len() as u64).filter(|index| self.created(*index) <= at);
        let new = (at - self.now - FIRST_NEW).div_euclid(EVERY) + 1;
        first.count() as u64 + u64::try_from(new).unwrap_or(0)
    }

    /// The messages created until `at`, vanished ones included.
    pub(super) fn known(&self, at: i64) -> impl Iterator<Item = Message> + '_ {
        (0..self.count_until(at)).map(|index| self.message(index))
    }

    /// The message of that id, if it is served at `at`.
    pub(super) fn served(&self, id: u64, at: i64) -> Option<Message> {
        let index = id.checked_sub(2)? / 3;
        let message = self.message(index);
        (message.id == id && message.is_served(at)).then_some(message)
    }

    pub(super) fn message(&self, index: u64) -> Message {
        let mut dice = Dice::new(self.seed, Kind::Message, index);
        let created = self.created(index);
        let (round, fate) = ((index / 6) as i64, index % 6);
        let due = |first: i64| (self.now + first + round * EVERY).max(created + 20 * DAY);
        let channel = channel(index, &mut dice);
        Message {
            index,
            id: 2 + 3 * index + dice.below(3),
            channel,
            created,
            vanishes: if fate == 1 { due(FIRST_VANISHED) } else { NEVER },
            unlisted: if fate == 2 { due(FIRST_UNLISTED) } else { NEVER },
            edited_every: dice.between(40, 200) * DAY,
            flags: dice.roll(),
            sends: self.sends(index, created),
        }
    }

    /// The first messages come before or within the history, the later ones every thirty days.
    fn created(&self, index: u64) -> i64 {
        let mut dice = Dice::new(self.seed, Kind::Message, !index);
        match index.checked_sub(self.shares.len() as u64) {
            Some(new) => self.now + FIRST_NEW + new as i64 * EVERY,
            None if index % 4 == 3 => self.start + dice.between(0, (self.now - self.start) * 3 / 4),
            None => self.start - dice.between(DAY, 300 * DAY),
        }
    }

    fn sends(&self, index: u64, created: i64) -> Option<Pace> {
        let start = created.max(self.start);
        let (span, count) = match self.shares.get(index as usize) {
            Some(share) => (self.now - start, *share),
            None if is_silent(index) => return None,
            None => (self.now - self.start, self.newcomer),
        };
        let lane = (Kind::Delivery as u64) << 40 | index;
        (count > 0).then(|| Pace::new(self.seed, lane, start, span, count).with_bursts())
    }
}

/// A third of the messages never send anything.
fn is_silent(index: u64) -> bool {
    matches!(index % 6, 3 | 5)
}

fn channel(index: u64, dice: &mut Dice) -> Channel {
    let drawn = dice.below(10);
    match (index % 6, drawn) {
        (0 | 1, _) | (_, 0..=4) => Channel::Email,
        (_, 5) => Channel::Push,
        (_, 6 | 7) => Channel::InApp,
        (_, 8) => Channel::Twilio,
        _ => Channel::Webhook,
    }
}

/// A power law over the messages that send; the shares add up to `deliveries` exactly.
fn shares(messages: u32, deliveries: u64) -> Vec<u64> {
    let mut rank = 0.0;
    let weights: Vec<f64> = (0..u64::from(messages))
        .map(|index| {
            if is_silent(index) {
                return 0.0;
            }
            rank += 1.0;
            f64::powf(rank, -1.1)
        })
        .collect();
    let total: f64 = weights.iter().sum();
    let mut reached = 0.0;
    let mut given = 0;
    weights
        .iter()
        .map(|weight| {
            reached += weight;
            let until = (reached / total * deliveries as f64).round() as u64;
            let share = until - given;
            given = until;
            share
        })
        .collect()
}

impl Message {
    pub(super) fn is_served(&self, at: i64) -> bool {
        self.created <= at && at < self.vanishes
    }

    pub(super) fn is_listed(&self, at: i64) -> bool {
        self.is_served(at) && at < self.unlisted
    }

    /// The moments at which it sends; none if it never does.
    pub(super) fn sends(&self) -> Option<&Pace> {
        self.sends.as_ref()
    }

    /// How many deliveries were created until `at`.
    pub(super) fn deliveries_until(&self, at: i64) -> u64 {
        let last = at.min(self.unlisted.saturating_sub(1));
        self.sends.map_or(0, |pace| pace.count_until(last))
    }

    /// The id of its content; each edit makes a new one.
    pub(super) fn template_at(&self, at: i64) -> i64 {
        self.id as i64 * 50 + 17 + self.edits(at)
    }

    /// Writes the subject of delivery `number`, which needs no JSON escape.
    pub(super) fn write_subject(&self, out: &mut Vec<u8>, number: u64) {
        out.extend_from_slice(TOPICS[self.topic()].0.as_bytes());
        out.extend_from_slice(b" no. ");
        json::digits(out, number + 1, 1);
    }

    pub(super) fn title(&self) -> String {
        format!("{}{}", TOPICS[self.topic()].0, self.suffix(' '))
    }

    pub(super) fn trigger_name(&self) -> String {
        format!("{}{}", TOPICS[self.topic()].1, self.suffix('_'))
    }

    fn topic(&self) -> usize {
        self.index as usize % TOPICS.len()
    }

    /// Tells messages of one topic apart.
    fn suffix(&self, separator: char) -> String {
        match self.index / TOPICS.len() as u64 {
            0 => String::new(),
            round => format!("{separator}{}", round + 1),
        }
    }

    /// How often it was edited until `at`.
    pub(super) fn edits(&self, at: i64) -> i64 {
        (at - self.created).max(0) / self.edited_every
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(count: u32, deliveries: u64) -> (Messages, i64) {
        let workspace = Workspace {
            messages: count,
            deliveries,
            ..Workspace::default()
        };
        (Messages::new(&workspace), workspace.now.as_millisecond())
    }

    #[test]
    fn the_shares_follow_a_power_law_and_add_up() {
        let shares = shares(30, 100_000);
        assert_eq!(shares.iter().sum::<u64>(), 100_000);
        assert_eq!(shares.iter().filter(|share| **share == 0).count(), 10);
        assert!(shares[0] > 20 * shares[28]);
        assert!(super::shares(0, 10).is_empty());
    }

    #[test]
    fn all_deliveries_are_there_now() {
        let (messages, now) = messages(12, 20_000);
        let there: u64 = messages.known(now).map(|message| message.deliveries_until(now)).sum();
        assert_eq!(there, 20_000);
        assert!(messages.known(now).all(|message| message.is_listed(now)));
    }

    #[test]
    fn within_forty_days_one_comes_one_vanishes_and_one_is_unlisted() {
        let (messages, now) = messages(12, 20_000);
        let later = now + 40 * DAY;
        assert!(messages.count_until(later) > messages.count_until(now));
        let of = |fate: fn(&Message, i64) -> bool| messages.known(now).filter(|message| fate(message, later)).count();
        assert_eq!(of(|message, at| !message.is_served(at)), 1);
        assert_eq!(of(|message, at| message.is_served(at) && !message.is_listed(at)), 1);
        let vanished = messages.known(now).find(|message| !message.is_served(later)).unwrap();
        assert!(messages.served(vanished.id, now).is_some() && messages.served(vanished.id, later).is_none());
    }

    #[test]
    fn ids_lead_back_to_their_message() {
        let (messages, now) = messages(50, 1_000);
        for message in messages.known(now) {
            assert_eq!(
                messages.served(message.id, now).map(|found| found.index),
                Some(message.index)
            );
        }
        assert!(messages.served(0, now).is_none());
        assert!(messages.served(1_000_000, now).is_none());
    }
}
