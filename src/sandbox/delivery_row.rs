//! One delivery as the API serves it and as the lake has to hold it.

use super::deliveries::Delivery;
use super::json::{self, Object, Side};
use super::lifecycle::METRICS;
use super::messages::Channel;
use super::people::text;
use super::timeline::SECOND;

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
            true => row.text("tracked_responses", &text(|out| self.write_responses(out))),
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
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::behaviour::Behaviour;
    use super::super::json::Oddity;
    use super::super::messages::Message;
    use super::super::timeline::DAY;
    use super::super::workspace::{View, Workspace, World};
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
