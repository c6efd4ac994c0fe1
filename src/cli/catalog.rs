//! `catalog`: the tables of a lake as their manifests describe them; no data is read.

mod entry;
mod strip;
mod text;

use jiff::Timestamp;

use super::args::CatalogArgs;
use super::config::Config;
use super::{out, place, timing};
use crate::error::{Error, Result, nearest};
use crate::manifest::{Version, newest, tables};
use crate::storage::{Destination, Storage};

/// Prints the tables of the lake.
///
/// # Errors
/// Input, for a table that the lake does not hold; Storage, when it cannot be read.
pub async fn run(args: CatalogArgs) -> Result<u8> {
    let config = args.place.config.read()?;
    let to = args.place.to.as_deref();
    let storage = Storage::open_existing(&place::destination(to, &config)?).await?;
    let (versions, unread) = read(&storage, &args.tables).await?;
    let next = next_trigger(&config, to, Timestamp::now())?;
    if args.json {
        let entries = entry::entries(&versions, next);
        let text = serde_json::to_string_pretty(&entries);
        out::line(&text.map_err(|e| Error::internal("cannot write JSON").caused_by(e))?)?;
    } else if versions.is_empty() && unread.is_empty() {
        out::line(&format!(
            "{storage} holds no table yet; `cio2parquet export --to {storage}` makes them"
        ))?;
    } else {
        out::print(&text::text(&versions, next))?;
    }
    let mut unread = unread.into_iter();
    unread
        .next()
        .map_or(Ok(0), |first| Err(first.and(unread.map(|error| error.chain()))))
}

/// The newest version of each table, or of each that is `named`, and what is in the way of others: one damaged table hides no other.
async fn read(storage: &Storage, named: &[String]) -> Result<(Vec<Version>, Vec<Error>)> {
    let there = tables(storage).await?;
    if let Some(name) = named.iter().find(|name| !there.contains(name)) {
        return Err(unknown(storage, name, &there));
    }
    let (mut versions, mut unread) = (Vec::new(), Vec::new());
    for table in there.iter().filter(|table| named.is_empty() || named.contains(table)) {
        let version = match newest(storage, table).await {
            Ok(version) => version,
            Err(error) => {
                unread.push(error);
                continue;
            }
        };
        // Who asks for one by name is told where it is.
        versions.extend(version.filter(|version| version.state.moved_to.is_none() || !named.is_empty()));
    }
    Ok((versions, unread))
}

/// When a schedule makes the next run after `now`; a file that is about another lake than `to` knows nothing of it.
fn next_trigger(config: &Config, to: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>> {
    if let Some((asked, said)) = to.zip(config.to.as_deref())
        && !Destination::new(asked).is_where(&Destination::new(said))
    {
        return Ok(None);
    }
    Ok(timing::trigger(config)?.and_then(|trigger| trigger.next(now)))
}

fn unknown(storage: &Storage, name: &str, there: &[String]) -> Error {
    let remedy = match (nearest(name, there), there) {
        (Some(known), _) => format!("did you mean {known:?}?"),
        (None, []) => "it holds none; look at --to".to_owned(),
        (None, there) => format!("its tables are {}", there.join(", ")),
    };
    Error::input(format!("{storage} holds no table {name:?}; {remedy}"))
}

/// A size as people read it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
