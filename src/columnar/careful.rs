//! The careful path: a body that the parser refuses as a whole is cut into rows, and each row is tried by itself.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use arrow::compute::concat_batches;
use serde_json::Value;
use serde_json::value::RawValue;

use super::decode::{Body, PageDecoder};
use super::page::{DecodedPage, Drift, DriftKind, PageContext, PageError, RejectedRow};
use super::rows::withheld;
use crate::stream::Stream;

impl PageDecoder {
    /// Decodes a body that [`decode`](Self::decode) refuses: rows that cannot be read are rejected with their bytes, the others stay.
    ///
    /// # Errors
    /// When not even the places where rows begin and end can be made out.
    pub fn decode_carefully(&self, page: &[u8], context: &PageContext) -> Result<DecodedPage, PageError> {
        let outline = outline(page);
        let Parts { next, places } = self.cut(&outline, page)?;
        let mut notes = RowNotes::default();
        let mut batches = Vec::new();
        let served = places.len();
        for (pointer, range) in places {
            let bytes = page.get(range).unwrap_or_default();
            match self.read(bytes, context, Body::Row) {
                Ok(row) => {
                    notes.add(&pointer, row.rejected, row.drift);
                    batches.push(row.rows);
                }
                Err(error) => notes
                    .rejected
                    .push(unreadable(&self.table.stream, pointer, bytes, error)),
            }
        }
        let rows = concat_batches(&self.table.schema, &batches);
        Ok(DecodedPage {
            rows: rows.map_err(|error| PageError::NotJson(error.to_string()))?,
            next,
            drift: notes.drift(),
            rejected: notes.rejected,
            served,
        })
    }

    /// What is wrong with a body that fails to parse because of `fault`: its rows if it can be cut into rows, else all of it.
    pub(super) fn blame(&self, page: &[u8], fault: String) -> PageError {
        match self.cut(&outline(page), page) {
            Ok(_) => PageError::Rows(fault),
            Err(_) => PageError::NotJson(fault),
        }
    }

    fn cut(&self, outline: &str, page: &[u8]) -> Result<Parts, PageError> {
        let cut = Cut::new(outline, &self.table.stream.fetch.rows)?;
        let (next, places) = (cut.next(page)?, cut.rows()?);
        Ok(Parts { next, places })
    }
}

/// A body cut into rows.
struct Parts {
    next: Option<String>,
    /// The pointer and the place of each row.
    places: Vec<(String, Range<usize>)>,
}

/// The body with the same structure at the same places, in plain ASCII: whatever only strings may hold is covered.
fn outline(page: &[u8]) -> String {
    let cover = |&byte: &u8| match byte {
        b'\n' | b'\r' | b'\t' => ' ',
        0x20..0x7f => char::from(byte),
        _ => '?',
    };
    page.iter().map(cover).collect()
}

fn unreadable(stream: &Stream, pointer: String, bytes: &[u8], error: PageError) -> RejectedRow {
    let reason = match error {
        PageError::NotJson(fault) | PageError::Rows(fault) => format!("it cannot be read: {fault}"),
        other => other.to_string(),
    };
    let json = if stream.is_as_served() {
        String::from_utf8_lossy(bytes).into_owned()
    } else {
        withheld(stream, bytes)
    };
    RejectedRow { pointer, reason, json }
}

/// Where the rows and the cursor stand in the outline.
struct Cut<'a> {
    outline: &'a str,
    next: Option<&'a RawValue>,
    rows: &'a RawValue,
    pointer: String,
}

impl<'a> Cut<'a> {
    fn new(outline: &'a str, path: &[String]) -> Result<Self, PageError> {
        let whole: &RawValue = serde_json::from_str(outline).map_err(|error| PageError::NotJson(error.to_string()))?;
        let next = object(whole).and_then(|page| page.get("next").copied());
        let (mut rows, mut pointer) = (whole, String::new());
        for name in path {
            pointer.push('/');
            pointer.push_str(name);
            let inside = object(rows).and_then(|object| object.get(name).copied());
            rows = inside.ok_or_else(|| PageError::MissingRows(pointer.clone()))?;
        }
        Ok(Self {
            outline,
            next,
            rows,
            pointer,
        })
    }

    fn next(&self, page: &[u8]) -> Result<Option<String>, PageError> {
        let Some(raw) = self.next else { return Ok(None) };
        let bytes = page.get(self.place(raw)).unwrap_or_default();
        match serde_json::from_slice(bytes) {
            Ok(Value::Null) => Ok(None),
            Ok(Value::String(cursor)) => Ok(Some(cursor).filter(|cursor| !cursor.is_empty())),
            // As it is written: a number may have more digits than any type.
            Ok(Value::Number(_)) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
            _ => Err(PageError::MissingRows("/next".into())),
        }
    }

    /// The pointer and the place of each row.
    fn rows(&self) -> Result<Vec<(String, Range<usize>)>, PageError> {
        if self.rows.get().starts_with('{') {
            return Ok(vec![(self.pointer.clone(), self.place(self.rows))]);
        }
        let rows: Option<Vec<&RawValue>> =
            serde_json::from_str(self.rows.get()).map_err(|_| PageError::MissingRows(self.pointer.clone()))?;
        let rows = rows.unwrap_or_default().into_iter().enumerate();
        let placed = rows.map(|(index, row)| (format!("{}/{index}", self.pointer), self.place(row)));
        Ok(placed.collect())
    }

    /// Where a part of the outline stands, and with it the bytes that it covers.
    fn place(&self, part: &RawValue) -> Range<usize> {
        let start = part.get().as_ptr().addr() - self.outline.as_ptr().addr();
        start..start + part.get().len()
    }
}

fn object(value: &RawValue) -> Option<HashMap<String, &RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// What the rows amount to together.
#[derive(Default)]
struct RowNotes {
    rejected: Vec<RejectedRow>,
    drift: BTreeMap<(String, DriftKind), u64>,
}

impl RowNotes {
    fn add(&mut self, pointer: &str, rejected: Vec<RejectedRow>, drift: Vec<Drift>) {
        let located = |row| RejectedRow {
            pointer: pointer.to_owned(),
            ..row
        };
        self.rejected.extend(rejected.into_iter().map(located));
        for Drift { path, kind, count } in drift {
            *self.drift.entry((path, kind)).or_default() += count;
        }
    }

    fn drift(&self) -> Vec<Drift> {
        let told = self.drift.iter();
        told.map(|((path, kind), &count)| Drift {
            path: path.clone(),
            kind: *kind,
            count,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, decoder, drift, row, show};
    use super::*;

    #[test]
    fn only_the_rows_that_cannot_be_read_are_set_aside() {
        let rows = [
            row(r#""name":"caf\u00e9","new":1"#).into_bytes(),
            row(r#""name":"\ud800x""#).into_bytes(),
            b"{\"id\":\"\xff\"}".to_vec(),
            b"null".to_vec(),
            row("\"name\":\"\u{1F600}\",\"new\":2").into_bytes(),
        ];
        let page = [
            br#"{"rows":["#,
            rows.join(&b',').as_slice(),
            "],\"next\":\"é\"}".as_bytes(),
        ]
        .concat();
        assert!(decoder().decode(&page, &context()).is_err());

        let decoded = decoder().decode_carefully(&page, &context()).unwrap();
        let pointers: Vec<_> = decoded.rejected.iter().map(|row| row.pointer.as_str()).collect();
        assert_eq!(pointers, ["/rows/1", "/rows/2", "/rows/3"]);
        assert!(decoded.rejected[0].json.contains(r"\ud800x"));
        assert_eq!(decoded.rejected[1].json, "{\"id\":\"\u{fffd}\"}");
        assert_eq!((decoded.served, decoded.rows.num_rows()), (5, 2));
        assert_eq!(show(&decoded.rows, "name", 0), "café");
        assert_eq!(show(&decoded.rows, "name", 1), "\u{1F600}");
        assert_eq!(decoded.drift, [drift("new", DriftKind::UnknownField, 2)]);
        assert_eq!(decoded.next.as_deref(), Some("é"));
    }

    #[test]
    fn a_sound_page_reads_the_same_both_ways() {
        let rows = [row(r#""count":"x""#), row(r#""data":{"a":1}"#)].join(",");
        let page = format!(r#"{{"next":null,"rows":[{rows}]}}"#);
        let plain = decoder().decode(page.as_bytes(), &context()).unwrap();
        let careful = decoder().decode_carefully(page.as_bytes(), &context()).unwrap();
        assert_eq!(plain.rows, careful.rows);
        assert_eq!(plain.drift, careful.drift);
        assert_eq!(plain.next, careful.next);
    }

    #[test]
    fn what_cannot_be_cut_is_no_page() {
        let decode = |page: &str| decoder().decode_carefully(page.as_bytes(), &context()).unwrap_err();
        assert!(matches!(decode(r#"{"rows":["#), PageError::NotJson(_)));
        assert!(matches!(decode(r#"{"rows":[{"id":tru}]}"#), PageError::NotJson(_)));
        assert_eq!(decode(r#"{"errors":[]}"#), PageError::MissingRows("/rows".into()));
        assert_eq!(decode(r#"{"rows":7}"#), PageError::MissingRows("/rows".into()));
    }
}
