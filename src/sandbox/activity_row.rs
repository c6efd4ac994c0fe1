//! One activity as the API serves it and as the lake has to hold it.

use super::activities::Position;
use super::chance::{Dice, Kind, ulid};
use super::deliveries;
use super::json::{self, Object, Oddity, Side};
use super::people::{Identity, text};
use super::timeline::{DAY, SECOND};
use super::workspace::{Lane, View};

/// One activity. Rows do not change once they have arrived.
#[derive(Debug)]
pub(super) struct Activity {
    id: [u8; 26],
    at: Position,
    seed: u64,
    what: What,
    identity: Identity,
    /// Some live rows leave the person's id out instead of saying null.
    without_id: bool,
    odd: Vec<Oddity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Event(&'static str),
    Screen(&'static str),
    Page(&'static str),
    AttributeChange,
    ProfileCreate,
    Device,
    Message {
        kind: &'static str,
        channel: &'static str,
        delivery: [u8; 36],
    },
}

/// Served as it stands here, escapes included; what it reads as follows.
const EVENT_NAMES: [(&str, &str); 6] = [
    ("order_placed", "order_placed"),
    ("cart updated", "cart updated"),
    ("caf\\u00e9 visited", "café visited"),
    ("emoji \\ud83d\\ude00", "emoji 😀"),
    ("quoted \\\"name\\\"", "quoted \"name\""),
    ("日本語イベント", "日本語イベント"),
];
const SCREENS: [&str; 3] = ["Home", "Checkout", "Réglages"];
const PAGES: [(&str, &str); 3] = [
    ("https:\\/\\/shop.example.com\\/cart", "https://shop.example.com/cart"),
    (
        "https://shop.example.com/?q=a+b&c=%20",
        "https://shop.example.com/?q=a+b&c=%20",
    ),
    ("https://shop.example.com/über", "https://shop.example.com/über"),
];
const MESSAGE_KINDS: [(&str, &str); 8] = [
    ("sent_email", "email"),
    ("delivered_email", "email"),
    ("opened_email", "email"),
    ("clicked_email", "email"),
    ("bounced_email", "email"),
    ("sent_push", "ios"),
    ("dropped_whatasapp", "phone"),
    ("secondary:delivered_email", "email"),
];

/// The order in which the API serves the fields.
const SERVED: &[&str] = &[
    "id",
    "type",
    "timestamp",
    "customer_id",
    "customer_identifiers",
    "email",
    "cio_id",
    "data",
    "delivery_id",
    "delivery_type",
    "name",
    "url",
];

impl Activity {
    /// Rows in the place of an activity that no table can take.
    pub(super) const BROKEN: [&'static str; 4] = [
        r#"{"type":"event","timestamp":1790000000,"name":"no id","data":{}}"#,
        r#"{"id":{"ulid":"01"},"type":"event","timestamp":1790000000}"#,
        r#"{"id":"01K0000000000000000000TIME","type":"event","name":"no time","data":{}}"#,
        r#"{"id":"01K0000000000000000000SOON","type":"event","timestamp":"soon","data":{}}"#,
    ];

    pub(super) fn new(view: &View<'_>, at: Position) -> Self {
        let activities = &view.world.activities;
        let mut dice = activities.dice(at);
        let id = activities.id(at);
        let person = view.world.people.anyone(at.time, &mut dice);
        let without_id = dice.one_in(10);
        let mut activity = Self {
            id,
            at,
            seed: view.world.seed,
            what: draw(view, at, &mut dice),
            identity: person.identity(at.time),
            without_id,
            odd: Vec::new(),
        };
        let lane = if at.displaced {
            Lane::Displaced
        } else {
            Lane::Activities
        };
        let odd = view.odd(lane, at.index).map(|mut dice| activity.oddity(&mut dice));
        activity.odd.extend(odd);
        activity.odd.extend(view.strange(lane, at.index));
        activity
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.what {
            What::Event(_) => "event",
            What::Screen(_) => "screen",
            What::Page(_) => "page",
            What::AttributeChange => "attribute_change",
            What::ProfileCreate => "profile_create",
            What::Device => "device_change",
            What::Message { kind, .. } => kind,
        }
    }

    /// The event's or attribute's name, as it reads.
    pub(super) fn name(&self) -> Option<&'static str> {
        match self.what {
            What::Event(served) => EVENT_NAMES
                .iter()
                .find(|(known, _)| *known == served)
                .map(|(_, name)| *name),
            What::Screen(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn api(&self, out: &mut Vec<u8>) {
        let mut row = Object::open(out, &self.odd, Side::Api);
        row.plain("id", |out| out.extend_from_slice(&self.id));
        row.text("type", self.kind());
        row.int("timestamp", self.at.time.div_euclid(SECOND));
        self.identity.id_field(&mut row, "customer_id");
        self.identifiers(&mut row);
        row.raw("data", |out| self.write_data(out));
        self.delivery(&mut row);
        match self.what {
            What::Event(served) => row.plain("name", |out| out.extend_from_slice(served.as_bytes())),
            What::Screen(name) => row.text("name", name),
            _ => row.absent("name"),
        }
        match self.what {
            What::Page(served) => row.plain("url", |out| out.extend_from_slice(served.as_bytes())),
            _ => row.absent("url"),
        }
        row.close(SERVED);
    }

    pub(super) fn lake(&self, out: &mut Vec<u8>) {
        let mut row = Object::open(out, &self.odd, Side::Lake);
        row.plain("id", |out| out.extend_from_slice(&self.id));
        self.identity.id_field(&mut row, "customer_id");
        self.identifiers(&mut row);
        row.text("type", self.kind());
        row.int("timestamp", self.at.time.div_euclid(SECOND));
        row.raw("data", |out| {
            json::string(out, text(|data| self.write_data(data)).as_bytes())
        });
        self.delivery(&mut row);
        match self.name() {
            Some(name) => row.text("name", name),
            None => row.absent("name"),
        }
        match self.url() {
            Some(url) => row.text("url", url),
            None => row.absent("url"),
        }
        row.close(SERVED);
    }

    fn url(&self) -> Option<&'static str> {
        let What::Page(served) = self.what else { return None };
        PAGES.iter().find(|(known, _)| *known == served).map(|(_, url)| *url)
    }

    fn identifiers(&self, row: &mut Object<'_>) {
        row.nested("customer_identifiers", "customer_identifiers", |person| {
            self.identity.email_field(person);
            if self.identity.has_id() || !self.without_id {
                self.identity.id_field(person, "id");
            } else {
                person.absent("id");
            }
            self.identity.cio_id_field(person);
        });
    }

    fn delivery(&self, row: &mut Object<'_>) {
        if let What::Message { channel, delivery, .. } = self.what {
            row.plain("delivery_id", |out| out.extend_from_slice(&delivery));
            row.text("delivery_type", channel);
        } else {
            row.absent("delivery_id");
            row.absent("delivery_type");
        }
    }

    /// The free-form object, compact, with no more escapes than JSON demands: its text is what the lake holds.
    fn write_data(&self, out: &mut Vec<u8>) {
        let mut dice = Dice::new(
            self.seed,
            Kind::ActivityData,
            self.at.index ^ u64::from(self.at.displaced) << 63,
        );
        let seconds = self.at.time.div_euclid(SECOND);
        match self.what {
            What::Message { kind, delivery, .. } => {
                out.extend_from_slice(b"{\"delivery_id\":\"");
                out.extend_from_slice(&delivery);
                out.extend_from_slice(b"\",\"opened\":");
                match kind {
                    "opened_email" | "clicked_email" => json::int(out, seconds),
                    _ => out.extend_from_slice(b"null"),
                }
                out.extend_from_slice(b",\"delivered\":null}");
            }
            What::AttributeChange => {
                out.extend_from_slice(
                    b"{\"plan\":{\"from\":\"free\",\"to\":\"premium\"},\"seats\":{\"from\":null,\"to\":",
                );
                json::int(out, dice.between(1, 500));
                out.extend_from_slice(b"}}");
            }
            What::Event(_) => write_event(out, &mut dice, seconds),
            What::Device => out.extend_from_slice(b"{\"device\":{\"platform\":\"ios\",\"token\":\"a\\\\b\\\"c\"}}"),
            _ => out.extend_from_slice(b"{}"),
        }
    }

    fn oddity(&self, dice: &mut Dice) -> Oddity {
        let seconds = self.at.time.div_euclid(SECOND);
        match dice.below(11) {
            0 => Oddity::unknown("source", "\"cdp\""),
            1 => Oddity::unknown("context", "{\"ip\":\"192.0.2.1\",\"geo\":{\"lat\":52.50,\"lon\":13.4}}"),
            2 => Oddity::unknown("phone", "\"+15555550100\"").inside("customer_identifiers"),
            3 => Oddity::kept("timestamp", format!("\"{seconds}\""), seconds.to_string()),
            4 => Oddity::kept("timestamp", format!("{seconds}.0"), seconds.to_string()),
            5 => Oddity::misfit("delivery_id", "{\"id\":\"x\"}"),
            6 => Oddity::misfit("delivery_type", "false"),
            7 => Oddity::kept("name", "404", "\"404\""),
            8 => Oddity::misfit("url", "[\"https://a.example\"]"),
            9 => Oddity::kept("customer_identifiers", "null", "null"),
            _ => match self.identity.digits_id() {
                Some(digits) => Oddity::kept("customer_id", digits.clone(), format!("\"{digits}\"")),
                None => Oddity::unknown("anonymous_id", "\"a-1\""),
            },
        }
    }
}

fn write_event(out: &mut Vec<u8>, dice: &mut Dice, seconds: i64) {
    let number = dice.below(1_000_000);
    match dice.below(8) {
        0 => out.extend_from_slice(b"{\"order_id\":9007199254740993,\"total\":2.50,\"big\":12345678901234567890}"),
        1 => {
            out.extend_from_slice("{\"b\":1,\"a\":{\"z\":[1,{\"y\":null}],\"x\":\"naïve ☕\"},\"rate\":1e3}".as_bytes())
        }
        2 => out.extend_from_slice(b"{\"note\":\"line one\\nline \\\"two\\\"\\tend\",\"path\":\"C:\\\\temp\"}"),
        3 => out.extend_from_slice(b"{}"),
        _ => {
            out.extend_from_slice(b"{\"order_id\":\"");
            out.extend_from_slice(&ulid(seconds * SECOND, dice));
            out.extend_from_slice(b"\",\"items\":");
            json::int(out, dice.between(1, 9));
            out.extend_from_slice(b",\"total\":");
            json::digits(out, number / 100, 1);
            out.push(b'.');
            json::digits(out, number % 100, 2);
            out.extend_from_slice(b",\"currency\":\"EUR\",\"at\":");
            json::int(out, seconds);
            out.push(b'}');
        }
    }
}

fn draw(view: &View<'_>, at: Position, dice: &mut Dice) -> What {
    match dice.below(100) {
        0..40 => What::Event(dice.pick(&EVENT_NAMES).0),
        40..46 => What::Screen(dice.pick(&SCREENS)),
        46..56 => What::Page(dice.pick(&PAGES).0),
        56..64 => What::AttributeChange,
        64..67 => What::ProfileCreate,
        67..69 => What::Device,
        _ => about_a_delivery(view, at, dice).unwrap_or(What::AttributeChange),
    }
}

/// Something that happened to a delivery of the days before; none if nothing was sent.
fn about_a_delivery(view: &View<'_>, at: Position, dice: &mut Dice) -> Option<What> {
    let (kind, channel) = dice.pick(&MESSAGE_KINDS);
    let earlier = at.time - dice.between(0, 2 * DAY);
    // The first messages send the most, and the very first one always goes on.
    let message = view.world.messages.message(dice.pick(&[0, 0, 0, 4]));
    let sent = message.deliveries_until(earlier);
    let delivery = deliveries::id_of(view.world.seed, &message, sent.checked_sub(1)?)?;
    Some(What::Message {
        kind,
        channel,
        delivery,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::behaviour::Behaviour;
    use super::super::workspace::{Workspace, World};
    use super::*;

    fn rows(odd: u32) -> Vec<(Value, Value)> {
        let workspace = Workspace::default();
        let world = World::new(&workspace);
        let behaviour = Behaviour {
            odd,
            ..Behaviour::default()
        };
        let view = View {
            world: &world,
            now: workspace.now.as_millisecond(),
            behaviour: &behaviour,
        };
        let both = |at| {
            let row = Activity::new(&view, at);
            let parse = |json: String| serde_json::from_str(&json).unwrap();
            (parse(text(|out| row.api(out))), parse(text(|out| row.lake(out))))
        };
        world.activities.newest_first(view.now, 30, None).map(both).collect()
    }

    #[test]
    fn plain_rows_agree_field_by_field() {
        for (api, lake) in rows(0) {
            assert_eq!(lake.as_object().unwrap().len(), 11);
            for name in [
                "id",
                "customer_id",
                "type",
                "timestamp",
                "delivery_id",
                "delivery_type",
                "name",
                "url",
            ] {
                assert_eq!(api.get(name).unwrap_or(&Value::Null), &lake[name], "{name}");
            }
            for name in ["email", "id", "cio_id"] {
                let served = api["customer_identifiers"].get(name).unwrap_or(&Value::Null);
                assert_eq!(served, &lake["customer_identifiers"][name]);
            }
            assert!(lake["_extra"].is_null());
        }
    }

    #[test]
    fn data_is_the_text_as_served() {
        let texts: Vec<String> = rows(0)
            .into_iter()
            .map(|(_, lake)| lake["data"].as_str().unwrap().to_owned())
            .collect();
        assert!(
            texts
                .iter()
                .all(|text| serde_json::from_str::<Value>(text).unwrap().is_object())
        );
        let exact = "{\"order_id\":9007199254740993,\"total\":2.50,\"big\":12345678901234567890}";
        assert!(texts.iter().any(|text| text == exact));
        assert!(texts.iter().any(|text| text.contains("\\\"two\\\"\\tend")));
    }

    #[test]
    fn every_odd_row_keeps_or_mirrors_what_was_served() {
        let rows = rows(1);
        assert!(
            rows.iter()
                .all(|(_, lake)| lake["id"].is_string() && lake["timestamp"].is_i64())
        );
        assert!(
            rows.iter()
                .any(|(api, lake)| api["timestamp"].is_string() && lake["_extra"].is_null())
        );
        let misfit = rows.iter().find(|(api, _)| api["url"].is_array()).unwrap();
        assert!(misfit.1["url"].is_null());
        assert_eq!(misfit.1["_extra"], r#"{"url":["https://a.example"]}"#);
    }
}
