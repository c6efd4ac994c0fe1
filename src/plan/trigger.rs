//! When something is due again and again: a cron expression on the clock of a time zone.
//!
//! The expression is matched against the clock on the wall, and the time zone says at which instants the wall shows that:
//!
//! ```text
//!  in spring        01:59 | 03:00     the gap: 02:00 to 03:00 never shows
//!  in autumn  02:00 - 02:59 | 02:00 - 02:59 | 03:00     the fold: 02:00 to 03:00 shows twice
//! ```
//!
//! A trigger at fixed times fires once for each of them: shifted by the gap, and at the first of both. One whose minute or hour begins
//! with `*` means the clock on the wall itself: in both hours of the fold, and not at all in the gap.

use std::fmt;

use chrono::{DateTime, NaiveDateTime};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result, nearest};

/// The five fields and what they may hold.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day", "1-31"),
    ("month", "1-12 or JAN-DEC"),
    ("weekday", "0-7 or SUN-SAT"),
];

/// Files beside those of time zones that mean something else on another machine, or nothing.
const NO_PLACES: [&str; 3] = ["localtime", "posixrules", "Etc/Unknown"];

/// What stands for five fields.
const NICKNAMES: [&str; 6] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"];

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Trigger {
    text: String,
    cron: Cron,
    zone: TimeZone,
    zone_name: String,
    /// Whether it means the clock on the wall, not times of the day.
    follows_wall: bool,
}

/// A stretch of time with one offset from UTC.
struct Stretch {
    from: Timestamp,
    to: Timestamp,
    offset: Offset,
    /// The offset of the stretch before.
    before: Offset,
}

/// From where on, or back from where, to look for a match.
enum Look {
    First,
    Last,
}

impl Trigger {
    /// The trigger `text`, five fields or a nickname such as `@daily`, on the clock of the IANA zone `zone`.
    ///
    /// # Errors
    /// Input, naming the text, what is wrong with it and an example.
    pub fn parse(text: &str, zone: &str) -> Result<Self> {
        let refused = |why: String| Error::input(format!("{text:?} is no trigger: {why}"));
        let cron = cron(text).map_err(refused)?;
        let follows_wall = cron
            .as_str()
            .split_whitespace()
            .take(2)
            .any(|field| field.starts_with('*'));
        if cron
            .find_next_occurrence(&DateTime::UNIX_EPOCH.naive_utc(), true)
            .is_err()
        {
            return Err(refused(
                "no day is ever like that; look at its day and month, or write for example \"0 3 1 * *\" for the first of each month".to_owned(),
            ));
        }
        Ok(Self {
            text: text.trim().to_owned(),
            cron,
            zone: time_zone(zone)?,
            zone_name: zone.to_owned(),
            follows_wall,
        })
    }

    /// The first instant of the trigger after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = after.checked_add(SignedDuration::from_nanos(1)).ok()?;
        let mut stretch = self.stretch(from);
        loop {
            let found = self.find(&stretch, from, Timestamp::MAX, &Look::First);
            if found.is_some() || stretch.to == Timestamp::MAX {
                return found;
            }
            stretch = self.stretch(stretch.to);
        }
    }

    /// The last instant of the trigger up to and including `at`.
    pub fn last(&self, at: Timestamp) -> Option<Timestamp> {
        let to = at.checked_add(SignedDuration::from_nanos(1)).unwrap_or(at);
        let mut stretch = self.stretch(at);
        loop {
            let found = self.find(&stretch, Timestamp::MIN, to, &Look::Last);
            if found.is_some() || stretch.from == Timestamp::MIN {
                return found;
            }
            stretch = self.stretch(stretch.from.checked_sub(SignedDuration::from_nanos(1)).ok()?);
        }
    }

    /// What a clock of the trigger's time zone shows at `instant`.
    pub fn local(&self, instant: Timestamp) -> String {
        let local = instant.to_zoned_datetime(self.zone.clone());
        local.strftime("%Y-%m-%d %H:%M%:z").to_string()
    }

    /// The first or last instant of the trigger in `stretch`, not before `from`, before `to`.
    fn find(&self, stretch: &Stretch, from: Timestamp, to: Timestamp, look: &Look) -> Option<Timestamp> {
        let (from, to) = (from.max(stretch.from), to.min(stretch.to));
        if self.follows_wall {
            return self.on_wall(from, to, stretch.offset, look);
        }
        let set_back = (stretch.before.duration_since(stretch.offset)).max(SignedDuration::ZERO);
        let set_forward = (stretch.offset.duration_since(stretch.before)).max(SignedDuration::ZERO);
        let new = stretch.from.saturating_add(set_back).map_or(from, |end| end.max(from));
        let gap_end = stretch.from.saturating_add(set_forward).map_or(to, |end| end.min(to));
        let found = [
            self.on_wall(new, to, stretch.offset, look),
            // What the gap leaves out is taken as if the clock had not been set forward yet.
            self.on_wall(from, gap_end, stretch.before, look),
        ];
        let found = found.into_iter().flatten();
        match look {
            Look::First => found.min(),
            Look::Last => found.max(),
        }
    }

    /// The first or last instant from `from` until before `to` at which a clock with `offset` shows what the expression asks for.
    fn on_wall(&self, from: Timestamp, to: Timestamp, offset: Offset, look: &Look) -> Option<Timestamp> {
        if from >= to {
            return None;
        }
        // An expression is about whole minutes: a match at or after `from` is one after the instant before it.
        let before = |instant: Timestamp| instant.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(instant);
        let match_of = match look {
            Look::First => self.cron.find_next_occurrence(&wall(before(from), offset)?, false),
            Look::Last => self.cron.find_previous_occurrence(&wall(before(to), offset)?, true),
        };
        let wall = match_of.ok()?.and_utc().timestamp();
        let found = Timestamp::from_second(wall.checked_sub(i64::from(offset.seconds()))?).ok()?;
        (from <= found && found < to).then_some(found)
    }

    fn stretch(&self, at: Timestamp) -> Stretch {
        let nanosecond = SignedDuration::from_nanos(1);
        let after = at.checked_add(nanosecond).unwrap_or(at);
        let from = self
            .zone
            .preceding(after)
            .next()
            .map_or(Timestamp::MIN, |change| change.timestamp());
        let to = self
            .zone
            .following(at)
            .next()
            .map_or(Timestamp::MAX, |change| change.timestamp());
        Stretch {
            from,
            to,
            offset: self.zone.to_offset(at),
            before: self.zone.to_offset(from.checked_sub(nanosecond).unwrap_or(from)),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone_name)
    }
}

/// The time zone with the IANA name `name`.
///
/// # Errors
/// Input, naming the nearest one that there is.
pub fn time_zone(name: &str) -> Result<TimeZone> {
    let is_place = |name: &str| !NO_PLACES.iter().any(|other| other.eq_ignore_ascii_case(name));
    let found = Some(name)
        .filter(|name| is_place(name))
        .and_then(|name| TimeZone::get(name).ok());
    found.ok_or_else(|| {
        let known = jiff::tz::db().available().map(|known| known.to_string());
        let known = known.filter(|known| is_place(known));
        let remedy = nearest(name, known).map_or_else(
            || "write a name such as \"Europe/Berlin\" or \"UTC\"".to_owned(),
            |known| format!("did you mean {known:?}?"),
        );
        Error::input(format!("{name:?} is no time zone of the IANA database; {remedy}"))
    })
}

/// What a clock with `offset` shows at `instant`, as the library takes it.
fn wall(instant: Timestamp, offset: Offset) -> Option<NaiveDateTime> {
    let wall = instant
        .checked_add(SignedDuration::from_secs(i64::from(offset.seconds())))
        .ok()?;
    let wall = DateTime::from_timestamp(wall.as_second(), 0)?;
    Some(wall.naive_utc())
}

fn cron(text: &str) -> Result<Cron, String> {
    if text.trim().starts_with('@') {
        let known = NICKNAMES.iter().any(|known| known.eq_ignore_ascii_case(text.trim()));
        return Some(text).filter(|_| known).and_then(library).ok_or_else(|| {
            format!(
                "there is no such name; write one of {}, or five fields such as \"0 3 * * *\"",
                NICKNAMES.join(", ")
            )
        });
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let names = FIELDS.map(|(name, _)| name).join(", ");
        return Err(format!(
            "five fields are needed, not {}; write {names}, for example \"0 3 * * *\" for every night at three",
            fields.len()
        ));
    }
    // The library does not say which field it does not understand, and takes an empty part of a list for nothing at all.
    for (position, (field, (name, range))) in fields.iter().zip(FIELDS).enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[position] = field;
        if field.split(',').any(str::is_empty) || library(&alone.join(" ")).is_none() {
            return Err(format!(
                "its {name} is {field:?}; write numbers ({range}), lists, ranges that do not wrap round, steps such as */2, or *"
            ));
        }
    }
    library(text).ok_or_else(|| "write for example \"0 3 * * *\" for every night at three".to_owned())
}

fn library(text: &str) -> Option<Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed);
    parser.build().parse(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn between(text: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let trigger = Trigger::parse(text, zone).unwrap();
        let all = std::iter::successors(trigger.next(at(from)), |last| trigger.next(*last));
        let all: Vec<Timestamp> = all.take_while(|next| *next <= at(to)).collect();
        let back = std::iter::successors(trigger.last(at(to)), |first| {
            trigger.last(first.checked_sub(SignedDuration::from_nanos(1)).unwrap())
        });
        let mut back: Vec<Timestamp> = back.take_while(|last| *last > at(from)).collect();
        back.reverse();
        assert_eq!(all, back, "{trigger} backwards");
        all.iter()
            .map(|instant| {
                instant
                    .to_zoned_datetime(trigger.zone.clone())
                    .strftime("%d %H:%M%:z")
                    .to_string()
            })
            .collect()
    }

    #[test]
    fn a_fixed_time_in_the_gap_is_shifted_by_it() {
        let found = between(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            "2026-03-30T12:00:00Z",
        );
        assert_eq!(found, ["28 02:30+01:00", "29 03:30+02:00", "30 02:30+02:00"]);
        let found = between(
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            "2026-03-09T12:00:00Z",
        );
        assert_eq!(found, ["08 03:30-04:00", "09 02:30-04:00"]);
        // Half an hour is left out there: from 02:00 to 02:30.
        let found = between(
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            "2026-10-05T00:00:00Z",
        );
        assert_eq!(found, ["04 02:45+11:00", "05 02:15+11:00"]);
        let found = between(
            "40 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            "2026-10-04T00:00:00Z",
        );
        assert_eq!(found, ["04 02:40+11:00"]);
    }

    #[test]
    fn a_fixed_time_in_the_fold_fires_once_at_the_first_of_both() {
        let found = between(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            "2026-10-26T12:00:00Z",
        );
        assert_eq!(found, ["25 02:30+02:00", "26 02:30+01:00"]);
        let found = between(
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            "2026-11-02T12:00:00Z",
        );
        assert_eq!(found, ["01 01:30-04:00", "02 01:30-05:00"]);
        let found = between(
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            "2026-04-05T12:00:00Z",
        );
        assert_eq!(found, ["05 01:45+11:00"]);
        let found = between(
            "0 1,2,3 * * *",
            "Europe/Berlin",
            "2026-10-24T22:00:00Z",
            "2026-10-25T12:00:00Z",
        );
        assert_eq!(found, ["25 01:00+02:00", "25 02:00+02:00", "25 03:00+01:00"]);
    }

    #[test]
    fn times_that_meet_behind_the_gap_fire_once() {
        let found = between(
            "0,30 1-4 * * *",
            "Europe/Berlin",
            "2026-03-28T23:00:00Z",
            "2026-03-29T02:00:00Z",
        );
        assert_eq!(
            found,
            [
                "29 01:00+01:00",
                "29 01:30+01:00",
                "29 03:00+02:00",
                "29 03:30+02:00",
                "29 04:00+02:00"
            ]
        );
        // Shifted ones lie among those that are not, and come in the order of instants.
        let found = between(
            "20,35 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            "2026-10-03T20:00:00Z",
        );
        assert_eq!(found, ["04 02:35+11:00", "04 02:50+11:00"]);
    }

    #[test]
    fn stars_follow_the_clock_on_the_wall() {
        let found = between(
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:00:00Z",
            "2026-10-25T03:00:00Z",
        );
        assert_eq!(
            found,
            ["25 01:30+02:00", "25 02:30+02:00", "25 02:30+01:00", "25 03:30+01:00"]
        );
        let found = between(
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T23:00:00Z",
            "2026-10-25T03:00:00Z",
        );
        assert_eq!(
            found,
            ["25 02:00+02:00", "25 02:30+02:00", "25 02:00+01:00", "25 02:30+01:00"]
        );
        let found = between(
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "2026-03-30T00:59:00Z",
        );
        assert_eq!(found, ["30 02:00+02:00", "30 02:30+02:00"]);
        let found = between(
            "@hourly",
            "Australia/Lord_Howe",
            "2026-04-04T13:30:00Z",
            "2026-04-04T16:40:00Z",
        );
        assert_eq!(found, ["05 01:00+11:00", "05 02:00+10:30", "05 03:00+10:30"]);
    }

    #[test]
    fn names_lists_and_nicknames_are_understood() {
        let found = between("0 4 * * SUN", "UTC", "2026-11-20T00:00:00Z", "2026-12-01T00:00:00Z");
        assert_eq!(found, ["22 04:00+00:00", "29 04:00+00:00"]);
        let found = between("@daily", "UTC", "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z");
        assert_eq!(found, ["21 00:00+00:00", "22 00:00+00:00"]);
        let found = between("0 0 29 FEB *", "UTC", "2026-11-20T00:00:00Z", "2033-01-01T00:00:00Z");
        assert_eq!(found, ["29 00:00+00:00", "29 00:00+00:00"]);
        let found = between("0 3 L * *", "UTC", "2026-11-20T00:00:00Z", "2027-01-01T00:00:00Z");
        assert_eq!(found, ["30 03:00+00:00", "31 03:00+00:00"]);
        // The 15th is a Sunday.
        let found = between("0 3 15W * *", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        assert_eq!(found, ["16 03:00+00:00"]);
        let found = between("0 3 * * MON#1", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        assert_eq!(found, ["02 03:00+00:00"]);
        let found = between("0 3 13 * FRI", "UTC", "2026-11-01T00:00:00Z", "2026-11-14T00:00:00Z");
        assert_eq!(found, ["06 03:00+00:00", "13 03:00+00:00"]);
        let trigger = Trigger::parse(" 0 3 * * 1-5 ", "Europe/Berlin").unwrap();
        assert_eq!(trigger.to_string(), "0 3 * * 1-5 (Europe/Berlin)");
    }

    #[test]
    fn next_is_after_and_last_is_at_or_before() {
        let trigger = Trigger::parse("0 3 * * *", "UTC").unwrap();
        let three = at("2026-11-20T03:00:00Z");
        assert_eq!(trigger.next(three), Some(at("2026-11-21T03:00:00Z")));
        assert_eq!(trigger.last(three), Some(three));
        assert_eq!(trigger.next(at("2026-11-20T02:59:59.5Z")), Some(three));
        assert_eq!(
            trigger.last(at("2026-11-20T02:59:59.5Z")),
            Some(at("2026-11-19T03:00:00Z"))
        );
        assert_eq!(trigger.next(Timestamp::MAX), None);
        assert_eq!(trigger.last(Timestamp::MIN), None);
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_a_remedy() {
        for (text, part) in [
            ("60 3 * * *", "its minute is \"60\""),
            ("0 24 * * *", "its hour is \"24\""),
            ("0 3 0 * *", "its day is \"0\""),
            ("0 3 * FOO *", "its month is \"FOO\""),
            ("0 3 * * SUNDAY", "its weekday is \"SUNDAY\""),
            ("0 3 * * 8", "its weekday is \"8\""),
            ("*/0 3 * * *", "its minute is \"*/0\""),
            ("30-10 3 * * *", "its minute is \"30-10\""),
            (",5 3 * * *", "its minute is \",5\""),
            ("0 0 3 * * *", "five fields are needed, not 6"),
            ("3", "five fields are needed, not 1"),
            ("", "five fields are needed, not 0"),
            ("@reboot", "there is no such name"),
            ("0 3 30 2 *", "no day is ever like that"),
            ("0 3 31 4,6,9,11 *", "no day is ever like that"),
        ] {
            let error = Trigger::parse(text, "Europe/Berlin").unwrap_err();
            assert_eq!(error.kind().exit_code(), 2);
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("{text:?} is no trigger: {part}")),
                "{message}"
            );
            assert!(message.contains("write "), "{message}");
        }
    }

    #[test]
    fn an_unknown_zone_gets_the_nearest_one() {
        let message = |zone| Trigger::parse("@daily", zone).unwrap_err().to_string();
        assert_eq!(
            message("Europe/Berln"),
            "\"Europe/Berln\" is no time zone of the IANA database; did you mean \"Europe/Berlin\"?"
        );
        for other in ["localtime", "posixrules", "Etc/Unknown", "local"] {
            assert!(
                message(other).contains("is no time zone") && !message(other).contains("localtime\"?"),
                "{other}"
            );
        }
        assert!(message("?").ends_with("write a name such as \"Europe/Berlin\" or \"UTC\""));
    }

    fn field(range: std::ops::Range<u32>) -> impl Strategy<Value = String> {
        let number = range.clone().prop_map(|number| number.to_string());
        let list = proptest::collection::vec(range.clone(), 1..4)
            .prop_map(|numbers| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
        prop_oneof![
            number,
            list,
            Just("*".to_owned()),
            (2..9_u32).prop_map(|step| format!("*/{step}"))
        ]
    }

    const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

    /// On these days of 2026 the clock changes somewhere.
    const CHANGES: [&str; 6] = [
        "2026-03-08",
        "2026-03-29",
        "2026-04-05",
        "2026-10-04",
        "2026-10-25",
        "2026-11-01",
    ];

    proptest! {
        /// Held against every minute around a change of the clock, asked by another way: what the wall shows at it.
        #[test]
        fn every_trigger_is_walked_once_in_order(
            minute in field(0..60),
            hour in field(0..24),
            weekday in prop_oneof![Just("*".to_owned()), (0..7_u32).prop_map(|day| day.to_string())],
            zone in 0..ZONES.len(),
            day in proptest::sample::select(CHANGES.to_vec()),
        ) {
            let trigger = Trigger::parse(&format!("{minute} {hour} * * {weekday}"), ZONES[zone]).unwrap();
            let from = at(&format!("{day}T00:00:00Z")).checked_sub(SignedDuration::from_hours(36)).unwrap();
            let to = from.checked_add(SignedDuration::from_hours(72)).unwrap();
            let mut expected = Vec::new();
            for minute in 1..=72 * 60 {
                let instant = from.checked_add(SignedDuration::from_mins(minute)).unwrap();
                if fires(&trigger, instant) {
                    expected.push(instant);
                }
            }
            let walked = std::iter::successors(trigger.next(from), |last| trigger.next(*last));
            let walked: Vec<Timestamp> = walked.take_while(|next| *next <= to).collect();
            prop_assert_eq!(&walked, &expected);
            for instant in walked {
                prop_assert_eq!(trigger.last(instant), Some(instant));
                let next = trigger.next(instant).unwrap();
                prop_assert_eq!(trigger.last(next.checked_sub(SignedDuration::from_nanos(1)).unwrap()), Some(instant));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-*/,0-9@?#LW+A-Z ]{0,24}", zone in ".{0,12}") {
            let _ = Trigger::parse(&text, &zone);
            let _ = Trigger::parse(&text, "Europe/Berlin");
        }
    }

    /// Whether `trigger` fires at `instant`, by the words of the rule.
    fn fires(trigger: &Trigger, instant: Timestamp) -> bool {
        let shows = |wall: jiff::civil::DateTime| {
            let parts = (
                i32::from(wall.year()),
                wall.month().unsigned_abs().into(),
                wall.day().unsigned_abs().into(),
            );
            let date = chrono::NaiveDate::from_ymd_opt(parts.0, parts.1, parts.2).unwrap();
            let time = date.and_hms_opt(
                wall.hour().unsigned_abs().into(),
                wall.minute().unsigned_abs().into(),
                0,
            );
            trigger.cron.is_time_matching(&time.unwrap()).unwrap()
        };
        let wall = trigger.zone.to_datetime(instant);
        if trigger.follows_wall {
            return shows(wall);
        }
        let offset = |hours| {
            trigger
                .zone
                .to_offset(instant.checked_add(SignedDuration::from_hours(hours)).unwrap())
        };
        if offset(-2) == offset(2) {
            return shows(wall);
        }
        // The civil times around that the time zone puts at this instant: gaps shifted, folds at the first of both.
        (-60..=60).any(|minutes| {
            let civil = wall.checked_add(SignedDuration::from_mins(minutes)).unwrap();
            trigger.zone.to_ambiguous_timestamp(civil).compatible().unwrap() == instant && shows(civil)
        })
    }
}
