//! Deliveries: what one transactional message sent to one person, as the API shows it at one instant.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use super::behaviour::{Parents, PersonKey};
use super::chance::{Dice, Kind, ulid};
use super::json::{self, Object, Oddity, Side};
use super::lifecycle::{Lifecycle, METRICS};
use super::messages::{Channel, Message};
use super::people::Identity;
use super::timeline::SECOND;
use super::workspace::{Lane, View};

/// One delivery at one instant.
#[derive(Debug)]
pub(super) struct Delivery {
    id: [u8; 36],
    number: u64,
    message: Message,
    created: i64,
    now: i64,
    life: Lifecycle,
    /// Who the person is now.
    identity: Identity,
    /// Who the person was when it was sent.
    addressee: Identity,
    trigger: Option<[u8; 26]>,
    responses: bool,
    shape: Shape,
    odd: Vec<Oddity>,
}

/// In which of several believable ways the row is served.
#[derive(Debug, Clone, Copy)]
struct Shape {
    identifiers: &'static str,
    null_parents: bool,
    transactional_message_id: bool,
    template_alias: bool,
    /// How the content of a forgotten delivery is left: null or empty.
    forgotten_null: bool,
}

/// Parents that a transactional delivery never has.
const PARENTS: [&str; 6] = [
    "action_id",
    "parent_action_id",
    "content_id",
    "newsletter_id",
    "campaign_id",
    "broadcast_id",
];

/// The order in which the API serves the fields, under the lake's names.
const SERVED: &[&str] = &[
    "id",
    "deduplicate_id",
    "transactional_message_id",
    "msg_template_id",
    "message_template_id",
    "action_id",
    "parent_action_id",
    "content_id",
    "customer_id",
    "identifiers",
    "email",
    "cio_id",
    "recipient",
    "subject",
    "metrics",
    "clicked",
    "delivered",
    "opened",
    "created",
    "failure_message",
    "newsletter_id",
    "campaign_id",
    "broadcast_id",
    "trigger_event_id",
    "type",
    "forgotten",
    "tracked_responses",
];

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
        Some(delivery)
    }

    /// Whether the documented metric of that name has happened.
    pub(super) fn has(&self, metric: &str) -> bool {
        let place = METRICS.iter().position(|known| *known == metric);
        place.is_some_and(|place| self.life.seconds(place, self.now).is_some())
    }

    /// The row as the API serves it.
    pub(super) fn api(&self, out: &mut Vec<u8>, tracked_responses: bool) {
        let mut row = Object::open(out, &self.odd, Side::Api);
        self.ids(&mut row);
        if self.shape.transactional_message_id || self.odd.iter().any(|odd| odd.field == "transactional_message_id") {
            row.int("transactional_message_id", self.message.id as i64);
        }
        self.template(&mut row);
        PARENTS[..3].iter().for_each(|name| self.parent(&mut row, name));
        self.identity.id_field(&mut row, "customer_id");
        self.identifiers(&mut row, self.shape.identifiers);
        self.content(&mut row);
        self.metrics(&mut row);
        row.int("created", self.created.div_euclid(SECOND));
        self.failure(&mut row);
        PARENTS[3..].iter().for_each(|name| self.parent(&mut row, name));
        self.trigger(&mut row);
        row.text("type", self.message.channel.name());
        row.bool("forgotten", self.life.is_forgotten(self.now));
        if tracked_responses && self.responses {
            row.raw("tracked_responses", |out| self.write_responses(out));
        }
        row.close(SERVED);
    }

    /// The row as the lake has to hold it.
    pub(super) fn lake(&self, out: &mut Vec<u8>, tracked_responses: bool) {
        let mut row = Object::open(out, &self.odd, Side::Lake);
        self.ids(&mut row);
        row.int("transactional_id", self.message.id as i64);
        row.int("msg_template_id", self.template_id());
        PARENTS.iter().for_each(|name| row.null(name));
        self.trigger(&mut row);
        self.identity.id_field(&mut row, "customer_id");
        self.identifiers(&mut row, "identifiers");
        self.content(&mut row);
        row.text("type", self.message.channel.name());
        self.failure(&mut row);
        row.bool("forgotten", self.life.is_forgotten(self.now));
        self.metrics(&mut row);
        row.int("created", self.created.div_euclid(SECOND));
        match tracked_responses && self.responses {
            true => row.text(
                "tracked_responses",
                &super::people::text(|out| self.write_responses(out)),
            ),
            false => row.null("tracked_responses"),
        }
        row.close(SERVED);
    }

    fn ids(&self, row: &mut Object<'_>) {
        let latest = self.life.latest(self.now).unwrap_or(self.created);
        row.plain("id", |out| out.extend_from_slice(&self.id));
        row.plain("deduplicate_id", |out| {
            out.extend_from_slice(&self.id);
            out.push(b':');
            json::int(out, latest.div_euclid(SECOND));
        });
    }

    fn template(&self, row: &mut Object<'_>) {
        let odd_alias = self.odd.iter().any(|odd| odd.field == "message_template_id");
        if !self.shape.template_alias || odd_alias || self.number.is_multiple_of(2) {
            row.int("msg_template_id", self.template_id());
        }
        if self.shape.template_alias || odd_alias {
            row.int("message_template_id", self.template_id());
        }
    }

    fn parent(&self, row: &mut Object<'_>, name: &'static str) {
        match self.shape.null_parents {
            true => row.null(name),
            false => row.absent(name),
        }
    }

    fn identifiers(&self, row: &mut Object<'_>, name: &'static str) {
        row.nested(name, "identifiers", |person| {
            self.identity.id_field(person, "id");
            self.identity.email_field(person);
            self.identity.cio_id_field(person);
        });
    }

    /// Recipient and subject: gone when forgotten, the subject missing where the channel has none.
    fn content(&self, row: &mut Object<'_>) {
        if self.life.is_forgotten(self.now) {
            for name in ["recipient", "subject"] {
                match self.shape.forgotten_null {
                    true => row.null(name),
                    false => row.text(name, ""),
                }
            }
            return;
        }
        row.plain("recipient", |out| self.write_recipient(out));
        match self.message.channel {
            Channel::Email => row.plain("subject", |out| self.message.write_subject(out, self.number)),
            _ => row.null("subject"),
        }
    }

    fn write_recipient(&self, out: &mut Vec<u8>) {
        match self.message.channel {
            Channel::Email if self.addressee.has_email() => self.addressee.write_email(out),
            Channel::Twilio => {
                out.extend_from_slice(b"+1555");
                json::digits(out, self.number % 10_000_000, 7);
            }
            Channel::Webhook => out.extend_from_slice(b"https://hooks.example.com/orders?source=cio"),
            _ if self.addressee.has_id() => self.addressee.write_id(out),
            _ => self.addressee.write_cio_id(out),
        }
    }

    fn metrics(&self, row: &mut Object<'_>) {
        row.nested("metrics", "metrics", |metrics| {
            for (place, name) in METRICS.iter().enumerate() {
                match self.life.seconds(place, self.now) {
                    Some(seconds) => metrics.int(name, seconds),
                    None => metrics.absent(name),
                }
            }
        });
    }

    fn failure(&self, row: &mut Object<'_>) {
        match self.life.failure(self.now) {
            Some(reason) => row.text("failure_message", reason),
            None => row.null("failure_message"),
        }
    }

    fn trigger(&self, row: &mut Object<'_>) {
        match &self.trigger {
            Some(id) => row.plain("trigger_event_id", |out| out.extend_from_slice(id)),
            None => self.parent(row, "trigger_event_id"),
        }
    }

    fn write_responses(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"cool-button\":{\"id\":1,\"ts\":");
        json::int(out, self.created.div_euclid(SECOND) + 60);
        out.extend_from_slice(b"}}");
    }

    /// The content in force when it was sent.
    fn template_id(&self) -> i64 {
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
    use serde_json::Value;

    use super::super::behaviour::Behaviour;
    use super::super::people::text;
    use super::super::timeline::DAY;
    use super::super::workspace::{Workspace, World};
    use super::*;

    fn with_first_message(behaviour: &Behaviour, later: i64, check: impl Fn(&View<'_>, &Message)) {
        let workspace = Workspace::default();
        let world = World::new(&workspace);
        let now = workspace.now.as_millisecond() + later;
        let message = world.messages.message(0);
        check(
            &View {
                world: &world,
                now,
                behaviour,
            },
            &message,
        );
    }

    fn both(delivery: &Delivery) -> (Value, Value) {
        let parse = |json: String| serde_json::from_str(&json).unwrap();
        (
            parse(text(|out| delivery.api(out, false))),
            parse(text(|out| delivery.lake(out, false))),
        )
    }

    #[test]
    fn plain_rows_agree_field_by_field() {
        with_first_message(&Behaviour::plain(), 0, |view, message| {
            for number in 0..2_000 {
                let (api, lake) = both(&view.delivery(message, number).unwrap());
                for name in [
                    "id",
                    "deduplicate_id",
                    "customer_id",
                    "recipient",
                    "subject",
                    "type",
                    "created",
                    "forgotten",
                ] {
                    assert_eq!(api[name], lake[name], "{name}");
                }
                let person = api
                    .get("identifiers")
                    .or_else(|| api.get("customer_identifiers"))
                    .unwrap();
                assert_eq!(person, &lake["identifiers"]);
                for metric in METRICS {
                    assert_eq!(
                        api["metrics"].get(metric).unwrap_or(&Value::Null),
                        &lake["metrics"][metric]
                    );
                }
                assert!(lake["_extra"].is_null());
                assert_eq!(lake.as_object().unwrap().len(), 22);
            }
        });
    }

    #[test]
    fn an_id_says_when_it_was_made() {
        with_first_message(&Behaviour::plain(), 0, |view, message| {
            let delivery = view.delivery(message, 7).unwrap();
            let bytes = URL_SAFE.decode(delivery.id).unwrap();
            let mut time = [0; 8];
            time[2..].copy_from_slice(&bytes[10..16]);
            assert_eq!(i64::from_be_bytes(time), delivery.created);
            assert_eq!(id_of(view.world.seed, message, 7), Some(delivery.id));
        });
    }

    #[test]
    fn time_adds_metrics_and_takes_content_away() {
        let rows = |later: i64| {
            let rows = std::cell::RefCell::new(Vec::new());
            with_first_message(&Behaviour::plain(), later, |view, message| {
                let row = |number| both(&view.delivery(message, number).unwrap()).1;
                let last = message.deliveries_until(view.now - later);
                rows.borrow_mut().extend((last - 5_000..last).map(row));
            });
            rows.into_inner()
        };
        let (before, after) = (rows(0), rows(40 * DAY));
        let changed = |path: &str| {
            before
                .iter()
                .zip(&after)
                .filter(|(a, b)| a.pointer(path) != b.pointer(path))
                .count()
        };
        assert!(changed("/metrics/opened") > 5);
        assert!(changed("/deduplicate_id") >= changed("/metrics/opened"));
        assert!(changed("/forgotten") > 5);
        assert!(changed("/identifiers/email") > 5);
        assert_eq!(changed("/id") + changed("/created") + changed("/identifiers/cio_id"), 0);
    }

    #[test]
    fn an_odd_row_keeps_what_fits_and_mirrors_the_rest() {
        with_first_message(&Behaviour::plain(), 0, |view, message| {
            let mut delivery = view.delivery(message, 3).unwrap();
            let id = delivery.message.id;
            delivery.odd = vec![
                Oddity::misfit("transactional_message_id", "999"),
                Oddity::kept("campaign_id", "\"18\"", "18"),
                Oddity::misfit("action_id", "1.9"),
                Oddity::unknown("phone", "\"+1\"").inside("identifiers"),
                Oddity::unknown("language", "\"de\""),
            ];
            let (api, lake) = both(&delivery);
            assert_eq!(api["transactional_message_id"], 999);
            assert_eq!(lake["transactional_id"], id);
            assert_eq!(
                (&api["campaign_id"], &lake["campaign_id"]),
                (&Value::from("18"), &Value::from(18))
            );
            assert!(lake["action_id"].is_null());
            let extra =
                r#"{"transactional_message_id":999,"action_id":1.9,"identifiers":{"phone":"+1"},"language":"de"}"#;
            assert_eq!(lake["_extra"], extra);
        });
    }

    #[test]
    fn every_odd_row_is_json_on_both_sides() {
        let behaviour = Behaviour {
            odd: 1,
            secondary_delivered: 2,
            numeric_cio_id: 1,
            ..Behaviour::default()
        };
        with_first_message(&behaviour, 0, |view, message| {
            let mut with_extra = 0;
            for number in 0..3_000 {
                let (_, lake) = both(&view.delivery(message, number).unwrap());
                if let Some(extra) = lake["_extra"].as_str() {
                    with_extra += 1;
                    assert!(serde_json::from_str::<Value>(extra).unwrap().is_object());
                }
            }
            assert!(with_extra > 1_000);
        });
    }
}
