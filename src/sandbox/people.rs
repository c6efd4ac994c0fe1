//! People: they come at a steady pace, change their email or id once, and some are deleted.

use super::chance::{Dice, Kind};
use super::json::{self, Object, Oddity, Side};
use super::timeline::{DAY, NEVER, Pace};

/// Everyone the workspace ever knew, by index in order of arrival.
#[derive(Debug, Clone)]
pub(super) struct People {
    seed: u64,
    joined: Pace,
}

/// The life of one person. Nothing here depends on the clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    index: u64,
    joined: i64,
    gone: i64,
    has_email: bool,
    /// When the person first has an id: at once, some day, or never.
    id_from: i64,
    numeric_id: bool,
    email_edited: i64,
    id_edited: i64,
}

/// What identifies a person at one moment. The `cio_id` is always there and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    index: u64,
    email: Option<u8>,
    id: Option<u8>,
    numeric_id: bool,
}

const FIRST: [&str; 12] = [
    "ada", "bruno", "chidi", "dalia", "emil", "fatou", "grace", "hugo", "ines", "jun", "kemal", "lena",
];
const LAST: [&str; 12] = [
    "adeyemi", "berg", "castro", "dubois", "eriksen", "fontana", "gupta", "haddad", "ito", "jansen", "kowalska", "lind",
];
const DOMAIN: [&str; 4] = ["example.com", "example.org", "mail.example.net", "example.co.uk"];

/// The order in which `POST /v1/customers` serves the fields.
const SERVED: &[&str] = &["email", "id", "cio_id"];

impl People {
    /// `count` people at `start + span`, a fourth of them from before `start`.
    pub(super) fn new(seed: u64, start: i64, span: i64, count: u64) -> Self {
        let early = count / 4;
        let joined = Pace::new(seed, Kind::Person as u64, start, span, count - early).begun_earlier(early);
        Self { seed, joined }
    }

    /// How many people ever joined until `at`: the first index that is still to come.
    pub(super) fn count_until(&self, at: i64) -> u64 {
        self.joined.count_until(at)
    }

    pub(super) fn person(&self, index: u64) -> Person {
        let joined = self.joined.time(index);
        let mut dice = Dice::new(self.seed, Kind::Person, index);
        let mut some_day = |one_in: u32, days: i64| {
            let day = joined + dice.between(DAY, days * DAY);
            if dice.one_in(one_in) { day } else { NEVER }
        };
        let gone = some_day(12, 600);
        let late_id = some_day(3, 300);
        let email_edited = some_day(10, 500);
        let id_edited = some_day(15, 500);
        let shape = dice.below(100);
        Person {
            index,
            joined,
            gone,
            has_email: shape >= 6,
            id_from: if shape >= 90 { late_id } else { joined },
            numeric_id: dice.percent(60),
            email_edited,
            id_edited,
        }
    }

    /// Somebody who was there at `at`, drawn with `dice`; the very first person when nobody was.
    pub(super) fn anyone(&self, at: i64, dice: &mut Dice) -> Person {
        let known = self.joined.sure_until(at);
        let drawn = dice.roll();
        let (first, second) = (drawn >> 32, drawn & 0xffff_ffff);
        let scale = |part: u64| ((u128::from(part) * u128::from(known)) >> 32) as u64;
        let person = self.person(scale(first));
        // Nobody writes to the deleted; a second draw that hits another deleted person is left as it is.
        if person.gone > at {
            person
        } else {
            self.person(scale(second))
        }
    }
}

impl Person {
    /// Whether the API lists the person at `at`.
    pub(super) fn is_there(&self, at: i64) -> bool {
        self.joined <= at && at < self.gone
    }

    /// The identifiers at `at`. A deleted person keeps only the `cio_id`.
    pub(super) fn identity(&self, at: i64) -> Identity {
        let known = at < self.gone;
        let version = |edited: i64| u8::from(at >= edited);
        Identity {
            index: self.index,
            email: (known && self.has_email).then(|| version(self.email_edited)),
            id: (known && at >= self.id_from).then(|| version(self.id_edited)),
            numeric_id: self.numeric_id,
        }
    }
}

impl Identity {
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn has_email(&self) -> bool {
        self.email.is_some()
    }

    /// The id, if it consists of digits only: such an id is at times served as a number.
    pub(super) fn digits_id(&self) -> Option<String> {
        (self.numeric_id && self.id == Some(0)).then(|| text(|out| self.write_id(out)))
    }

    /// The `cio_id`, if it can be served as a number and read back.
    pub(super) fn numeric_cio_id(&self) -> Option<String> {
        (self.index % 5 == 4).then(|| text(|out| self.write_cio_id(out)))
    }

    /// Writes the email; nothing when there is none.
    pub(super) fn write_email(&self, out: &mut Vec<u8>) {
        let Some(version) = self.email else { return };
        let index = self.index as usize;
        out.extend_from_slice(FIRST[index % 12].as_bytes());
        out.push(b'.');
        out.extend_from_slice(LAST[index / 12 % 12].as_bytes());
        match version {
            0 => {}
            _ => out.extend_from_slice(b"+new"),
        }
        json::digits(out, self.index, 1);
        out.push(b'@');
        out.extend_from_slice(DOMAIN[index / 5 % 4].as_bytes());
    }

    /// Writes the workspace's own id of the person; nothing when there is none.
    pub(super) fn write_id(&self, out: &mut Vec<u8>) {
        let Some(version) = self.id else { return };
        if version > 0 {
            out.extend_from_slice(b"acct_");
        }
        if self.numeric_id {
            json::digits(out, 1_000 + self.index, 1);
            return;
        }
        let mut dice = Dice::new(self.index, Kind::Person, u64::MAX);
        let (high, low) = (dice.roll(), dice.roll());
        let uuid = format_args!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            self.index as u32,
            high & 0xffff,
            (high >> 16) & 0xfff,
            (high >> 28) & 0xfff,
            low & 0xffff_ffff_ffff
        )
        .to_string();
        out.extend_from_slice(uuid.as_bytes());
    }

    /// Writes the `cio_id`. Leading zeros and forms like `30e0000001` are meant: it is no number.
    pub(super) fn write_cio_id(&self, out: &mut Vec<u8>) {
        let prefix: &[u8] = match self.index % 5 {
            0 => b"a3",
            1 => b"d9c106",
            2 => b"02",
            3 => b"30e",
            _ => b"7",
        };
        out.extend_from_slice(prefix);
        json::digits(out, self.index + 1, 6);
    }

    /// Writes `name` as text, or null.
    pub(super) fn id_field(&self, row: &mut Object<'_>, name: &'static str) {
        match self.has_id() {
            true => row.plain(name, |out| self.write_id(out)),
            false => row.null(name),
        }
    }

    pub(super) fn email_field(&self, row: &mut Object<'_>) {
        match self.has_email() {
            true => row.plain("email", |out| self.write_email(out)),
            false => row.null("email"),
        }
    }

    pub(super) fn cio_id_field(&self, row: &mut Object<'_>) {
        row.plain("cio_id", |out| self.write_cio_id(out));
    }

    /// Whether the field of that name holds `value`; no attribute besides the three identifiers is simulated.
    pub(super) fn is(&self, field: &str, value: &str) -> bool {
        match field {
            "email" => self.has_email() && text(|out| self.write_email(out)) == value,
            "id" => self.has_id() && text(|out| self.write_id(out)) == value,
            "cio_id" => text(|out| self.write_cio_id(out)) == value,
            _ => false,
        }
    }
}

/// One row of `POST /v1/customers`.
#[derive(Debug)]
pub(super) struct Customer {
    pub(super) identity: Identity,
    pub(super) odd: Vec<Oddity>,
}

impl Customer {
    /// Rows in the place of a person that no table can take.
    pub(super) const BROKEN: [&'static str; 4] = [
        r#"{"email":"no.key@example.com","id":"9"}"#,
        r#"{"email":"null.key@example.com","id":"8","cio_id":null}"#,
        r#"{"email":null,"id":null,"cio_id":{"value":"a3000001"}}"#,
        r#"{"email":null,"id":"7","cio_id":true}"#,
    ];

    /// The row of somebody who is there; `odd` is the dice if the row is to be an odd one.
    pub(super) fn new(identity: Identity, odd: Option<Dice>) -> Self {
        let odd = odd.and_then(|mut dice| oddity(&identity, &mut dice));
        Self {
            identity,
            odd: odd.into_iter().collect(),
        }
    }

    pub(super) fn api(&self, out: &mut Vec<u8>) {
        let mut row = Object::open(out, &self.odd, Side::Api);
        self.identity.email_field(&mut row);
        self.identity.id_field(&mut row, "id");
        self.identity.cio_id_field(&mut row);
        row.close(SERVED);
    }

    pub(super) fn lake(&self, out: &mut Vec<u8>) {
        let mut row = Object::open(out, &self.odd, Side::Lake);
        self.identity.id_field(&mut row, "id");
        self.identity.email_field(&mut row);
        self.identity.cio_id_field(&mut row);
        row.close(SERVED);
    }
}

fn oddity(identity: &Identity, dice: &mut Dice) -> Option<Oddity> {
    let quoted = |digits: &str| format!("\"{digits}\"");
    match dice.below(5) {
        0 => Some(Oddity::unknown("phone", "\"+15555550123\"")),
        1 => Some(Oddity::misfit(
            "email",
            "{\"address\":\"x@example.com\",\"verified\":true}",
        )),
        2 => identity
            .digits_id()
            .map(|id| Oddity::kept("id", id.clone(), quoted(&id))),
        3 => identity
            .numeric_cio_id()
            .map(|id| Oddity::kept("cio_id", id.clone(), quoted(&id))),
        _ => Some(Oddity::unknown("object_ids", "[{\"type\":1,\"id\":\"acme\"}]")),
    }
}

/// What `write` writes, as text.
pub(super) fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn people() -> People {
        People::new(3, 0, 400 * DAY, 2_000)
    }

    #[test]
    fn identifiers_are_unique_and_the_cio_id_never_changes() {
        let people = people();
        let mut seen = HashSet::new();
        for index in 0..5_000 {
            let person = people.person(index);
            let (early, late) = (person.identity(0), person.identity(900 * DAY));
            assert_eq!(text(|out| early.write_cio_id(out)), text(|out| late.write_cio_id(out)));
            assert!(seen.insert(text(|out| early.write_cio_id(out))));
            assert!(!early.has_id() || seen.insert(text(|out| early.write_id(out))));
            assert!(!early.has_email() || seen.insert(text(|out| early.write_email(out))));
        }
    }

    #[test]
    fn people_come_change_and_go() {
        let people = people();
        let now = 400 * DAY;
        let later = now + 40 * DAY;
        assert_eq!(people.count_until(now - 1), 2_000);
        let all: Vec<Person> = (0..people.count_until(later))
            .map(|index| people.person(index))
            .collect();
        assert!(all.len() > 2_000);
        assert!(all.iter().any(|person| person.is_there(now) && !person.is_there(later)));
        let edited = |person: &&Person| person.is_there(later) && person.identity(now) != person.identity(later);
        assert!(all.iter().take(2_000).filter(edited).count() > 5);
        let email_only = |person: &&Person| !person.identity(now).has_id() && person.identity(now).has_email();
        assert!(all.iter().filter(email_only).count() > 50);
    }

    #[test]
    fn a_deleted_person_keeps_the_cio_id_only() {
        let people = people();
        let gone = (0..500)
            .map(|index| people.person(index))
            .find(|person| person.gone != NEVER)
            .unwrap();
        let identity = gone.identity(gone.gone);
        assert!(!identity.has_id() && !identity.has_email());
        assert!(!text(|out| identity.write_cio_id(out)).is_empty());
    }

    #[test]
    fn both_forms_of_an_odd_row_say_the_same() {
        let identity = Identity {
            index: 4,
            email: Some(0),
            id: Some(0),
            numeric_id: true,
        };
        let odd = vec![Oddity::kept("cio_id", "7000005", "\"7000005\"")];
        let row = Customer { identity, odd };
        let api = text(|out| row.api(out));
        assert_eq!(
            api,
            r#"{"email":"emil.adeyemi4@example.com","id":"1004","cio_id":7000005}"#
        );
        let lake = r#"{"id":"1004","email":"emil.adeyemi4@example.com","cio_id":"7000005","_extra":null}"#;
        assert_eq!(text(|out| row.lake(out)), lake);
    }
}
