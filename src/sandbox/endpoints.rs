//! The simulated endpoints of the App API: from a request and a view of the world to an answer.

use super::activities::Position;
use super::activity_row::Activity;
use super::behaviour::{Endpoint, OverLimit};
use super::cursor::{Cursor, Form};
use super::filter::Filter;
use super::item::Item;
use super::json;
use super::listing::{Listing, Pages};
use super::messages::Message;
use super::metrics::{MetricsRow, Period};
use super::page::{Answer, Page, Paging, Refusal, Rows};
use super::people::Identity;
use super::timeline::{DAY, SECOND};
use super::workspace::View;

/// What `6 months` and `12 months` mean to the time range of deliveries.
const SIX_MONTHS: i64 = 183 * DAY / SECOND;
const TWELVE_MONTHS: i64 = 365 * DAY / SECOND;

/// Which endpoint a path leads to, and the transactional message it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) message: Option<u64>,
}

impl Route {
    /// The route of a request; none for a path that is not simulated.
    pub(super) fn find(method: &str, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        // No message has the id 0: what is no number leads to the same 404 as an unknown one.
        let message = |id: &str| Some(id.parse().unwrap_or(0));
        let (endpoint, message) = match (method, segments.as_slice()) {
            ("GET", ["v1", "activities"]) => (Endpoint::Activities, None),
            ("POST", ["v1", "customers"]) => (Endpoint::Customers, None),
            ("GET", ["v1", "transactional"]) => (Endpoint::Transactional, None),
            ("GET", ["v1", "transactional", id]) => (Endpoint::Transactional, message(id)),
            ("GET", ["v1", "transactional", id, "metrics"]) => (Endpoint::Metrics, message(id)),
            ("GET", ["v1", "transactional", id, "messages"]) => (Endpoint::Details, message(id)),
            ("GET", ["v1", name]) => (Listing::named(name)?.endpoint, None),
            _ => return None,
        };
        Some(Self { endpoint, message })
    }
}

/// One request, read.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) view: View<'a>,
    pub(super) query: Query,
    pub(super) body: &'a [u8],
}

/// The decoded query. An unencoded `+` has become a space.
#[derive(Debug, Default)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let malformed = |_| Refusal::Malformed(format!("{name} must be an integer"));
        text.parse().map(Some).map_err(malformed)
    }
}

impl Call<'_> {
    pub(super) fn answer(&self, route: Route) -> Answer {
        let answer = match route.endpoint {
            Endpoint::Activities => self.activities(),
            Endpoint::Customers => self.customers(),
            Endpoint::Transactional => self.transactional(route.message),
            Endpoint::Metrics => self.metrics(route.message),
            Endpoint::Details => self.details(route.message),
            other => Listing::of(other)
                .ok_or(Refusal::NotFound)
                .and_then(|listing| self.list(listing)),
        };
        answer.unwrap_or_else(Answer::Refusal)
    }

    fn activities(&self) -> Result<Answer, Refusal> {
        let paging = self.paging(Form::Decimal, 10, 100)?;
        let activities = &self.view.world.activities;
        // A cursor names a row of one of the two sequences in its last bit.
        let position = |row: u64| activities.position(row % 2 == 1, row / 2);
        let number = |at: Position| at.index * 2 + u64::from(at.displaced);
        let wanted = |at: &Position| self.wants_activity(*at);
        let rows = activities
            .newest_first(
                self.view.now,
                self.view.behaviour.activity_days,
                paging.after().map(position),
            )
            .filter(wanted);
        let page = paging.fill("activities", rows.map(number), |row, rows| {
            let at = position(row);
            match self.view.broken_activity(at) {
                Some(broken) => rows.next().extend_from_slice(&broken),
                None => Activity::new(&self.view, at).api(rows.next()),
            }
        });
        Ok(Answer::Page(page))
    }

    fn wants_activity(&self, at: Position) -> bool {
        let (kind, name) = (self.query.get("type"), self.query.get("name"));
        let person = self.query.get("customer_id");
        if kind.is_none() && name.is_none() && person.is_none() {
            return true;
        }
        let row = Activity::new(&self.view, at);
        let kind_fits = kind.is_none_or(|kind| row.kind() == kind);
        let name_fits = name.is_none_or(|name| row.name() == Some(name));
        kind_fits && name_fits && person.is_none_or(|person| self.is_person(row.identity(), person))
    }

    fn is_person(&self, identity: &Identity, value: &str) -> bool {
        match self.query.get("id_type").unwrap_or("id") {
            "cio_id" => value
                .strip_prefix("cio_")
                .is_some_and(|bare| identity.is("cio_id", bare)),
            field => identity.is(field, value),
        }
    }

    fn customers(&self) -> Result<Answer, Refusal> {
        let filter = Filter::parse(self.body).map_err(Refusal::Malformed)?;
        let paging = self.paging(Form::Base64, 50, 1_000)?;
        let people = &self.view.world.people;
        let now = self.view.now;
        let holds = |index: &u64| {
            let person = people.person(*index);
            person.is_there(now) && filter.holds(&person.identity(now))
        };
        let from = paging.after().map_or(0, |row| row + 1);
        let mut ids = Rows::default();
        let page = if self.view.behaviour.shifting_ms > 0 {
            let there: Vec<u64> = (0..people.count_until(now)).filter(holds).collect();
            paging.fill("identifiers", from..there.len() as u64, |place, rows| {
                let index = there.get(place as usize);
                index
                    .into_iter()
                    .for_each(|index| self.customer(*index, rows, &mut ids));
            })
        } else {
            let rows = (from..people.count_until(now)).filter(holds);
            paging.fill("identifiers", rows, |index, rows| self.customer(index, rows, &mut ids))
        };
        Ok(Answer::Page(page.with_ids(ids)))
    }

    fn customer(&self, index: u64, rows: &mut Rows, ids: &mut Rows) {
        // A repeated row may be about somebody who has gone meanwhile.
        let Some(customer) = self.view.customer(index) else {
            return;
        };
        let id = ids.next();
        id.push(b'"');
        customer.identity.write_id(id);
        id.push(b'"');
        match self.view.broken_customer(index) {
            Some(broken) => rows.next().extend_from_slice(&broken),
            None => customer.api(rows.next()),
        }
    }

    fn transactional(&self, id: Option<u64>) -> Result<Answer, Refusal> {
        let (view, now) = (&self.view, self.view.now);
        if id.is_some() {
            let mut body = Vec::new();
            view.message_row(self.message(id)?).api(&mut body);
            return Ok(Answer::Object { key: "message", body });
        }
        let mut rows = Rows::default();
        for message in view.world.messages.known(now).filter(|message| view.lists(message)) {
            view.message_row(message).api(rows.next());
            if let Some(bytes) = view.unreadable_message(&message) {
                rows.next().extend_from_slice(&bytes);
            }
        }
        Ok(Answer::Page(Page::whole("messages", rows)))
    }

    fn metrics(&self, id: Option<u64>) -> Result<Answer, Refusal> {
        let message = self.message(id)?;
        let period = self.query.get("period").unwrap_or("days");
        let period = Period::parse(period).ok_or_else(|| Refusal::Malformed(format!("unknown period {period:?}")))?;
        let asked = self
            .query
            .number("steps")?
            .map(|steps| u64::try_from(steps).unwrap_or(0));
        let mut body = Vec::new();
        if let Some(bytes) = self.view.unreadable_metrics(&message) {
            body = [b"{\"series\":", bytes.as_slice(), b"}"].concat();
            return Ok(Answer::Object { key: "metric", body });
        }
        MetricsRow::new(&self.view, &message, period, asked).api(&mut body);
        Ok(Answer::Object { key: "metric", body })
    }

    fn details(&self, id: Option<u64>) -> Result<Answer, Refusal> {
        let message = self.message(id)?;
        let paging = self.paging(Form::Base64, 50, 1_000)?;
        let (first, end) = self.range(&message)?;
        let oldest_first = self.view.behaviour.oldest_first;
        let (first, end) = match paging.after() {
            Some(row) if oldest_first => (first.max(row + 1), end),
            Some(row) => (first, end.min(row)),
            None => (first, end),
        };
        let rows: Box<dyn Iterator<Item = u64>> = if oldest_first {
            Box::new(first..end)
        } else {
            Box::new((first..end).rev())
        };
        let tracked_responses = self.query.is_true("get_tracked_responses");
        let metric = self.query.get("metric");
        let delivery = |number: u64| self.view.delivery(&message, number);
        let wanted = |number: &u64| metric.is_none_or(|metric| delivery(*number).is_some_and(|row| row.has(metric)));
        let page = paging.fill("messages", rows.filter(wanted), |number, rows| {
            match (self.view.broken_delivery(&message, number), delivery(number)) {
                (Some(broken), _) => rows.next().extend_from_slice(&broken),
                (None, Some(row)) => row.api(rows.next(), tracked_responses),
                (None, None) => {}
            }
        });
        Ok(Answer::Page(page))
    }

    /// A list of few rows. Senders that are hidden are asked for with `hidden=true`, and nobody else is served then.
    fn list(&self, listing: &'static Listing) -> Result<Answer, Refusal> {
        let view = &self.view;
        let hidden = listing.endpoint == Endpoint::SenderIdentities && self.query.is_true("hidden");
        let is_served = |item: &Item| item.is_gone() == hidden;
        let items = view.world.items.known(listing, view.now).filter(is_served);
        if listing.pages == Pages::Whole {
            let mut rows = Rows::default();
            items.for_each(|item| self.item(listing, item, &mut rows));
            return Ok(Answer::Page(Page::whole(listing.key, rows)));
        }
        let paging = self.paging(Form::Base64, 10, 100)?;
        let indices = items.map(|item| item.index);
        let indices = indices.filter(|index| Some(*index) > paging.after());
        let mut last = None;
        let page = paging.fill(listing.key, indices, |index, rows| {
            last = Some(index);
            // A repeated row may have gone meanwhile.
            let item = Some(view.world.items.item(listing, index, view.now)).filter(is_served);
            item.into_iter().for_each(|item| self.item(listing, item, rows));
        });
        let last = last.filter(|last| listing.pages == Pages::Trailing && Some(*last) > paging.after());
        Ok(Answer::Page(page.trailing(last, paging.form)))
    }

    fn item(&self, listing: &'static Listing, item: Item, rows: &mut Rows) {
        self.view.list_row(listing, item).api(rows.next());
        if let Some(bytes) = self.view.unreadable_item(listing, &item) {
            rows.next().extend_from_slice(&bytes);
        }
    }

    /// The deliveries that `start_ts` and `end_ts`, both inclusive, ask for; silently no more than twelve months.
    fn range(&self, message: &Message) -> Result<(u64, u64), Refusal> {
        let now = self.view.now.div_euclid(SECOND);
        let (start, end) = (self.query.number("start_ts")?, self.query.number("end_ts")?);
        let last = end.unwrap_or(now);
        let first = match start {
            Some(start) => start.max(last.saturating_sub(TWELVE_MONTHS)),
            None => last.saturating_sub(SIX_MONTHS),
        };
        let until = |second: i64| {
            let millisecond = second.saturating_mul(SECOND).saturating_add(SECOND - 1);
            message.deliveries_until(millisecond.min(self.view.now))
        };
        Ok((until(first.saturating_sub(1)), until(last)))
    }

    fn message(&self, id: Option<u64>) -> Result<Message, Refusal> {
        let served = id.and_then(|id| self.view.world.messages.served(id, self.view.now));
        served.ok_or(Refusal::NotFound)
    }

    fn paging(&self, form: Form, default: usize, most: usize) -> Result<Paging, Refusal> {
        let cursor = self.query.get("start").filter(|start| !start.is_empty());
        let bad = |start: &str| Refusal::Malformed(format!("invalid start {start:?}"));
        let cursor = cursor
            .map(|start| Cursor::decode(start, form).ok_or_else(|| bad(start)))
            .transpose()?;
        let limit = match self.query.number("limit")? {
            None | Some(0) => default,
            Some(limit) if limit < 0 => return Err(Refusal::Malformed("limit must not be negative".into())),
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        if limit > most && self.view.behaviour.over_limit == OverLimit::Refuse {
            return Err(Refusal::Malformed(format!("limit must not be above {most}")));
        }
        let most = match self.view.behaviour.largest_page {
            0 => most,
            fewer => fewer.min(most),
        };
        Ok(Paging::new(cursor, limit.min(most), form, self.view.behaviour))
    }
}

/// `[{"id":2,"listed":true,"served":true}]`: every message ever created, vanished ones included.
pub(super) fn message_list(view: &View<'_>) -> Vec<u8> {
    let mut rows = Rows::default();
    for message in view.world.messages.known(view.now) {
        let mut row = json::Object::open(rows.next(), &[], json::Side::Api);
        row.int("id", message.id as i64);
        row.bool("listed", view.lists(&message));
        row.bool("served", message.is_served(view.now));
        row.close(&[]);
    }
    rows.into_array()
}
