//! `streams`: what can be exported, for the terminal, as JSON and as the page `docs/streams.md`.

use std::fmt::Write;
use std::io::IsTerminal;

use super::args::StreamsArgs;
use super::out;
use super::wrap::wrap;
use crate::error::{Error, Result};
use crate::stream::{Catalog, Column, ColumnType, Method, Partition, Shape, Stream};

/// When a stream that is not core is exported.
const WHEN_NAMED: &str = "only when named, as an argument or by a section of the config file";

/// Where what is carried over begins at the latest: beside a long name there is no room for words.
const HANGING: usize = 40;

/// Prints what was asked for.
///
/// # Errors
/// Input, when the stream is unknown.
pub fn run(args: &StreamsArgs) -> Result<u8> {
    let catalog = Catalog::load()?;
    let text = match (&args.stream, args.json, args.markdown) {
        (_, _, true) => markdown(&catalog),
        (Some(name), true, _) => json(&[catalog.get(name)?.as_ref()])?,
        (None, true, _) => json(&catalog.streams().iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
        (Some(name), ..) => columns(catalog.get(name)?.as_ref()),
        (None, ..) => list(&catalog),
    };
    out::print(&text)?;
    Ok(0)
}

fn list(catalog: &Catalog) -> String {
    let mut out = String::new();
    for stream in catalog.core() {
        line(&mut out, stream);
    }
    let _ = writeln!(out, "\nExported {WHEN_NAMED}:");
    for stream in catalog.streams().iter().filter(|stream| !stream.core) {
        line(&mut out, stream);
    }
    out.push_str("\n`cio2parquet streams STREAM` shows the columns of one.\n");
    out
}

fn line(out: &mut String, stream: &Stream) {
    let first = format!("{:<30} ", stream.stream);
    put(out, &first, &" ".repeat(first.len()), brief(&stream.doc));
}

/// Writes `text` behind `first`: on a terminal in as many lines as it takes, elsewhere in one, which other programs find whole.
fn put(out: &mut String, first: &str, rest: &str, text: &str) {
    if std::io::stdout().is_terminal() {
        wrap(out, first, rest, text);
    } else {
        let _ = writeln!(out, "{first}{text}");
    }
}

fn columns(stream: &Stream) -> String {
    let mut out = format!("{}\n", stream.stream);
    put(&mut out, "", "", &stream.doc);
    out.push('\n');
    if !stream.core {
        let _ = writeln!(out, "exported   {WHEN_NAMED}");
    }
    let _ = writeln!(out, "endpoint   {} {}", method(stream), stream.fetch.path);
    let _ = writeln!(out, "key        {}", stream.key);
    let _ = writeln!(out, "partition  {}", partition(stream));
    let _ = writeln!(out, "sorted by  {}\n", stream.order.join(", "));
    let mut rows = Vec::new();
    flatten(&stream.columns, "", &mut rows);
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, kind, doc) in rows {
        let first = format!("{name:<width$}  {kind:<19}  ");
        put(&mut out, &first, &" ".repeat(first.len().min(HANGING)), doc);
    }
    out
}

/// The page `docs/streams.md`.
pub fn markdown(catalog: &Catalog) -> String {
    let mut out = String::from(
        "# The streams\n\nMade by `cio2parquet streams --markdown` from `schemas/`; edit those files, not this one.\n\
         Every column may be null except the key. `timestamp` is `timestamp[us, UTC]`.\n",
    );
    for stream in catalog.streams() {
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\n{}- Endpoint: `{} {}`\n- Key: `{}`\n- Partition: {}\n- Sorted by: {}\n- Reads: {}\n\n| column | type | meaning |\n| --- | --- | --- |\n",
            stream.stream,
            stream.doc,
            match stream.core {
                true => String::new(),
                false => format!("- Exported: {WHEN_NAMED}\n"),
            },
            method(stream),
            stream.fetch.path,
            stream.key,
            partition(stream),
            stream
                .order
                .iter()
                .map(|column| format!("`{column}`"))
                .collect::<Vec<_>>()
                .join(", "),
            reads(stream.sync),
        );
        let mut rows = Vec::new();
        flatten(&stream.columns, "", &mut rows);
        for (name, kind, doc) in rows {
            let _ = writeln!(out, "| `{name}` | {kind} | {doc} |");
        }
    }
    out
}

fn json(streams: &[&Stream]) -> Result<String> {
    let entries: Vec<serde_json::Value> = streams.iter().map(|stream| entry(stream)).collect();
    let text = serde_json::to_string_pretty(&entries);
    text.map(|text| text + "\n")
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))
}

fn entry(stream: &Stream) -> serde_json::Value {
    let mut rows = Vec::new();
    flatten(&stream.columns, "", &mut rows);
    let columns: Vec<_> = rows
        .iter()
        .map(|(name, kind, doc)| serde_json::json!({"name": name, "type": kind, "doc": doc}))
        .collect();
    serde_json::json!({
        "stream": stream.stream,
        "doc": stream.doc,
        "core": stream.core,
        "version": stream.version,
        "endpoint": stream.fetch.path,
        "key": stream.key,
        "partition": partition(stream),
        "sorted_by": stream.order,
        "columns": columns,
    })
}

fn flatten<'a>(columns: &'a [Column], prefix: &str, out: &mut Vec<(String, &'static str, &'a str)>) {
    for column in columns {
        let name = format!("{prefix}{}", column.name);
        out.push((name.clone(), type_name(column.kind), &column.doc));
        flatten(&column.fields, &format!("{name}."), out);
    }
}

fn method(stream: &Stream) -> &'static str {
    match stream.fetch.method {
        Method::Get => "GET",
        Method::Post => "POST",
    }
}

fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "string",
        ColumnType::Json | ColumnType::Extra => "string (JSON)",
        ColumnType::Integer => "int64",
        ColumnType::Boolean => "boolean",
        ColumnType::Time => "timestamp",
        ColumnType::Integers => "list<int64>",
        ColumnType::Struct => "struct",
    }
}

fn partition(stream: &Stream) -> String {
    match &stream.partition {
        Partition::None => "none".to_owned(),
        Partition::Day { column } => format!("date = UTC day of {column}"),
        Partition::RunDay => "date = UTC day of the run".to_owned(),
    }
}

fn reads(shape: Shape) -> String {
    match shape {
        Shape::List => "the whole list, each time".to_owned(),
        Shape::Snapshot => "the present values, each time".to_owned(),
        Shape::Scan {
            lookback_days,
            retention_days,
        } => format!(
            "newest first, back to {lookback_days} days before the mark; the API promises the last {retention_days} days"
        ),
        Shape::Windows {
            lookback_days,
            first_days,
            ..
        } => format!(
            "windows never covered, then again from {lookback_days} days before the mark; the first run takes {first_days} days"
        ),
    }
}

/// What one row is, without the explanation.
fn brief(text: &str) -> &str {
    let end = text.find([':', '.']).unwrap_or(text.len());
    &text[..end]
}
