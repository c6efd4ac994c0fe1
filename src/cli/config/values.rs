//! What texts mean: spans, names, places, time zones and triggers. A mistake names its key and the remedy, never the text itself.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::file::{Config, StreamConfig};
use super::mistake::Mistake;
use super::text::Text;
use crate::cli::parse;
use crate::error::Error;
use crate::plan::{Trigger, time_zone};
use crate::storage::Destination;
use crate::storage::layout::{LONGEST_NAME, validate_prefix, validate_table_name};

/// A description is shown on one line.
const DESCRIPTION_LENGTH: usize = 140;

const NAMES: &str = "begin with a letter or a digit, go on with letters, digits, `_` and `-`, 128 of them at most";

/// All that is wrong with the values of `config`.
pub fn mistakes(config: &Config) -> Vec<Mistake> {
    let mut found = Vec::new();
    found.extend(config.description.as_ref().and_then(description));
    found.extend(config.to.as_ref().and_then(place));
    found.extend(config.storage.endpoint.as_ref().and_then(endpoint));
    found.extend(config.prefix.as_ref().and_then(prefix));
    let zone = config.timezone.as_ref();
    found.extend(zone.and_then(timezone));
    // A trigger is judged by itself where its time zone is wrong.
    let zone = zone.filter(|zone| time_zone(zone).is_ok()).map_or("UTC", |zone| zone);
    found.extend(config.trigger.as_ref().and_then(|text| trigger("trigger", text, zone)));
    found.extend(
        config
            .full_sync
            .as_ref()
            .and_then(|text| trigger("full_sync", text, zone)),
    );
    found.extend(config.streams.values().flat_map(of_stream));
    found.extend(tables(config));
    found
}

fn of_stream(stream: &StreamConfig) -> Vec<Mistake> {
    let since = stream.since.as_ref().and_then(since);
    let lookback = stream.lookback.as_ref().and_then(lookback);
    let table = stream.table.as_ref().and_then(table);
    [table, since, lookback].into_iter().flatten().collect()
}

fn description(text: &Text) -> Option<Mistake> {
    let length = text.chars().count();
    if length > DESCRIPTION_LENGTH {
        let what = format!("\"description\" has {length} characters; shorten it to {DESCRIPTION_LENGTH}");
        return Some(Mistake::new(text.span(), what));
    }
    let breaks = text.contains(char::is_control);
    breaks.then(|| {
        Mistake::new(
            text.span(),
            "\"description\" is shown on one line; leave line breaks and the like out",
        )
    })
}

fn place(text: &Text) -> Option<Mistake> {
    let what = match secret_in(text) {
        Some(secret) => format!("\"to\" holds {secret}; keys of a store belong in its own variables, such as AWS_ACCESS_KEY_ID"),
        None if Destination::new(text).check().is_err() => {
            "\"to\" names no lake; write a folder, or a URL such as file:///PATH, s3://BUCKET/PATH, gs://BUCKET/PATH or az://CONTAINER/PATH"
                .to_owned()
        }
        None => return None,
    };
    Some(Mistake::new(text.span(), what))
}

fn endpoint(text: &Text) -> Option<Mistake> {
    let endpoint = Destination {
        endpoint: Some((**text).to_owned()),
        ..Destination::new(".")
    };
    let what = match secret_in(text) {
        Some(secret) => format!(
            "\"endpoint\" holds {secret}; keys of a store belong in its own variables, such as AWS_ACCESS_KEY_ID"
        ),
        None if endpoint.check().is_err() => {
            "\"endpoint\" is no address of a store; write https://HOST (plain http is only for this machine)".to_owned()
        }
        None => return None,
    };
    Some(Mistake::new(text.span(), what))
}

/// What a URL holds beside host and path: a user before an `@`, a signature after a `?`.
fn secret_in(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("://")?;
    if rest.split('/').next().is_some_and(|host| host.contains('@')) {
        return Some("a user or a password");
    }
    rest.contains(['?', '#']).then_some("a query, which may be a signature")
}

fn prefix(text: &Text) -> Option<Mistake> {
    let wrong = validate_prefix(text).is_err();
    wrong.then(|| {
        Mistake::new(
            text.span(),
            format!("\"prefix\" would make no table name: names {NAMES}"),
        )
    })
}

fn table(text: &Text) -> Option<Mistake> {
    let wrong = validate_table_name(text).is_err();
    wrong.then(|| Mistake::new(text.span(), format!("\"table\" is no table name: names {NAMES}")))
}

fn since(text: &Text) -> Option<Mistake> {
    // Whether it is understood does not depend on the day of reading.
    let wrong = parse::instant("since", text, Timestamp::UNIX_EPOCH).is_err();
    wrong.then(|| {
        let remedy = "write a date (2026-01-31), an instant (2026-01-31T08:00:00Z) or how long ago (90d)";
        Mistake::new(text.span(), format!("\"since\" is no time; {remedy}"))
    })
}

fn lookback(text: &Text) -> Option<Mistake> {
    let wrong = parse::span("lookback", text).is_err();
    wrong.then(|| {
        Mistake::new(
            text.span(),
            "\"lookback\" is no span of time; write for example 30d, 4h, 90m or 45s",
        )
    })
}

fn timezone(text: &Text) -> Option<Mistake> {
    let error = time_zone(text).err()?;
    Some(Mistake::new(
        text.span(),
        format!("\"timezone\" is {}", without(text, &error)?),
    ))
}

fn trigger(key: &str, text: &Text, zone: &str) -> Option<Mistake> {
    let error = Trigger::parse(text, zone).err()?;
    // A part of the text is repeated only where it looks like what it should be.
    let like_one = text
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" */,-@#?".contains(&byte));
    let what = without(text, &error).filter(|_| like_one && text.len() <= 64);
    let what = what.unwrap_or_else(|| {
        "no trigger; write minute, hour, day, month and weekday, for example \"0 3 * * *\" for every night at three"
            .to_owned()
    });
    Some(Mistake::new(text.span(), format!("{key:?} is {what}")))
}

/// The message of `error` without the text that it begins with.
fn without(text: &str, error: &Error) -> Option<String> {
    let message = error.to_string();
    message.strip_prefix(&format!("{text:?} is ")).map(str::to_owned)
}

/// Two streams must not share a table, also not on a file system that does not tell capitals apart; nor may the prefix make a name too long.
fn tables(config: &Config) -> Vec<Mistake> {
    let prefix = config.prefix.as_deref().unwrap_or("");
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (stream, said) in &config.streams {
        let table = format!("{prefix}{}", said.table.as_deref().unwrap_or(stream));
        let place = said.table.as_ref().or(config.prefix.as_ref()).map_or(0..0, Text::span);
        let parts = [prefix, &table[prefix.len()..]];
        let too_long = parts.iter().all(|part| part.len() <= LONGEST_NAME) && table.len() > LONGEST_NAME;
        if too_long {
            let what = format!(
                "the table of {stream:?} has {} characters with its prefix; shorten it to {LONGEST_NAME}",
                table.len()
            );
            found.push(Mistake::new(place.clone(), what));
        }
        if let Some(other) = seen.insert(table.to_lowercase(), stream) {
            let what =
                format!("streams {other:?} and {stream:?} would share a table; give one of them another \"table\"");
            found.push(Mistake::new(place, what));
        }
    }
    found
}
