//! Counts per period: what `GET /v1/transactional/{id}/metrics` adds up from the deliveries.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::chance::Dice;
use super::deliveries;
use super::json::{self, Object, Oddity, Side};
use super::lifecycle::METRICS;
use super::messages::Message;
use super::timeline::{DAY, HOUR};
use super::workspace::{Lane, View};

/// The documented series in their documented order.
pub(super) const SERIES: [&str; 20] = [
    "attempted",
    "bounced",
    "clicked",
    "human_clicked",
    "prefetch_clicked",
    "converted",
    "created",
    "deferred",
    "delivered",
    "drafted",
    "failed",
    "opened",
    "human_opened",
    "prefetch_opened",
    "sent",
    "spammed",
    "suppressed",
    "undeliverable",
    "topic_unsubscribed",
    "unsubscribed",
];

/// A bucket of more deliveries is counted from a sample of so many, evenly spaced and always the same.
const SAMPLE: u64 = 64;
/// Days begin at midnight Eastern Standard Time, daylight saving or not.
const EASTERN: i64 = -5 * HOUR;

/// The length of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Hours,
    Days,
    Weeks,
    Months,
}

impl Period {
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Hours, Self::Days, Self::Weeks, Self::Months]
            .into_iter()
            .find(|period| period.name() == text)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hours => "hours",
            Self::Days => "days",
            Self::Weeks => "weeks",
            Self::Months => "months",
        }
    }

    fn most(self) -> u64 {
        match self {
            Self::Hours => 24,
            Self::Days => 45,
            Self::Weeks => 12,
            Self::Months => 121,
        }
    }

    /// How many buckets are served when so many are asked for: never fewer than two, and 0 is the maximum.
    pub(super) fn steps(self, asked: Option<u64>) -> u64 {
        match asked {
            None if self == Self::Months => 12,
            None | Some(0) => self.most(),
            Some(steps) => steps.clamp(2, self.most()),
        }
    }

    /// The start of the bucket that is `back` buckets before the running one, in milliseconds since 1970.
    fn start(self, now: i64, back: i64) -> i64 {
        let local = now + EASTERN;
        let day = local.div_euclid(DAY);
        match self {
            Self::Hours => (local.div_euclid(HOUR) - back) * HOUR - EASTERN,
            Self::Days => (day - back) * DAY - EASTERN,
            // 1970 began on a Thursday, four days after a Sunday.
            Self::Weeks => ((day + 4).div_euclid(7) - back) * 7 * DAY - 4 * DAY - EASTERN,
            Self::Months => month_start(now, back),
        }
    }
}

fn month_start(now: i64, back: i64) -> i64 {
    let eastern = Offset::constant(-5);
    let today = Timestamp::from_millisecond(now)
        .map(|now| eastern.to_datetime(now).date())
        .unwrap_or(Date::ZERO);
    let months = i64::from(today.year()) * 12 + i64::from(today.month()) - 1 - back;
    let first = Date::new(months.div_euclid(12) as i16, months.rem_euclid(12) as i8 + 1, 1).unwrap_or(Date::ZERO);
    let start = eastern.to_timestamp(first.at(0, 0, 0, 0));
    start.map_or(i64::MIN, |start| start.as_millisecond())
}

/// The answer for one message.
#[derive(Debug)]
pub(super) struct MetricsRow {
    transactional_id: u64,
    period: Period,
    /// As asked for; what is served may be more or fewer.
    asked: u64,
    series: Vec<Vec<u64>>,
    /// Series that never counted anything are left out instead of being zero-filled.
    sparse: bool,
    odd: Vec<Oddity>,
}

impl MetricsRow {
    pub(super) fn new(view: &View<'_>, message: &Message, period: Period, asked: Option<u64>) -> Self {
        let steps = period.steps(asked);
        let mut series = vec![Vec::with_capacity(steps as usize); SERIES.len()];
        for back in (0..steps as i64).rev() {
            let (from, to) = (period.start(view.now, back), period.start(view.now, back - 1));
            let counts = count(view, message, from, to);
            for (line, count) in series.iter_mut().zip(counts) {
                line.push(count);
            }
        }
        let mut row = Self {
            transactional_id: message.id,
            period,
            asked: asked.unwrap_or(steps),
            series,
            sparse: message.index % 3 == 1,
            odd: Vec::new(),
        };
        let odd = view
            .rarely_odd(Lane::Metrics, message.index)
            .map(|mut dice| row.oddity(&mut dice));
        row.odd.extend(odd);
        row.odd.extend(view.strange(Lane::Metrics, message.index));
        row
    }

    /// `{"series":{...}}`
    pub(super) fn api(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"series\":");
        let mut row = Object::open(out, &self.odd, Side::Api);
        self.write_series(&mut row);
        row.close(&SERIES);
        out.push(b'}');
    }

    pub(super) fn lake(&self, out: &mut Vec<u8>) {
        let mut row = Object::open(out, &self.odd, Side::Lake);
        row.int("transactional_id", self.transactional_id as i64);
        row.text("period", self.period.name());
        row.int("steps", self.asked as i64);
        self.write_series(&mut row);
        row.close(&SERIES);
    }

    fn write_series(&self, row: &mut Object<'_>) {
        for (name, counts) in SERIES.iter().zip(&self.series) {
            if self.sparse && counts.iter().all(|count| *count == 0) {
                row.absent(name);
            } else {
                row.raw(name, |out| list(out, counts, ""));
            }
        }
    }

    fn oddity(&self, dice: &mut Dice) -> Oddity {
        let lists = |name: &str, suffix: &str| {
            let place = SERIES.iter().position(|known| *known == name).unwrap_or(0);
            let text = |suffix: &str| super::people::text(|out| list(out, &self.series[place], suffix));
            (text(suffix), text(""))
        };
        match dice.below(5) {
            0 => Oddity::unknown("replied", "[0,1,0]"),
            1 => {
                let (served, lake) = lists("sent", ".0");
                Oddity::kept("sent", served, lake)
            }
            2 => Oddity::misfit("deferred", "{\"total\":3}"),
            3 => Oddity::kept("suppressed", "[0,null,\"2\"]", "[0,null,2]"),
            _ => Oddity::misfit("topic_unsubscribed", "\"n/a\""),
        }
    }
}

fn list(out: &mut Vec<u8>, counts: &[u64], suffix: &str) {
    out.push(b'[');
    for (at, count) in counts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::digits(out, *count, 1);
        out.extend_from_slice(suffix.as_bytes());
    }
    out.push(b']');
}

/// The counts of the deliveries created in `[from, to)`, by series, with what is known of them now.
fn count(view: &View<'_>, message: &Message, from: i64, to: i64) -> [u64; SERIES.len()] {
    let mut counts = [0; SERIES.len()];
    let Some(pace) = message.sends() else { return counts };
    let first = message.deliveries_until(from.saturating_sub(1));
    let created = message
        .deliveries_until(view.now.min(to.saturating_sub(1)))
        .saturating_sub(first);
    let looked_at = created.min(SAMPLE);
    for sample in 0..looked_at {
        let number = first + sample * created / looked_at;
        let life = deliveries::lifecycle(view.world.seed, message, number, pace.time(number));
        let happened = |name: &str| {
            let place = METRICS.iter().position(|known| *known == name);
            place.is_some_and(|place| life.seconds(place, view.now).is_some())
        };
        for (count, name) in counts.iter_mut().zip(SERIES) {
            let counted = match name {
                "created" => true,
                "attempted" => happened("sent") || happened("failed"),
                name => happened(name),
            };
            *count += u64::from(counted);
        }
    }
    let scale = |count: u64| (count * created + looked_at / 2).checked_div(looked_at).unwrap_or(0);
    counts.map(scale)
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::Behaviour;
    use super::super::people::text;
    use super::super::workspace::{Workspace, World};
    use super::*;

    fn row(index: u64, period: Period, asked: Option<u64>) -> MetricsRow {
        let workspace = Workspace::default();
        let world = World::new(&workspace);
        let view = View {
            world: &world,
            now: workspace.now.as_millisecond(),
            behaviour: &Behaviour::plain(),
        };
        MetricsRow::new(&view, &world.messages.message(index), period, asked)
    }

    fn total(row: &MetricsRow, name: &str) -> u64 {
        let place = SERIES.iter().position(|known| *known == name).unwrap();
        row.series[place].iter().sum()
    }

    #[test]
    fn buckets_meet_and_the_running_one_is_last() {
        let now = Workspace::default().now.as_millisecond();
        for period in [Period::Hours, Period::Days, Period::Weeks, Period::Months] {
            assert!(period.start(now, 0) <= now && now < period.start(now, -1), "{period:?}");
            assert!(period.start(now, 120) < period.start(now, 119));
        }
        // 2026-11-22T03:00Z is 22:00 on Saturday the 21st in New York.
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(Period::Days.start(now, 0), at("2026-11-21T05:00:00Z"));
        assert_eq!(Period::Weeks.start(now, 0), at("2026-11-15T05:00:00Z"));
        assert_eq!(Period::Months.start(now, 11), at("2025-12-01T05:00:00Z"));
    }

    #[test]
    fn steps_follow_the_documented_limits() {
        assert_eq!(Period::Days.steps(None), 45);
        assert_eq!(Period::Months.steps(None), 12);
        assert_eq!(Period::Days.steps(Some(0)), 45);
        assert_eq!(Period::Days.steps(Some(1)), 2);
        assert_eq!(Period::Hours.steps(Some(100)), 24);
    }

    #[test]
    fn counts_are_those_of_the_deliveries() {
        let year = row(0, Period::Months, Some(121));
        let created = total(&year, "created");
        let messages = super::super::messages::Messages::new(&Workspace::default());
        let now = Workspace::default().now.as_millisecond();
        assert_eq!(created, messages.message(0).deliveries_until(now));
        assert!(total(&year, "opened") < total(&year, "delivered"));
        assert!(total(&year, "delivered") < total(&year, "sent"));
        assert!(total(&year, "sent") <= total(&year, "attempted"));
        assert_eq!(total(&row(3, Period::Days, None), "created"), 0);
    }

    #[test]
    fn both_forms_agree_on_every_series() {
        let mut row = row(4, Period::Days, Some(45));
        row.odd = vec![
            Oddity::unknown("replied", "[1]"),
            Oddity::misfit("deferred", "{\"total\":3}"),
        ];
        let api: serde_json::Value = serde_json::from_str(&text(|out| row.api(out))).unwrap();
        let lake: serde_json::Value = serde_json::from_str(&text(|out| row.lake(out))).unwrap();
        for name in SERIES.iter().filter(|name| **name != "deferred") {
            assert_eq!(api["series"].get(name).unwrap_or(&serde_json::Value::Null), &lake[name]);
        }
        assert_eq!(lake["_extra"], r#"{"deferred":{"total":3},"replied":[1]}"#);
        assert_eq!((&lake["period"], &lake["steps"]), (&"days".into(), &45.into()));
    }
}
