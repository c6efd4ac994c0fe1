//! The rows of the lists, each in the one order in which the API serves its fields and the lake holds them.

use super::chance::Dice;
use super::item::Item;
use super::json::{Object, Oddity, Side};
use super::listing::{Listing, Odd};

/// One row of a list at one moment.
#[derive(Debug)]
pub(super) struct ListRow {
    listing: &'static Listing,
    item: Item,
    odd: Vec<Oddity>,
}

impl ListRow {
    /// `odd` is the dice if the row is to be an odd one.
    pub(super) fn new(listing: &'static Listing, item: Item, odd: Option<Dice>) -> Self {
        let odd = odd.map(|mut dice| oddity(listing, &item, &mut dice));
        Self {
            listing,
            item,
            odd: odd.into_iter().collect(),
        }
    }

    /// The same row with more that is odd about it.
    pub(super) fn with(mut self, odd: Vec<Oddity>) -> Self {
        self.odd.extend(odd);
        self
    }

    pub(super) fn api(&self, out: &mut Vec<u8>) {
        self.write(out, Side::Api);
    }

    pub(super) fn lake(&self, out: &mut Vec<u8>) {
        self.write(out, Side::Lake);
    }

    fn write(&self, out: &mut Vec<u8>, side: Side) {
        let mut row = Object::open(out, &self.odd, side);
        (self.listing.fields)(&self.item, &mut row);
        // One known field at most is odd, so that its order among others says nothing.
        row.close(&[]);
    }
}

fn oddity(listing: &Listing, item: &Item, dice: &mut Dice) -> Oddity {
    if dice.one_in(4) {
        return Oddity::unknown("folder", "{\"id\":7,\"path\":[\"Q4\",\"drafts\"]}");
    }
    let number = item.created();
    match (dice.pick(listing.odd), dice.below(3)) {
        (Odd::Text(field), 0) => Oddity::kept(field, "2.50", "\"2.50\""),
        (Odd::Text(field), _) => Oddity::misfit(field, "{\"en\":\"Welcome\",\"de\":\"Willkommen\"}"),
        (Odd::Number(field), 0) => Oddity::kept(field, format!("\"{number}\""), number.to_string()),
        (Odd::Number(field), 1) => Oddity::kept(field, format!("{number}.0"), number.to_string()),
        (Odd::Number(field), _) => Oddity::misfit(field, format!("{number}.9")),
        (Odd::Flag(field), _) => Oddity::misfit(field, "\"no\""),
        (Odd::List(field), 0) => Oddity::kept(field, "[\"4\",5.0,null]", "[4,5,null]"),
        (Odd::List(field), _) => Oddity::misfit(field, "[4,\"all\"]"),
    }
}

const SUBJECTS: [&str; 8] = [
    "Welcome",
    "Trial ends",
    "Abandoned cart",
    "\"Thank you\"",
    "Back in stock",
    "Geburtstag \u{1F382}",
    "Win back",
    "Upgrade",
];
const STATES: [&str; 3] = ["running", "draft", "stopped"];
const CHANNELS: [&str; 4] = ["email", "push", "twilio", "webhook"];
const TAGS: [&str; 4] = ["[\"q4\",\"onboarding\"]", "[]", "[\"a \\\"b\\\"\"]", "null"];

/// A name that no other row of the list has.
fn title(item: &Item) -> String {
    format!("{} {}", item.one_of(&SUBJECTS), item.index + 1)
}

fn identity(item: &Item, row: &mut Object<'_>) {
    row.int("id", item.id);
    row.text("deduplicate_id", &format!("{}:{}", item.id, item.updated()));
    row.text("name", &title(item));
}

/// Text, nothing, or no such field; each edit shows.
fn description(item: &Item, row: &mut Object<'_>) {
    match item.index % 5 {
        0 => row.null("description"),
        1 => row.absent("description"),
        _ => row.text(
            "description",
            &format!("For whoever asks, revision {}", item.edits() + 1),
        ),
    }
}

/// What campaigns and broadcasts have in common.
fn journey(item: &Item, row: &mut Object<'_>) {
    let state = STATES[(item.index as usize + item.edits() as usize) % STATES.len()];
    row.int("created", item.created());
    row.int("updated", item.updated());
    row.bool("active", state == "running");
    row.text("state", state);
    let action = |number: i64| {
        let channel = item.one_of(&CHANNELS);
        format!("{{\"id\":{},\"type\":\"{channel}\"}}", item.id * 10 + number)
    };
    let actions: Vec<String> = (0..=item.edits() % 3).map(action).collect();
    row.json("actions", &format!("[{}]", actions.join(",")));
    match state {
        "draft" => row.absent("first_started"),
        _ => row.int("first_started", item.created() + 3_600),
    }
    row.json("tags", item.one_of(&TAGS));
}

fn segment_ids(item: &Item, row: &mut Object<'_>, name: &'static str) {
    match item.index % 3 {
        0 => row.raw(name, |out| out.extend_from_slice(b"[]")),
        some => row.raw(name, |out| {
            out.extend_from_slice(format!("[{},{}]", some * 7, item.id + 30).as_bytes());
        }),
    }
}

pub(super) fn campaign(item: &Item, row: &mut Object<'_>) {
    identity(item, row);
    description(item, row);
    row.text("type", item.one_of(&["behavioral", "transactional", "scheduled"]));
    journey(item, row);
    match item.index % 3 {
        0 => segment_ids(item, row, "trigger_segment_ids"),
        _ => row.absent("trigger_segment_ids"),
    }
    segment_ids(item, row, "filter_segment_ids");
    match item.index % 3 {
        1 => row.text("event_name", "cart \"updated\""),
        _ => row.absent("event_name"),
    }
}

pub(super) fn broadcast(item: &Item, row: &mut Object<'_>) {
    identity(item, row);
    row.text("type", "triggered_broadcast");
    journey(item, row);
    segment_ids(item, row, "filter_segment_ids");
}

pub(super) fn newsletter(item: &Item, row: &mut Object<'_>) {
    identity(item, row);
    row.text("type", item.one_of(&CHANNELS));
    row.raw("content_ids", |out| {
        let ids: Vec<String> = (0..=item.edits() % 3).map(|n| (item.id * 4 + n).to_string()).collect();
        out.extend_from_slice(format!("[{}]", ids.join(",")).as_bytes());
    });
    match item.index % 4 {
        3 => row.null("sent_at"),
        _ => row.int("sent_at", item.created() + 86_400),
    }
    row.int("created", item.created());
    row.int("updated", item.updated());
    row.json("tags", item.one_of(&TAGS));
    segment_ids(item, row, "recipient_segment_ids");
    match item.flag(1) {
        true => row.int("subscription_topic_id", 1 + item.index as i64 % 4),
        false => row.null("subscription_topic_id"),
    }
}

pub(super) fn segment(item: &Item, row: &mut Object<'_>) {
    let is_manual = item.index % 4 == 2;
    identity(item, row);
    description(item, row);
    // One of a few is being built at any time.
    match (item.index as i64 + item.edits()) % 6 {
        0 => {
            row.text("state", "build");
            row.int("progress", 42);
        }
        _ => {
            row.text("state", "finished");
            row.null("progress");
        }
    }
    row.text("type", if is_manual { "manual" } else { "dynamic" });
    row.json("tags", item.one_of(&["null", "[]", "[\"people\"]"]));
    row.int("created_at", item.created());
    row.int("updated_at", item.updated());
    match is_manual {
        true => row.absent("conditions"),
        false => row.json(
            "conditions",
            "{\"or\":[{\"attribute\":{\"operator\":\"eq\",\"field\":\"plan\",\"value\":1.50}},{\"segment\":{\"id\":3}}]}",
        ),
    }
}

pub(super) fn sender_identity(item: &Item, row: &mut Object<'_>) {
    let is_phone = item.index % 4 == 3;
    let (name, email) = (title(item), format!("sender.{}@example.com", item.id));
    row.int("id", item.id);
    row.text("deduplicate_id", &format!("{}:{}", item.id, item.updated()));
    row.text("name", &format!("{name}, revision {}", item.edits() + 1));
    if is_phone {
        row.null("email");
        row.null("address");
        row.text("template_type", "phone");
    } else {
        row.text("email", &email);
        row.text("address", &format!("{name} <{email}>"));
        row.text("template_type", "email");
    }
    row.bool("auto_generated", item.flag(1));
    match is_phone {
        true => row.text("phone", &format!("+1555555{:04}", item.id)),
        false => row.absent("phone"),
    }
    // In the list of visible ones, a sender that is hidden is gone.
    row.bool("hidden", item.is_gone());
}

pub(super) fn snippet(item: &Item, row: &mut Object<'_>) {
    row.text("name", &format!("footer_{}", item.index + 1));
    let value = format!(
        "<a href=\"https://example.com/?r={}\">\u{2192} {{{{ customer.name }}}}</a>\n",
        item.edits()
    );
    row.text("value", &value);
    row.int("updated_at", item.updated());
}

pub(super) fn collection(item: &Item, row: &mut Object<'_>) {
    let rows = 10 + item.edits() * 3;
    row.int("id", item.id);
    row.text("name", &title(item));
    row.json("schema", item.one_of(&["[\"sku\",\"price\"]", "[]", "[\"day\"]"]));
    row.int("rows", rows);
    row.int("bytes", rows * 117);
    row.int("created_at", item.created());
    row.int("updated_at", item.updated());
}

pub(super) fn subscription_topic(item: &Item, row: &mut Object<'_>) {
    row.int("id", item.id);
    row.text("identifier", &format!("topic_{}", item.id));
    row.text("name", &title(item));
    match item.index % 5 {
        4 => row.null("description"),
        _ => row.text("description", &format!("Once a week, revision {}", item.edits() + 1)),
    }
    row.bool("subscribed_by_default", item.flag(1));
}

pub(super) fn object_type(item: &Item, row: &mut Object<'_>) {
    let (one, many) = item.one_of(&[("Company", "Companies"), ("Course", "Courses"), ("Pet", "Pets")]);
    let number = item.index + 1;
    row.text("id", &item.id.to_string());
    row.text("name", &format!("{many} {number}"));
    row.text("singular_name", &format!("{one} {number}"));
    row.text("slug", &format!("{}-{number}", many.to_lowercase()));
    row.text("singular_slug", &format!("{}-{number}", one.to_lowercase()));
    row.bool("enabled", (item.edits() + item.index as i64) % 2 == 0);
    row.text("icon", item.one_of(&["building", "book", "paw"]));
}

pub(super) fn reporting_webhook(item: &Item, row: &mut Object<'_>) {
    row.int("id", item.id);
    row.text("name", &title(item));
    let endpoint = format!("https://reports:s3cret-{0}@hooks.example.com/{0}", item.id);
    row.text("endpoint", &endpoint);
    row.bool("disabled", item.edits() % 2 == 1);
    row.bool("full_resolution", item.flag(1));
    row.bool("with_content", item.flag(2));
    row.json("events", item.one_of(&["[\"email_sent\",\"email_opened\"]", "[]"]));
    row.text("type", "webhook");
}

pub(super) fn workspace(item: &Item, row: &mut Object<'_>) {
    let sent = item.hours() % 720 * 31;
    row.int("id", item.id);
    row.text("name", &title(item));
    row.int("messages_sent", sent);
    row.int("billable_messages_sent", sent - sent / 10);
    row.int("people", 100 + item.hours());
    row.int("object_types", item.index as i64 % 3);
    row.int("objects", item.edits() * 5);
}

#[cfg(test)]
mod tests {
    use super::super::item::Items;
    use super::super::listing::LISTINGS;
    use super::super::people::text;
    use super::super::workspace::Workspace;
    use super::*;

    /// Both forms of every row of a list, with `odd` about each.
    fn rows(listing: &'static Listing, odd: &[Oddity]) -> Vec<(serde_json::Value, serde_json::Value)> {
        let now = Workspace::default().now.as_millisecond();
        let items = Items::new(1, now);
        let both = |item: Item| {
            let row = ListRow::new(listing, item, None).with(odd.to_vec());
            let read = |text: String| serde_json::from_str(&text).unwrap();
            (read(text(|out| row.api(out))), read(text(|out| row.lake(out))))
        };
        items.known(listing, now).map(both).collect()
    }

    #[test]
    fn both_forms_of_every_row_say_the_same() {
        for listing in &LISTINGS {
            for (api, lake) in rows(listing, &[]) {
                for (name, value) in api.as_object().unwrap() {
                    let is_text_of = |text: &str| serde_json::from_str(text).ok().as_ref() == Some(value);
                    let same = lake[name] == *value || lake[name].as_str().is_some_and(is_text_of);
                    assert!(same, "{}: {name} of {api} {lake}", listing.name);
                }
                let absent = lake
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(name, _)| api.get(name).is_none());
                assert!(absent.into_iter().all(|(_, value)| value.is_null()), "{api} {lake}");
            }
        }
    }

    #[test]
    fn every_field_that_can_be_odd_is_one_of_the_row() {
        for listing in &LISTINGS {
            for odd in listing.odd {
                let (Odd::Text(field) | Odd::Number(field) | Odd::Flag(field) | Odd::List(field)) = *odd;
                for (api, lake) in rows(listing, &[Oddity::misfit(field, "{\"odd\":1}")]) {
                    assert_eq!(api[field]["odd"], 1, "{}: {field}", listing.name);
                    assert_eq!(lake["_extra"], format!("{{\"{field}\":{{\"odd\":1}}}}"));
                }
            }
        }
    }

    #[test]
    fn keys_are_unique() {
        for listing in &LISTINGS {
            let key = if listing.name == "snippets" { "name" } else { "id" };
            let mut keys: Vec<String> = rows(listing, &[]).iter().map(|(api, _)| api[key].to_string()).collect();
            let count = keys.len();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), count, "{}", listing.name);
        }
    }
}
