//! `sql`: what another engine is told so that it finds the tables of a lake.

mod duckdb;
mod polars;
mod quote;
mod spark;

use super::args::{Engine, SqlArgs};
use super::out;
use crate::error::{Error, Result};
use crate::manifest::{TableState, newest, tables};
use crate::storage::layout::partition_date;
use crate::storage::{Address, Storage};
use crate::stream::{Catalog, ColumnType, Context, Shape, Stream};

/// A lake, as statements name it.
struct Lake {
    /// As a person would write it, on one line.
    shown: String,
    address: Address,
    tables: Vec<Table>,
}

/// One table of it.
struct Table {
    name: String,
    content: Content,
    snapshots: Option<Snapshots>,
}

/// What lies in a table's folder.
enum Content {
    /// Nothing yet, which engines take for a mistake.
    Nothing,
    /// One object; its path in the lake.
    Object(String),
    /// An object for each day.
    Days {
        /// A file with all columns that any file has, where not all files have the same; its path in the lake.
        widest: Option<String>,
    },
}

/// The columns of a table that holds what was counted until each day of export.
struct Snapshots {
    key: String,
    period: String,
    steps: String,
    requested_at: String,
    /// Lists with an integer a bucket, the oldest first.
    series: Vec<String>,
}

/// Prints the statements.
///
/// # Errors
/// Input, for a place that holds no table; Storage, when the lake cannot be read.
pub async fn run(args: SqlArgs) -> Result<u8> {
    let destination = args.place.destination()?;
    let storage = Storage::open_existing(&destination).await?;
    let tables = described(&storage).await?;
    if tables.is_empty() {
        return Err(Error::input(format!(
            "{storage} holds no table, so there is nothing to query; look at --to"
        )));
    }
    let lake = Lake {
        shown: quote::line(&storage.to_string()),
        address: destination.address().await?,
        tables,
    };
    out::print(&match args.engine {
        Engine::Duckdb => duckdb::statements(&lake)?,
        Engine::Spark => spark::statements(&lake)?,
        Engine::Polars => polars::statements(&lake)?,
    })?;
    Ok(0)
}

async fn described(storage: &Storage) -> Result<Vec<Table>> {
    let catalog = Catalog::load()?;
    let names = tables(storage).await?;
    let mut found = Vec::new();
    for name in &names {
        let version = newest(storage, name).await?;
        if let Some(version) = version.filter(|version| version.state.moved_to.is_none()) {
            found.push(table(version.state, &catalog, &names));
        }
    }
    Ok(found)
}

fn table(state: TableState, catalog: &Catalog, names: &[String]) -> Table {
    let content = content(&state);
    let stream = state.stream_of(catalog);
    // What is derived names columns, so the files must be known to have them.
    let stream = stream.filter(|stream| matches!(content, Content::Days { .. }) && is_of(&state, stream));
    let derived = ["latest", "daily"].map(|what| derived(&state.table, what).to_lowercase());
    let free = !names.iter().any(|name| derived.contains(&name.to_lowercase()));
    Table {
        name: state.table,
        content,
        snapshots: stream.filter(|_| free).and_then(|stream| snapshots(&stream)),
    }
}

fn content(state: &TableState) -> Content {
    let files = &state.partitions;
    let widest = files.iter().max_by_key(|(name, file)| (file.schema, *name));
    match widest {
        None => Content::Nothing,
        Some((name, _)) if partition_date(name).is_none() => Content::Object(format!("{}/{name}", state.table)),
        Some((name, widest)) => Content::Days {
            widest: files
                .values()
                .any(|file| file.schema != widest.schema)
                .then(|| format!("{}/{name}", state.table)),
        },
    }
}

fn is_of(state: &TableState, stream: &Stream) -> bool {
    state.partitions.values().any(|file| file.schema == stream.version)
        && state.schema.fingerprint == stream.fingerprint()
}

fn snapshots(stream: &Stream) -> Option<Snapshots> {
    if stream.sync != Shape::Snapshot {
        return None;
    }
    let column = |context| {
        let mut columns = stream.columns.iter();
        let found = columns.find(|column| column.context == Some(context))?;
        Some(found.name.clone())
    };
    let series = stream
        .columns
        .iter()
        .filter(|column| column.kind == ColumnType::Integers);
    Some(Snapshots {
        key: stream.key.clone(),
        period: column(Context::Period)?,
        steps: column(Context::Steps)?,
        requested_at: column(Context::RequestedAt)?,
        series: series.map(|column| column.name.clone()).collect(),
    })
}

/// The name of a view that is made from a table.
fn derived(table: &str, what: &str) -> String {
    format!("{table}_{what}")
}

/// Where a path of the lake is, below `root`, which may end with a slash or be the whole of a bucket.
fn below(root: &str, path: &str) -> String {
    format!("{}/{path}", root.trim_end_matches('/'))
}

impl Address {
    /// The lake as a URL with its own scheme, or as a path.
    fn root(&self) -> Result<String> {
        Ok(match self {
            Self::Folder(folder) => {
                let text = folder.to_str().map(str::to_owned);
                text.ok_or_else(|| {
                    Error::input(format!(
                        "the folder {} has no name that a statement could hold; give it one in UTF-8",
                        folder.display()
                    ))
                })?
            }
            Self::S3(place) => below(&format!("s3://{}", place.bucket), &place.path),
            Self::Gcs(place) => below(&format!("gs://{}", place.bucket), &place.path),
            Self::Azure(place) => below(&format!("az://{}", place.container), &place.path),
        })
    }
}
