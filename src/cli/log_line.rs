//! One line of the log as a JSON object; `docs/logs.md` describes the events and their fields.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::{logging, out};

/// What is told without a name of its own.
const UNNAMED: &str = "log";

/// Writes each event as one JSON object on a line of stderr.
#[derive(Debug)]
pub struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (name, target) = (name(event.metadata()), event.metadata().target());
        if name == UNNAMED {
            fields.0.push(("target", target.into()));
        }
        let line = Line {
            timestamp: Timestamp::now(),
            level: level(*event.metadata().level()),
            event: name,
            run: logging::run().map(|run| run.as_str().to_owned()),
            fields: fields.0,
        };
        if let Ok(text) = serde_json::to_string(&line) {
            out::log(&text);
        }
    }
}

/// What stands in every line comes first, then the event's own fields in their order.
#[derive(Debug)]
struct Line {
    timestamp: Timestamp,
    level: &'static str,
    event: &'static str,
    run: Option<String>,
    fields: Vec<(&'static str, Value)>,
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = [
            ("timestamp", Some(self.timestamp.to_string())),
            ("level", Some(self.level.to_owned())),
            ("event", Some(self.event.to_owned())),
            ("run", self.run.clone()),
        ];
        let head = head
            .into_iter()
            .filter_map(|(name, text)| Some((name, Value::from(text?))));
        serializer.collect_map(head.chain(self.fields.iter().cloned()))
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The library calls an event by its place in the source where nobody has named it.
fn name(metadata: &Metadata<'static>) -> &'static str {
    match metadata.name() {
        place if place.starts_with("event ") => UNNAMED,
        name => name,
    }
}

/// The fields of an event, numbers as numbers.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn push(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.push((field.name(), value.into()));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_what_stands_in_every_line() {
        let line = Line {
            timestamp: Timestamp::UNIX_EPOCH,
            level: level(Level::WARN),
            event: "retry",
            run: Some("r-1".into()),
            fields: vec![("tries", 3.into()), ("message", "a \"b\"\nc".into())],
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"timestamp":"1970-01-01T00:00:00Z","level":"warn","event":"retry","run":"r-1","tries":3,"message":"a \"b\"\nc"}"#
        );
    }

    #[test]
    fn outside_of_a_run_there_is_none() {
        let line = Line {
            timestamp: Timestamp::UNIX_EPOCH,
            level: level(Level::ERROR),
            event: "error",
            run: None,
            fields: Vec::new(),
        };
        assert!(!serde_json::to_string(&line).unwrap().contains("run"));
    }
}
