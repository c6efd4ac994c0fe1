//! The simulated workspace: its settings, and what can be seen of it at one instant.

use jiff::Timestamp;

use super::activities::{Activities, Position};
use super::activity_row::Activity;
use super::behaviour::Behaviour;
use super::chance::{Dice, Kind};
use super::deliveries::{Delivery, lane_index};
use super::item::{Item, Items};
use super::json::Oddity;
use super::list_row::ListRow;
use super::listing::Listing;
use super::message_row::MessageRow;
use super::messages::{Message, Messages};
use super::people::{Customer, People};
use super::strange;
use super::timeline::DAY;

/// What is simulated. Everything that is ever served follows from these settings, the clock and the behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Another seed, another workspace of the same size.
    pub seed: u64,
    /// The clock at the start. The workspace goes on growing at the same pace when the clock is moved on.
    pub now: Timestamp,
    /// How many days before `now` the history of deliveries begins.
    pub days: u32,
    /// How many people ever joined until `now`; about one in twenty of them is deleted again by then.
    pub people: u64,
    /// How many transactional messages are listed at `now`; a third of them has never sent anything.
    pub messages: u32,
    /// How many deliveries the history holds.
    pub deliveries: u64,
    /// How many activities the last thirty days hold.
    pub activities: u64,
}

impl Default for Workspace {
    fn default() -> Self {
        Self {
            seed: 1,
            now: Timestamp::constant(1_795_316_400, 0),
            days: 400,
            people: 500,
            messages: 12,
            deliveries: 20_000,
            activities: 6_000,
        }
    }
}

impl Workspace {
    /// The beginning of the history in milliseconds since 1970.
    pub(super) fn start_ms(&self) -> i64 {
        self.now.as_millisecond() - self.span_ms()
    }

    pub(super) fn span_ms(&self) -> i64 {
        i64::from(self.days.max(1)) * DAY
    }

    /// The App API key that the workspace accepts.
    pub(super) fn token(&self) -> String {
        format!("sandbox{:016x}", Dice::new(self.seed, Kind::Request, u64::MAX).roll())
    }
}

/// All that was and will be, whatever the clock says.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) people: People,
    pub(super) messages: Messages,
    pub(super) activities: Activities,
    pub(super) items: Items,
}

impl World {
    pub(super) fn new(workspace: &Workspace) -> Self {
        let (start, span) = (workspace.start_ms(), workspace.span_ms());
        Self {
            seed: workspace.seed,
            people: People::new(workspace.seed, start, span, workspace.people),
            messages: Messages::new(workspace),
            activities: Activities::new(workspace),
            items: Items::new(workspace.seed, workspace.now.as_millisecond()),
        }
    }
}

/// What can be seen of the world at one instant, through an API that behaves in one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) world: &'a World,
    /// The clock in milliseconds since 1970.
    pub(super) now: i64,
    pub(super) behaviour: &'a Behaviour,
}

/// Gives a row a second draw that has nothing to do with its first.
const ELSEWHERE: u64 = 1 << 40;

/// The streams whose rows can be odd or without key, each with its own luck.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    Activities = 1,
    Displaced,
    Customers,
    Messages,
    Metrics,
    Deliveries,
    Lists,
}

impl<'a> View<'a> {
    /// The person at `index` as a row; none if not there.
    pub(super) fn customer(&self, index: u64) -> Option<Customer> {
        let person = self.world.people.person(index);
        let row = || {
            let mut row = Customer::new(person.identity(self.now), self.odd(Lane::Customers, index));
            row.odd.extend(self.strange(Lane::Customers, index));
            row
        };
        person.is_there(self.now).then(row)
    }

    /// Whether `message` is in the list.
    pub(super) fn lists(&self, message: &Message) -> bool {
        message.is_listed(self.now) && !self.behaviour.unlisted.contains(&message.id)
    }

    pub(super) fn message_row(&self, message: Message) -> MessageRow {
        let odd = self.rarely_odd(Lane::Messages, message.index);
        let strange = self.strange(Lane::Messages, message.index);
        MessageRow::new(message, self.now, self.behaviour.template_fields, odd).with(strange)
    }

    pub(super) fn list_row(&self, listing: &'static Listing, item: Item) -> ListRow {
        let index = listing.lane(item.index);
        let odd = self.rarely_odd(Lane::Lists, index);
        ListRow::new(listing, item, odd).with(self.strange(Lane::Lists, index))
    }

    /// What stands in a list besides row `item`, if anything.
    pub(super) fn unreadable_item(&self, listing: &Listing, item: &Item) -> Option<Vec<u8>> {
        self.unreadable(Lane::Lists, listing.lane(item.index))
    }

    /// What stands in the list of transactional messages besides `message`, if anything.
    pub(super) fn unreadable_message(&self, message: &Message) -> Option<Vec<u8>> {
        self.unreadable(Lane::Messages, message.index)
    }

    /// What stands in the place of the metrics of `message`, if nobody can read them.
    pub(super) fn unreadable_metrics(&self, message: &Message) -> Option<Vec<u8>> {
        self.unreadable(Lane::Metrics, message.index)
    }

    /// What is hard to read about row `index`.
    pub(super) fn strange(&self, lane: Lane, index: u64) -> Vec<Oddity> {
        let dice = self.chosen(lane, index ^ ELSEWHERE, self.behaviour.strange);
        dice.map_or_else(Vec::new, |mut dice| strange::strange(&mut dice))
    }

    /// Delivery `number` of `message`; none if the message never sends.
    pub(super) fn delivery(&self, message: &Message, number: u64) -> Option<Delivery> {
        Delivery::new(self, message, number)
    }

    /// The dice to draw an oddity with, if row `index` is an odd one.
    pub(super) fn odd(&self, lane: Lane, index: u64) -> Option<Dice> {
        self.chosen(lane, index, self.behaviour.odd)
    }

    /// The same for streams of few rows.
    pub(super) fn rarely_odd(&self, lane: Lane, index: u64) -> Option<Dice> {
        match self.behaviour.odd {
            0 => None,
            one_in => self.chosen(lane, index, (one_in / 40).max(1)),
        }
    }

    /// What stands in the place of the person at `index`, if it is to be a row that no table can take.
    pub(super) fn broken_customer(&self, index: u64) -> Option<Vec<u8>> {
        self.broken(Lane::Customers, index, &Customer::BROKEN)
    }

    /// The same for an activity.
    pub(super) fn broken_activity(&self, at: Position) -> Option<Vec<u8>> {
        let lane = if at.displaced {
            Lane::Displaced
        } else {
            Lane::Activities
        };
        self.broken(lane, at.index, &Activity::BROKEN)
    }

    /// The same for delivery `number` of `message`.
    pub(super) fn broken_delivery(&self, message: &Message, number: u64) -> Option<Vec<u8>> {
        self.broken(Lane::Deliveries, lane_index(message, number), &Delivery::BROKEN)
    }

    fn broken(&self, lane: Lane, index: u64, forms: &[&'static str; 4]) -> Option<Vec<u8>> {
        const COMMON: [&str; 4] = ["null", "\"row\"", "[1,2]", "{}"];
        if let Some(bytes) = self.unreadable(lane, index) {
            return Some(bytes);
        }
        let mut dice = self.chosen(lane, !index, self.behaviour.keyless)?;
        let forms = if dice.percent(50) { forms } else { &COMMON };
        Some(dice.pick(forms).as_bytes().to_vec())
    }

    fn unreadable(&self, lane: Lane, index: u64) -> Option<Vec<u8>> {
        let mut dice = self.chosen(lane, !index ^ ELSEWHERE, self.behaviour.unreadable)?;
        Some(strange::unreadable(index, &mut dice))
    }

    fn chosen(&self, lane: Lane, index: u64, one_in: u32) -> Option<Dice> {
        if one_in == 0 {
            return None;
        }
        let mut dice = Dice::new(self.world.seed ^ (lane as u64) << 48, Kind::Odd, index);
        dice.one_in(one_in).then_some(dice)
    }
}
