//! Deliveries: what one transactional message sent to one person, as the API shows it at one instant.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use super::behaviour::{Parents, PersonKey};
use super::chance::{Dice, Kind, ulid};
use super::json::Oddity;
use super::lifecycle::{Lifecycle, METRICS};
use super::messages::{Channel, Message};
use super::people::Identity;
use super::timeline::SECOND;
use super::workspace::{Lane, View};

/// One delivery at one instant.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: [u8; 36],
    pub(super) number: u64,
    pub(super) message: Message,
    pub(super) created: i64,
    pub(super) now: i64,
    pub(super) life: Lifecycle,
    /// Who the person is now.
    pub(super) identity: Identity,
    /// Who the person was when it was sent.
    pub(super) addressee: Identity,
    pub(super) trigger: Option<[u8; 26]>,
    pub(super) responses: bool,
    pub(super) shape: Shape,
    pub(super) odd: Vec<Oddity>,
}

/// In which of several believable ways the row is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) identifiers: &'static str,
    pub(super) null_parents: bool,
    pub(super) transactional_message_id: bool,
    pub(super) template_alias: bool,
    /// How the content of a forgotten delivery is left: null or empty.
    pub(super) forgotten_null: bool,
}

impl Delivery {
    /// Rows in the place of a delivery that no table can take.
    pub(super) const BROKEN: [&'static str; 4] = [
        r#"{"subject":"no id","metrics":{"sent":1790000000},"created":1790000000,"type":"email"}"#,
        r#"{"id":null,"deduplicate_id":null,"created":1790000001,"type":"email"}"#,
        r#"{"id":"bm8gdGltZQ==","subject":"no time","type":"email","forgotten":false}"#,
        r#"{"id":"YmFkIHRpbWU=","subject":"bad time","created":"yesterday","type":"email"}"#,
    ];

    pub(super) fn new(view: &View<'_>, message: &Message, number: u64) -> Option<Self> {
        let created = message.sends()?.time(number);
        let index = lane_index(message, number);
        let mut dice = Dice::new(view.world.seed, Kind::Delivery, index);
        let id = delivery_id(message, created, &mut dice);
        let person = view.world.people.anyone(created, &mut dice);
        let mut delivery = Self {
            id,
            number,
            message: *message,
            created,
            now: view.now,
            life: lifecycle(view.world.seed, message, number, created),
            identity: person.identity(view.now),
            addressee: person.identity(created),
            trigger: dice.percent(40).then(|| ulid(created, &mut dice)),
            responses: message.channel == Channel::InApp && dice.one_in(3),
            shape: Shape::new(view, &mut dice),
            odd: Vec::new(),
        };
        delivery.odd = delivery.oddities(view, index);
        delivery.odd.extend(view.strange(Lane::Deliveries, index));
        Some(delivery)
    }

    /// Whether the documented metric of that name has happened.
    pub(super) fn has(&self, metric: &str) -> bool {
        let place = METRICS.iter().position(|known| *known == metric);
        place.is_some_and(|place| self.life.seconds(place, self.now).is_some())
    }

    /// The content in force when it was sent.
    pub(super) fn template_id(&self) -> i64 {
        self.message.template_at(self.created)
    }

    fn oddities(&self, view: &View<'_>, index: u64) -> Vec<Oddity> {
        let mut odd = Vec::new();
        let behaviour = view.behaviour;
        if behaviour.odd | behaviour.secondary_delivered | behaviour.numeric_cio_id == 0 {
            return odd;
        }
        let mut dice = Dice::new(view.world.seed, Kind::Odd, !index);
        let (secondary, numeric) = (
            dice.one_in(behaviour.secondary_delivered),
            dice.one_in(behaviour.numeric_cio_id),
        );
        if let Some(mut dice) = view.odd(Lane::Deliveries, index) {
            odd.push(self.oddity(&mut dice));
        }
        if numeric && let Some(digits) = self.identity.numeric_cio_id() {
            let text = format!("\"{digits}\"");
            odd.push(Oddity::kept("cio_id", digits, text).inside("identifiers"));
        }
        if secondary && let Some(latest) = self.life.latest(self.now) {
            let seconds = (latest + 2 * SECOND).div_euclid(SECOND).to_string();
            odd.push(Oddity::unknown("secondary:delivered", seconds).inside("metrics"));
        }
        if odd
            .iter()
            .any(|oddity| oddity.field == "metrics" || oddity.field == "identifiers")
        {
            odd.truncate(1);
        }
        odd
    }

    fn oddity(&self, dice: &mut Dice) -> Oddity {
        let created = self.created.div_euclid(SECOND);
        let template = self.template_id();
        match dice.below(25) {
            0 => Oddity::unknown("language", "\"pt-BR\""),
            1 => Oddity::unknown("experiment", "{\"arm\":\"b\",\"weights\":[0.50,1e2,9007199254740993]}"),
            2 => Oddity::unknown("replied", (created + 90).to_string()).inside("metrics"),
            3 => Oddity::unknown("phone", "\"+15555550100\"").inside("identifiers"),
            4 => Oddity::misfit("subject", "{\"en\":\"Your order\",\"de\":\"Ihre Bestellung\"}"),
            5 => Oddity::kept("subject", "2.50", "\"2.50\""),
            6 => Oddity::misfit("subject", "true"),
            7 => Oddity::misfit("recipient", "[\"a@example.com\",\"b@example.com\"]"),
            8 => Oddity::kept("recipient", "15555550123", "\"15555550123\""),
            9 => Oddity::kept("created", format!("\"{created}\""), created.to_string()),
            10 => Oddity::kept("created", format!("{created}.0"), created.to_string()),
            11 => Oddity::misfit("action_id", "1.9"),
            12 => Oddity::kept("campaign_id", "\"18\"", "18"),
            13 => Oddity::kept("content_id", "7.0", "7"),
            14 => Oddity::misfit("newsletter_id", "\"none\""),
            15 => Oddity::misfit("broadcast_id", "{\"id\":4}"),
            16 => Oddity::misfit("transactional_message_id", (self.message.id + 1).to_string()),
            17 => Oddity::misfit("message_template_id", (template + 1).to_string()),
            18 => Oddity::misfit("clicked", "\"yesterday\"").inside("metrics"),
            19 => Oddity::kept("opened", format!("\"{}\"", created + 70), (created + 70).to_string()).inside("metrics"),
            20 => Oddity::misfit("delivered", format!("{}.5", created + 30)).inside("metrics"),
            21 => Oddity::misfit("forgotten", "0"),
            22 => Oddity::kept("identifiers", "null", "null"),
            23 => match self.identity.digits_id() {
                Some(digits) => Oddity::kept("customer_id", digits.clone(), format!("\"{digits}\"")),
                None => Oddity::unknown("tags", "[]"),
            },
            _ => Oddity::kept("metrics", "null", "null"),
        }
    }
}

impl Shape {
    fn new(view: &View<'_>, dice: &mut Dice) -> Self {
        let bits = dice.roll();
        let identifiers = match view.behaviour.person_key {
            PersonKey::Identifiers => "identifiers",
            PersonKey::Mixed if bits & 7 == 0 => "identifiers",
            _ => "customer_identifiers",
        };
        Self {
            identifiers,
            null_parents: match view.behaviour.parents {
                Parents::Mixed => bits >> 3 & 1 == 0,
                Parents::Null => true,
                Parents::Absent => false,
            },
            transactional_message_id: bits >> 4 & 3 != 0,
            template_alias: bits >> 6 & 15 == 0,
            forgotten_null: bits >> 10 & 1 == 0,
        }
    }
}

/// What becomes of delivery `number` of `message`.
pub(super) fn lifecycle(seed: u64, message: &Message, number: u64, created: i64) -> Lifecycle {
    let mut dice = Dice::new(seed, Kind::Lifecycle, lane_index(message, number));
    Lifecycle::new(created, message.channel, &mut dice)
}

/// The id of delivery `number` of `message`, without looking at anything else of it.
pub(super) fn id_of(seed: u64, message: &Message, number: u64) -> Option<[u8; 36]> {
    let created = message.sends()?.time(number);
    let mut dice = Dice::new(seed, Kind::Delivery, lane_index(message, number));
    Some(delivery_id(message, created, &mut dice))
}

/// One number for each delivery of the workspace.
pub(super) fn lane_index(message: &Message, number: u64) -> u64 {
    (message.index + 1) << 36 ^ number
}

/// Ten bytes that say where it comes from, then a ULID of the creation time, in URL-safe base64.
fn delivery_id(message: &Message, created: i64, dice: &mut Dice) -> [u8; 36] {
    let mut bytes = [0; 26];
    bytes[..2].copy_from_slice(&[0x76, 0x03]);
    bytes[2..8].copy_from_slice(&(message.id.wrapping_mul(0x05e9_aa05_e9ab)).to_be_bytes()[2..]);
    bytes[8..10].copy_from_slice(&[0x03, 0x00]);
    bytes[10..16].copy_from_slice(&created.to_be_bytes()[2..]);
    bytes[16..24].copy_from_slice(&dice.roll().to_be_bytes());
    bytes[24..].copy_from_slice(&dice.roll().to_be_bytes()[6..]);
    let mut text = [b'='; 36];
    // 26 bytes make 36 characters: the slice always suffices.
    let _ = URL_SAFE.encode_slice(bytes, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::Behaviour;
    use super::super::workspace::{Workspace, World};
    use super::*;

    #[test]
    fn an_id_says_when_it_was_made() {
        let workspace = Workspace::default();
        let world = World::new(&workspace);
        let (now, behaviour) = (workspace.now.as_millisecond(), Behaviour::plain());
        let view = View {
            world: &world,
            now,
            behaviour: &behaviour,
        };
        let message = world.messages.message(0);
        let delivery = view.delivery(&message, 7).unwrap();
        let bytes = URL_SAFE.decode(delivery.id).unwrap();
        let mut time = [0; 8];
        time[2..].copy_from_slice(&bytes[10..16]);
        assert_eq!(i64::from_be_bytes(time), delivery.created);
        assert_eq!(id_of(world.seed, &message, 7), Some(delivery.id));
    }
}
