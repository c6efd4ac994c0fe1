//! Every stream the binary knows, checked once when it starts.

use std::sync::Arc;

use super::{Column, ColumnType, Partition, Stream};
use crate::error::{Error, Result, nearest};

macro_rules! definition {
    ($name:literal) => {
        ($name, include_str!(concat!("../../schemas/", $name, ".json")))
    };
}

/// Every definition by its name, in the order in which streams are shown: the core streams first.
const FILES: [(&str, &str); 16] = [
    definition!("activities"),
    definition!("customers"),
    definition!("transactional_messages"),
    definition!("transactional_metrics"),
    definition!("transactional_message_details"),
    definition!("campaigns"),
    definition!("broadcasts"),
    definition!("newsletters"),
    definition!("segments"),
    definition!("sender_identities"),
    definition!("snippets"),
    definition!("collections"),
    definition!("subscription_topics"),
    definition!("object_types"),
    definition!("reporting_webhooks"),
    definition!("workspaces"),
];

/// The streams, in the order in which they are shown.
#[derive(Debug, Clone)]
pub struct Catalog {
    streams: Vec<Arc<Stream>>,
}

impl Catalog {
    /// Reads the embedded definitions.
    ///
    /// # Errors
    /// Internal, when a definition contradicts itself.
    pub fn load() -> Result<Self> {
        let streams = FILES
            .iter()
            .map(|(name, text)| parse(name, text))
            .collect::<Result<_>>()?;
        Ok(Self { streams })
    }

    /// Every stream.
    pub fn streams(&self) -> &[Arc<Stream>] {
        &self.streams
    }

    /// The streams that are exported when none is named.
    pub fn core(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.iter().filter(|stream| stream.core)
    }

    /// The stream called `name`.
    ///
    /// # Errors
    /// Input, with the nearest name, when there is none.
    pub fn get(&self, name: &str) -> Result<Arc<Stream>> {
        let found = self.streams.iter().find(|stream| stream.stream == name);
        found.cloned().ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Error {
        let names: Vec<&str> = self.streams.iter().map(|stream| stream.stream.as_str()).collect();
        let remedy = match nearest(name, &names) {
            Some(known) => format!("did you mean {known:?}?"),
            None => format!("the streams are {}", names.join(", ")),
        };
        Error::input(format!("unknown stream {name:?}; {remedy}"))
    }
}

fn parse(name: &str, text: &str) -> Result<Arc<Stream>> {
    let place = || format!("schemas/{name}.json");
    let stream: Stream =
        serde_json::from_str(text).map_err(|e| Error::internal(format!("cannot read {}", place())).caused_by(e))?;
    match fault(&stream, name) {
        None => Ok(Arc::new(stream)),
        Some(fault) => Err(Error::internal(format!("{}: {fault}", place()))),
    }
}

/// The first contradiction in a definition.
fn fault(stream: &Stream, name: &str) -> Option<String> {
    let known = |column: &String| stream.column(column).is_some();
    let time_of = |column: &Column| column.kind == ColumnType::Time;
    if stream.stream != name {
        return Some(format!("the stream is called {:?}", stream.stream));
    }
    if !stream.order.iter().all(known) {
        return Some("order names an unknown column".into());
    }
    if stream.order.last() != Some(&stream.key) {
        return Some("order must end with the key".into());
    }
    if stream.column(&stream.key).is_none_or(|key| key.nullable) {
        return Some("the key must not be nullable".into());
    }
    if let Partition::Day { column } = &stream.partition
        && (!stream.column(column).is_some_and(time_of) || stream.order.first() != Some(column))
    {
        return Some("the partition column must be a time and the first of the order".into());
    }
    if stream.columns.last().map(|column| column.kind) != Some(ColumnType::Extra) {
        return Some("the last column must be _extra".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    #[test]
    fn every_definition_loads() {
        let catalog = Catalog::load().unwrap();
        assert_eq!(catalog.streams().len(), FILES.len());
        for stream in catalog.streams() {
            assert_eq!(stream.columns.last().unwrap().name, "_extra");
        }
    }

    #[test]
    fn the_core_streams_come_first() {
        let catalog = Catalog::load().unwrap();
        let core: Vec<&str> = catalog.core().map(|stream| stream.stream.as_str()).collect();
        let first = catalog.streams().iter().take(core.len());
        assert_eq!(core, first.map(|stream| stream.stream.as_str()).collect::<Vec<_>>());
        assert_eq!(
            core,
            [
                "activities",
                "customers",
                "transactional_messages",
                "transactional_metrics",
                "transactional_message_details"
            ]
        );
    }

    #[test]
    fn what_is_not_core_is_a_list_that_nobody_else_asks() {
        let catalog = Catalog::load().unwrap();
        for stream in catalog.streams().iter().filter(|stream| !stream.core) {
            let name = &stream.stream;
            assert_eq!(
                (&stream.sync, &stream.partition),
                (&Shape::List, &Partition::None),
                "{name}"
            );
            assert_eq!(stream.fetch.path, format!("/v1/{name}"));
            assert_eq!(stream.order, std::slice::from_ref(&stream.key), "{name}");
            let mut others = catalog.streams().iter();
            assert!(others.all(|other| other.fetch.each.as_ref() != Some(name)), "{name}");
        }
    }

    #[test]
    fn a_misspelt_stream_gets_the_nearest_name() {
        let error = Catalog::load().unwrap().get("activites").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown stream \"activites\"; did you mean \"activities\"?"
        );
    }
}
