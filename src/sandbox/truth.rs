//! What a lake must hold: the rows that the API serves at one instant, in canonical form, one JSON object a line.

use std::sync::Arc;

use super::activities::Position;
use super::activity_row::Activity;
use super::behaviour::Behaviour;
use super::listing::Listing;
use super::metrics::{MetricsRow, Period};
use super::workspace::{View, World};

/// So many rows are rendered at a time.
const CHUNK: u64 = 1_000;

/// The streams whose truth is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Activities,
    Customers,
    Messages,
    Metrics(Period, Option<u64>),
    Details { tracked_responses: bool },
    List(&'static Listing),
}

impl Stream {
    /// The stream of that name, as it is asked for by default.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "activities" => Some(Self::Activities),
            "customers" => Some(Self::Customers),
            "transactional_messages" => Some(Self::Messages),
            "transactional_metrics" => Some(Self::Metrics(Period::Days, Some(45))),
            "transactional_message_details" => Some(Self::Details {
                tracked_responses: true,
            }),
            name => Listing::named(name).map(Self::List),
        }
    }
}

/// The truth of one stream, in pieces of whole lines. It holds still while the clock or the behaviour is changed.
#[derive(Debug)]
pub(super) struct Truth {
    world: Arc<World>,
    behaviour: Behaviour,
    now: i64,
    stream: Stream,
    place: Option<Place>,
}

/// Where the next piece begins.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    message: u64,
    row: u64,
    after: Option<Position>,
}

impl Truth {
    pub(super) fn new(world: Arc<World>, behaviour: Behaviour, now: i64, stream: Stream) -> Self {
        Self {
            world,
            behaviour,
            now,
            stream,
            place: Some(Place::default()),
        }
    }

    fn view(&self) -> View<'_> {
        View {
            world: &self.world,
            now: self.now,
            behaviour: &self.behaviour,
        }
    }

    /// Writes the rows from `place` on and says where to go on.
    fn piece(&self, place: Place, out: &mut Vec<u8>) -> Option<Place> {
        match self.stream {
            Stream::Activities => self.activities(place, out),
            Stream::Customers => self.customers(place, out),
            Stream::Messages => {
                self.messages(out);
                None
            }
            Stream::List(listing) => {
                self.list(listing, out);
                None
            }
            Stream::Metrics(period, steps) => self.metrics(place, (period, steps), out),
            Stream::Details { tracked_responses } => self.details(place, tracked_responses, out),
        }
    }

    fn activities(&self, place: Place, out: &mut Vec<u8>) -> Option<Place> {
        let view = self.view();
        let mut last = None;
        for at in self
            .world
            .activities
            .newest_first(self.now, self.behaviour.activity_days, place.after)
            .take(CHUNK as usize)
        {
            if view.broken_activity(at).is_none() {
                Activity::new(&view, at).lake(out);
                out.push(b'\n');
            }
            last = Some(at);
        }
        last.map(|at| Place {
            after: Some(at),
            ..place
        })
    }

    fn customers(&self, place: Place, out: &mut Vec<u8>) -> Option<Place> {
        let view = self.view();
        let end = self.world.people.count_until(self.now);
        let until = (place.row + CHUNK).min(end);
        for index in place.row..until {
            if let (Some(customer), None) = (view.customer(index), view.broken_customer(index)) {
                customer.lake(out);
                out.push(b'\n');
            }
        }
        (until < end).then_some(Place { row: until, ..place })
    }

    fn messages(&self, out: &mut Vec<u8>) {
        let listed = self
            .world
            .messages
            .known(self.now)
            .filter(|message| self.view().lists(message));
        for message in listed {
            self.view().message_row(message).lake(out);
            out.push(b'\n');
        }
    }

    fn list(&self, listing: &'static Listing, out: &mut Vec<u8>) {
        let known = self.world.items.known(listing, self.now);
        for item in known.filter(|item| !item.is_gone()) {
            self.view().list_row(listing, item).lake(out);
            out.push(b'\n');
        }
    }

    fn metrics(&self, place: Place, (period, steps): (Period, Option<u64>), out: &mut Vec<u8>) -> Option<Place> {
        if place.message >= self.world.messages.count_until(self.now) {
            return None;
        }
        let message = self.world.messages.message(place.message);
        if self.view().lists(&message) && self.view().unreadable_metrics(&message).is_none() {
            MetricsRow::new(&self.view(), &message, period, steps).lake(out);
            out.push(b'\n');
        }
        Some(Place {
            message: place.message + 1,
            ..place
        })
    }

    fn details(&self, place: Place, tracked_responses: bool, out: &mut Vec<u8>) -> Option<Place> {
        if place.message >= self.world.messages.count_until(self.now) {
            return None;
        }
        let view = self.view();
        let message = self.world.messages.message(place.message);
        let served = message.is_served(self.now);
        let end = if served { message.deliveries_until(self.now) } else { 0 };
        let until = (place.row + CHUNK).min(end);
        for number in place.row..until {
            if let (Some(row), None) = (view.delivery(&message, number), view.broken_delivery(&message, number)) {
                row.lake(out, tracked_responses);
                out.push(b'\n');
            }
        }
        Some(match until < end {
            true => Place { row: until, ..place },
            false => Place {
                message: place.message + 1,
                row: 0,
                ..place
            },
        })
    }
}

impl Iterator for Truth {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(place) = self.place {
            self.place = self.piece(place, &mut out);
            if !out.is_empty() {
                return Some(out);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::workspace::Workspace;
    use super::*;

    #[test]
    fn the_default_workspace_has_as_many_lines_as_rows() {
        let workspace = Workspace::default();
        let world = Arc::new(World::new(&workspace));
        let lines = |name: &str| {
            let stream = Stream::parse(name).unwrap();
            let now = workspace.now.as_millisecond();
            let truth = Truth::new(world.clone(), Behaviour::default(), now, stream);
            truth.flatten().filter(|byte| *byte == b'\n').count()
        };
        assert_eq!(lines("transactional_message_details"), 20_000);
        assert_eq!(lines("transactional_messages"), 12);
        assert_eq!(lines("transactional_metrics"), 12);
        assert!((450..500).contains(&lines("customers")));
        assert!((5_800..6_100).contains(&lines("activities")));
        assert_eq!(lines("newsletters"), 36);
        assert!(Stream::parse("exports").is_none());
    }
}
