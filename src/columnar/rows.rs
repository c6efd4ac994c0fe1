//! The rows of a page: where they are on the tape, and which of them can stand in the table.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_json::reader::{Tape, TapeElement};

use super::column::Columns;
use super::extra::extra_column;
use super::json_text::{as_kept, as_served};
use super::layout::Layout;
use super::notes::Notes;
use super::page::{DecodedPage, PageContext, PageError, RejectedRow};
use super::value::{Reading, after, fields, object, text};
use crate::stream::Stream;

/// Everything about the table that decoding needs.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) stream: Arc<Stream>,
    pub(super) schema: SchemaRef,
    pub(super) layout: Layout,
}

/// Reads the page at `pos`: its rows and its cursor.
pub(super) fn read_page(
    table: &Table,
    context: &PageContext,
    tape: &Tape<'_>,
    pos: u32,
) -> Result<DecodedPage, PageError> {
    let Reading::Value(end) = object(tape, pos) else {
        return Err(PageError::NotJson("it is another kind of value".into()));
    };
    let next = match last_field(tape, pos, end, "next").map(|pos| text(tape, pos)) {
        None | Some(Reading::Null) => None,
        Some(Reading::Value(cursor)) => Some(cursor).filter(|cursor| !cursor.is_empty()).map(str::to_owned),
        // Taken for the last page it would end the stream too early.
        Some(Reading::Misfit) => return Err(PageError::MissingRows("/next".into())),
    };
    let found = find_rows(&table.stream.fetch.rows, tape, pos)?;
    let page = decode_rows(table, context, tape, &found)?;
    Ok(DecodedPage { next, ..page })
}

/// Reads the row at `pos`, which stands by itself.
pub(super) fn read_row(
    table: &Table,
    context: &PageContext,
    tape: &Tape<'_>,
    pos: u32,
) -> Result<DecodedPage, PageError> {
    let found = Found {
        pointer: String::new(),
        single: true,
        rows: vec![pos],
    };
    decode_rows(table, context, tape, &found)
}

/// The rows of a page on the tape.
struct Found {
    /// The pointer to the array, or to the one row.
    pointer: String,
    single: bool,
    rows: Vec<u32>,
}

impl Found {
    fn pointer_to(&self, row: usize) -> String {
        if self.single {
            self.pointer.clone()
        } else {
            format!("{}/{row}", self.pointer)
        }
    }
}

fn find_rows(path: &[String], tape: &Tape<'_>, page: u32) -> Result<Found, PageError> {
    let (mut pos, mut pointer) = (page, String::new());
    for name in path {
        pointer.push('/');
        pointer.push_str(name);
        let inside = object(tape, pos)
            .value()
            .and_then(|end| last_field(tape, pos, end, name));
        pos = inside.ok_or_else(|| PageError::MissingRows(pointer.clone()))?;
    }
    match tape.get(pos) {
        TapeElement::StartList(end) => Ok(Found {
            pointer,
            single: false,
            rows: elements(tape, pos, end),
        }),
        TapeElement::StartObject(_) => Ok(Found {
            pointer,
            single: true,
            rows: vec![pos],
        }),
        TapeElement::Null => Ok(Found {
            pointer,
            single: false,
            rows: Vec::new(),
        }),
        _ => Err(PageError::MissingRows(pointer)),
    }
}

fn last_field(tape: &Tape<'_>, pos: u32, end: u32, name: &str) -> Option<u32> {
    fields(tape, pos, end)
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value)
        .last()
}

fn elements(tape: &Tape<'_>, start: u32, end: u32) -> Vec<u32> {
    let mut rows = Vec::new();
    let mut pos = start + 1;
    while pos < end {
        rows.push(pos);
        pos = after(tape, pos);
    }
    rows
}

fn decode_rows(table: &Table, context: &PageContext, tape: &Tape<'_>, found: &Found) -> Result<DecodedPage, PageError> {
    let mut columns = Columns {
        tape,
        context,
        notes: Notes::default(),
    };
    let objects: Vec<_> = found
        .rows
        .iter()
        .map(|&pos| Some((pos, object(tape, pos).value()?)))
        .collect();
    for (row, _) in objects.iter().enumerate().filter(|(_, object)| object.is_none()) {
        columns.notes.reject(row, || "it is not an object".into());
    }
    let mut arrays = columns.decode(&table.layout, table.schema.fields(), &objects);
    let mut notes = columns.notes;
    require(table, &arrays, &mut notes);
    let (extra, drift) = extra_column(tape, &table.layout, table.stream.drops_extra, &objects, &mut notes);
    if let Some(last) = arrays.last_mut() {
        *last = extra;
    }
    // A batch that contradicts its own schema is no property of the page, but the page is the place where it shows.
    let rows = batch(table, arrays, &notes.rejected, found.rows.len())
        .map_err(|error| PageError::NotJson(format!("its rows do not make a table: {error}")))?;
    let reject = |(row, reason): (usize, String)| RejectedRow {
        pointer: found.pointer_to(row),
        reason,
        json: set_aside(&table.stream, tape, found.rows[row]),
    };
    let rejected = notes.rejected.into_iter().map(reject).collect();
    Ok(DecodedPage {
        rows,
        next: None,
        rejected,
        drift,
        served: found.rows.len(),
    })
}

/// The text of a row that is set aside.
fn set_aside(stream: &Stream, tape: &Tape<'_>, row: u32) -> String {
    if stream.is_as_served() {
        return as_served(tape, row);
    }
    match tape.get(row) {
        TapeElement::StartObject(_) if !stream.drops_extra => as_kept(tape, row, &stream.kept),
        // Without names nobody can tell what it holds, nor what of it would be left out with `_extra`.
        _ => withheld(stream, as_served(tape, row).as_bytes()),
    }
}

/// In the place of a row that cannot be taken apart, in a table that not everything may get into; one for each such row.
pub(super) fn withheld(stream: &Stream, row: &[u8]) -> String {
    format!(r#"{{"withheld":"{}"}}"#, stream.digest(row))
}

/// Sets aside the rows without a key, or without the time that decides their partition.
fn require(table: &Table, arrays: &[ArrayRef], notes: &mut Notes) {
    let required = std::iter::once(table.stream.key.as_str()).chain(table.stream.time_column());
    for name in required {
        let Some(array) = table.stream.position(name).and_then(|at| arrays.get(at)) else {
            continue;
        };
        if array.null_count() == 0 {
            continue;
        }
        for row in (0..array.len()).filter(|&row| array.is_null(row)) {
            notes.reject(row, || format!("its {name} is missing or does not fit"));
        }
    }
}

fn batch(
    table: &Table,
    arrays: Vec<ArrayRef>,
    rejected: &BTreeMap<usize, String>,
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let arrays = if rejected.is_empty() {
        arrays
    } else {
        let stays: BooleanArray = (0..rows).map(|row| Some(!rejected.contains_key(&row))).collect();
        arrays
            .iter()
            .map(|array| filter(array, &stays))
            .collect::<Result<_, _>>()?
    };
    RecordBatch::try_new(Arc::clone(&table.schema), arrays)
}
