//! One transactional message as the API serves it and as the lake has to hold it.

use super::chance::Dice;
use super::json::{Object, Oddity, Side};
use super::messages::Message;
use super::timeline::SECOND;

/// The order in which `GET /v1/transactional` serves the fields.
const SERVED: &[&str] = &[
    "id",
    "name",
    "description",
    "send_to_unsubscribed",
    "link_tracking",
    "open_tracking",
    "hide_message_body",
    "queue_drafts",
    "trigger_name",
    "type",
    "status",
    "template_id",
    "created_at",
    "updated_at",
];

/// One row of `GET /v1/transactional` at one moment.
#[derive(Debug)]
pub(super) struct MessageRow {
    message: Message,
    at: i64,
    template_fields: bool,
    odd: Vec<Oddity>,
}

impl MessageRow {
    /// `template_fields`: whether `type`, `status` and `template_id` are served, which no documentation promises.
    pub(super) fn new(message: Message, at: i64, template_fields: bool, odd: Option<Dice>) -> Self {
        let odd = odd.map(|mut dice| oddity(&message, &mut dice));
        Self {
            message,
            at,
            template_fields,
            odd: odd.into_iter().collect(),
        }
    }

    /// The same row with more that is odd about it.
    pub(super) fn with(mut self, odd: Vec<Oddity>) -> Self {
        self.odd.extend(odd);
        self
    }

    pub(super) fn api(&self, out: &mut Vec<u8>) {
        let mut row = Object::open(out, &self.odd, Side::Api);
        self.describe(&mut row);
        self.settings(&mut row);
        row.text("trigger_name", &self.message.trigger_name());
        self.template(&mut row);
        self.times(&mut row);
        row.close(SERVED);
    }

    pub(super) fn lake(&self, out: &mut Vec<u8>) {
        let mut row = Object::open(out, &self.odd, Side::Lake);
        self.describe(&mut row);
        self.times(&mut row);
        self.settings(&mut row);
        row.text("trigger_name", &self.message.trigger_name());
        self.template(&mut row);
        row.close(SERVED);
    }

    fn describe(&self, row: &mut Object<'_>) {
        let revision = self.message.edits(self.at) + 1;
        row.int("id", self.message.id as i64);
        row.text("name", &self.message.title());
        match self.message.flags % 4 {
            0 => row.absent("description"),
            _ => row.text("description", &format!("Sent on request, revision {revision}")),
        }
    }

    fn settings(&self, row: &mut Object<'_>) {
        let flag = |bit: u32| self.message.flags >> bit & 1 == 1;
        row.bool("send_to_unsubscribed", flag(8));
        row.bool("link_tracking", flag(9));
        row.bool("open_tracking", flag(10));
        row.bool("hide_message_body", flag(11));
        row.bool("queue_drafts", flag(12));
    }

    fn template(&self, row: &mut Object<'_>) {
        if self.template_fields {
            row.text("type", self.message.channel.name());
            row.text("status", "active");
            row.int("template_id", self.message.template_at(self.at));
        } else {
            row.absent("type");
            row.absent("status");
            row.absent("template_id");
        }
    }

    fn times(&self, row: &mut Object<'_>) {
        let edited = self.message.created + self.message.edits(self.at) * self.message.edited_every;
        row.int("created_at", self.message.created.div_euclid(SECOND));
        row.int("updated_at", edited.div_euclid(SECOND));
    }
}

fn oddity(message: &Message, dice: &mut Dice) -> Oddity {
    let created = message.created.div_euclid(SECOND);
    match dice.below(6) {
        0 => Oddity::unknown("tags", "[\"billing\",\"q4\"]"),
        1 => Oddity::kept("created_at", format!("\"{created}\""), created.to_string()),
        2 => Oddity::kept("created_at", format!("{created}.0"), created.to_string()),
        3 => Oddity::misfit("queue_drafts", "\"no\""),
        4 => Oddity::kept("trigger_name", "2.50", "\"2.50\""),
        _ => Oddity::misfit("description", "{\"en\":\"Sent on request\",\"de\":\"Auf Anfrage\"}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::Messages;
    use super::super::people::text;
    use super::super::workspace::Workspace;
    use super::*;

    #[test]
    fn both_forms_of_an_odd_row_say_the_same() {
        let workspace = Workspace::default();
        let (messages, now) = (Messages::new(&workspace), workspace.now.as_millisecond());
        let mut row = MessageRow::new(messages.message(1), now, false, None);
        row.odd = vec![Oddity::misfit("queue_drafts", "\"no\"")];
        let api: serde_json::Value = serde_json::from_str(&text(|out| row.api(out))).unwrap();
        let lake: serde_json::Value = serde_json::from_str(&text(|out| row.lake(out))).unwrap();
        assert_eq!(api["queue_drafts"], "no");
        assert_eq!(lake["queue_drafts"], serde_json::Value::Null);
        assert_eq!(lake["_extra"], r#"{"queue_drafts":"no"}"#);
        for name in [
            "id",
            "name",
            "trigger_name",
            "created_at",
            "updated_at",
            "link_tracking",
        ] {
            assert_eq!(api[name], lake[name], "{name}");
        }
        assert!(api.get("type").is_none() && lake["type"].is_null());
    }
}
