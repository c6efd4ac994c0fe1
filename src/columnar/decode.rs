//! A page of JSON becomes rows of the table, in one pass over arrow-json's tape.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, NullArray};
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow_json::ReaderBuilder;
use arrow_json::reader::{ArrayDecoder, Decoder, DecoderContext, DecoderFactory, Tape};

use super::layout::Layout;
use super::page::{DecodedPage, PageContext, PageError};
use super::rows::{self, Table};
use crate::stream::{Stream, arrow_schema};

/// A parser keeps the memory of the largest text that it has read; after a larger one than this it is not used again.
const LARGEST_KEPT: usize = 4 << 20;

/// Decodes the pages of one stream.
#[derive(Debug, Clone)]
pub struct PageDecoder {
    pub(super) table: Arc<Table>,
    /// Those that are not at work: the next page finds memory that is large enough.
    idle: Arc<Mutex<Vec<Parser>>>,
}

/// What one JSON text is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// A response with its envelope.
    Page,
    /// A row by itself.
    Row,
}

impl PageDecoder {
    /// A decoder for the pages of `stream`.
    pub fn new(stream: Arc<Stream>) -> Self {
        let schema = arrow_schema(&stream);
        let layout = Layout::new(&stream.columns, &stream.row, &stream.kept);
        Self {
            table: Arc::new(Table { stream, schema, layout }),
            idle: Arc::default(),
        }
    }

    /// The schema of every decoded batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.schema)
    }

    /// Decodes one response body.
    ///
    /// # Errors
    /// When the body as a whole is no page, or a row keeps it from being parsed; other rows never fail a page, they are rejected.
    pub fn decode(&self, page: &[u8], context: &PageContext) -> Result<DecodedPage, PageError> {
        match self.read(page, context, Body::Page) {
            Err(PageError::NotJson(fault)) => Err(self.blame(page, fault)),
            decoded => decoded,
        }
    }

    pub(super) fn read(&self, text: &[u8], context: &PageContext, body: Body) -> Result<DecodedPage, PageError> {
        let idle = lock(&self.idle).pop();
        let parser = idle.map_or_else(|| Parser::new(&self.table), Ok);
        let mut parser = parser.map_err(|error| PageError::NotJson(error.to_string()))?;
        match parser.parse(text, context, body) {
            Ok(Some(decoded)) => {
                if text.len() <= LARGEST_KEPT {
                    lock(&self.idle).push(parser);
                }
                decoded
            }
            Ok(None) => Err(PageError::NotJson("it is empty".into())),
            // The parser is poisoned by its first error.
            Err(error) => Err(PageError::NotJson(error.to_string())),
        }
    }
}

/// arrow-json's decoder with a tap in it.
struct Parser {
    json: Decoder,
    desk: Arc<Mutex<Desk>>,
}

/// What the tap is asked for, and what it answers.
#[derive(Debug, Default)]
struct Desk {
    asked: Option<(PageContext, Body)>,
    decoded: Option<Result<DecodedPage, PageError>>,
}

impl Parser {
    fn new(table: &Arc<Table>) -> Result<Self, ArrowError> {
        let desk = Arc::default();
        let tap = Tap {
            table: Arc::clone(table),
            desk: Arc::clone(&desk),
        };
        let root = Field::new("page", DataType::Null, true);
        let builder = ReaderBuilder::new_with_field(root)
            .with_batch_size(1)
            .with_decoder_factory(Arc::new(tap));
        let json = builder.build_decoder()?;
        Ok(Self { json, desk })
    }

    /// Parses `text`, which must hold exactly one JSON value; `None` when it holds nothing.
    fn parse(
        &mut self,
        text: &[u8],
        context: &PageContext,
        body: Body,
    ) -> Result<Option<Result<DecodedPage, PageError>>, ArrowError> {
        lock(&self.desk).asked = Some((context.clone(), body));
        let consumed = self.json.decode(text)?;
        let rest = text.get(consumed..).unwrap_or_default();
        if !rest.trim_ascii().is_empty() {
            return Err(ArrowError::JsonError(format!("other text follows at byte {consumed}")));
        }
        self.json.flush()?;
        Ok(lock(&self.desk).decoded.take())
    }
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parser")
    }
}

/// What is locked here is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands where arrow-json expects the decoder of the root, takes the rows off the tape and hands them past arrow-json's own result.
#[derive(Debug, Clone)]
struct Tap {
    table: Arc<Table>,
    desk: Arc<Mutex<Desk>>,
}

impl DecoderFactory for Tap {
    fn make_default_decoder(
        &self,
        _context: &DecoderContext,
        _field: &FieldRef,
        _is_nullable: bool,
    ) -> Result<Option<Box<dyn ArrayDecoder>>, ArrowError> {
        Ok(Some(Box::new(self.clone())))
    }
}

impl ArrayDecoder for Tap {
    fn decode(&mut self, tape: &Tape<'_>, positions: &[u32]) -> Result<ArrayRef, ArrowError> {
        let mut desk = lock(&self.desk);
        // There is one text at a time, and one value in it.
        if let (Some((context, body)), Some(&pos)) = (desk.asked.take(), positions.first()) {
            desk.decoded = Some(match body {
                Body::Page => rows::read_page(&self.table, &context, tape, pos),
                Body::Row => rows::read_row(&self.table, &context, tape, pos),
            });
        }
        Ok(Arc::new(NullArray::new(positions.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, decoder, drift, row, show};
    use super::*;
    use crate::columnar::DriftKind::{Misfit, UnknownField};

    fn decode(rows: &str) -> DecodedPage {
        let page = format!(r#"{{"rows":[{rows}],"next":"c"}}"#);
        decoder().decode(page.as_bytes(), &context()).unwrap()
    }

    /// The value of `column` and `_extra` after a row in which `field` is served as `json`.
    fn cell(column: &str, field: &str, json: &str) -> (String, String) {
        let page = decode(&row(&format!(r#""{field}":{json}"#)));
        assert_eq!(page.rejected, []);
        (show(&page.rows, column, 0), show(&page.rows, "_extra", 0))
    }

    fn fits(column: &str, json: &str, value: &str) {
        let expected = (value.to_owned(), "null".to_owned());
        assert_eq!(cell(column, column, json), expected, "{column} from {json}");
    }

    fn misfits(column: &str, json: &str) {
        let extra = format!(r#"{{"{column}":{json}}}"#);
        let expected = ("null".to_owned(), extra);
        assert_eq!(cell(column, column, json), expected, "{column} from {json}");
    }

    #[test]
    fn the_schema_is_the_tables() {
        let page = decode(&row(""));
        assert_eq!(page.rows.schema(), arrow_schema(&decoder().table.stream));
        assert_eq!((page.served, page.next.as_deref()), (1, Some("c")));
        assert_eq!(page.drift, []);
    }

    #[test]
    fn text_takes_strings_and_numbers_as_served() {
        fits("name", r#""caf\u00e9\n""#, "café\n");
        fits("name", "12.50", "12.50");
        misfits("name", "true");
        fits("name", r#""""#, "");
        fits("name", "null", "null");
        misfits("name", r#"{"a":1}"#);
        misfits("name", "[]");
    }

    #[test]
    fn integers_are_never_rounded() {
        fits("count", "-3", "-3");
        fits("count", r#""42""#, "42");
        fits("count", "1.0", "1");
        fits("count", r#""1e3""#, "1000");
        fits("count", "null", "null");
        for odd in ["1.9", r#""abc""#, r#""""#, "true", "{}", "9223372036854775808"] {
            misfits("count", odd);
        }
    }

    #[test]
    fn booleans_are_true_or_false() {
        fits("flag", "false", "false");
        misfits("flag", r#""true""#);
        misfits("flag", "1");
    }

    #[test]
    fn times_are_whole_seconds_that_have_a_day() {
        fits("seen", "1767225600", "1767225600000000");
        fits("seen", r#""1767225600.0""#, "1767225600000000");
        fits("seen", "-1", "-1000000");
        misfits("seen", "1767225600.9");
        misfits("seen", "999999999999");
        misfits("seen", "9223372036854775807");
    }

    #[test]
    fn json_keeps_numbers_and_key_order() {
        fits(
            "data",
            r#"{ "b": 2.50, "a": [1e3, 12345678901234567890, null, {}, []], "c": {"d": "e"} }"#,
            r#"{"b":2.50,"a":[1e3,12345678901234567890,null,{},[]],"c":{"d":"e"}}"#,
        );
        fits("data", r#""x\/y""#, r#""x/y""#);
        fits("data", "null", "null");
        fits("data", "false", "false");
    }

    #[test]
    fn lists_of_integers_fit_as_a_whole() {
        fits("series", "[1, null, 3.0]", "[1,null,3]");
        fits("series", "[]", "[]");
        misfits("series", "[1,2.5]");
        misfits("series", "7");
        misfits("series", "[[1]]");
    }

    #[test]
    fn structs_keep_what_they_do_not_know() {
        let served = r#"{"z":{"deep":[1]},"sent":60,"opened":"soon","y":null}"#;
        let (value, extra) = cell("metrics", "metrics", served);
        assert_eq!(value, "{sent:60000000,opened:null}");
        assert_eq!(extra, r#"{"metrics":{"z":{"deep":[1]},"opened":"soon"}}"#);
        misfits("metrics", "[]");
        fits("metrics", "null", "null");
        fits("metrics", "{}", "{sent:null,opened:null}");
    }

    #[test]
    fn extra_mirrors_the_row_and_drift_counts_paths() {
        let one = row(r#""new":1,"count":"x","metrics":{"secondary:delivered":1},"_extra":"mine","gone":null"#);
        let page = decode(&format!("{one},{}", row(r#""new":2"#)));
        let extra = r#"{"new":1,"count":"x","metrics":{"secondary:delivered":1},"_extra":"mine"}"#;
        assert_eq!(show(&page.rows, "_extra", 0), extra);
        assert_eq!(show(&page.rows, "_extra", 1), r#"{"new":2}"#);
        let told = [
            drift("_extra", UnknownField, 1),
            drift("count", Misfit, 1),
            drift("metrics.secondary:delivered", UnknownField, 1),
            drift("new", UnknownField, 2),
        ];
        assert_eq!(page.drift, told);
    }

    #[test]
    fn of_equal_names_the_last_one_counts() {
        let fields = r#""name":{},"name":"b","new":1,"new":2,"metrics":{"x":1},"metrics":{"y":1}"#;
        let page = decode(&row(fields));
        assert_eq!(show(&page.rows, "name", 0), "b");
        assert_eq!(show(&page.rows, "_extra", 0), r#"{"new":2,"metrics":{"y":1}}"#);
    }

    #[test]
    fn the_first_alias_that_fits_wins() {
        for (fields, value, extra) in [
            (r#""template":1,"old_template":"1.0""#, "1", "null"),
            (r#""old_template":2"#, "2", "null"),
            (r#""template":null,"old_template":2"#, "2", "null"),
            (r#""old_template":2,"template":1"#, "1", r#"{"old_template":2}"#),
            (r#""template":"x","old_template":2"#, "2", r#"{"template":"x"}"#),
            (r#""template":1,"old_template":[]"#, "1", r#"{"old_template":[]}"#),
        ] {
            let page = decode(&row(fields));
            assert_eq!(show(&page.rows, "template_id", 0), value, "{fields}");
            assert_eq!(show(&page.rows, "_extra", 0), extra, "{fields}");
        }
    }

    #[test]
    fn aliased_structs_agree_by_their_text() {
        for (fields, value, extra) in [
            (r#""who":{"email":"a"},"person":{ "email": "a" }"#, "{email:a}", "null"),
            (
                r#""who":{"email":"a"},"person":{"email":"b"}"#,
                "{email:b}",
                r#"{"who":{"email":"a"}}"#,
            ),
            (
                r#""person":{"email":"a","phone":1}"#,
                "{email:a}",
                r#"{"who":{"phone":1}}"#,
            ),
            // Both remains would be called `who`: the struct's own are told under the name it came by.
            (
                r#""who":1,"person":{"email":"a","phone":1}"#,
                "{email:a}",
                r#"{"who":1,"person":{"phone":1}}"#,
            ),
        ] {
            let page = decode(&row(fields));
            assert_eq!(show(&page.rows, "who", 0), value, "{fields}");
            assert_eq!(show(&page.rows, "_extra", 0), extra, "{fields}");
        }
    }

    #[test]
    fn the_request_wins_over_what_is_served() {
        let page = decode(&format!(
            "{},{}",
            row(r#""message_id":"7""#),
            row(r#""message_id":8,"period":"x""#)
        ));
        assert_eq!(show(&page.rows, "message", 1), "7");
        assert_eq!(show(&page.rows, "period", 1), "days");
        assert_eq!(show(&page.rows, "asked", 1), "1800000000000000");
        assert_eq!(show(&page.rows, "_extra", 0), "null");
        assert_eq!(show(&page.rows, "_extra", 1), r#"{"message_id":8,"period":"x"}"#);
    }

    #[test]
    fn rows_without_key_or_time_are_set_aside() {
        let good = row("");
        let odd = r#"7,{"id":null,"at":1},{"id":[],"at":1},{"id":"b","at":"x","new":1}"#;
        let page = decode(&format!("{good},{odd},{good}"));
        let told: Vec<_> = page
            .rejected
            .iter()
            .map(|row| (row.pointer.as_str(), row.reason.as_str()))
            .collect();
        let expected = [
            ("/rows/1", "it is not an object"),
            ("/rows/2", "its id is missing or does not fit"),
            ("/rows/3", "its id is missing or does not fit"),
            ("/rows/4", "its at is missing or does not fit"),
        ];
        assert_eq!(told, expected);
        assert_eq!(page.rejected[3].json, r#"{"id":"b","at":"x","new":1}"#);
        assert_eq!((page.rows.num_rows(), page.served, page.drift.len()), (2, 6, 0));
    }

    #[test]
    fn what_no_parser_would_read_is_set_aside() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (fields, reason) in [
            (format!(r#""data":{}"#, nested(129)), "nested more than 128 levels deep"),
            (
                format!(r#""new":{}"#, nested(100_000)),
                "nested more than 128 levels deep",
            ),
            (r#""data":[1-2]"#.to_owned(), "contains a malformed number"),
            (r#""count":1-2"#.to_owned(), "contains a malformed number"),
        ] {
            let page = decode(&format!("{},{}", row(&fields), row("")));
            assert_eq!(page.rejected[0].reason, reason);
            assert_eq!(page.rows.num_rows(), 1);
        }
        fits("data", &nested(128), &nested(128));
        // In `_extra` the object around it counts as well.
        assert_eq!(decode(&row(&format!(r#""new":{}"#, nested(127)))).rejected, []);
        assert_eq!(decode(&row(&format!(r#""new":{}"#, nested(128)))).rejected.len(), 1);
        assert_eq!(
            decode(&row(&format!(r#""metrics":{{"new":{}}}"#, nested(127))))
                .rejected
                .len(),
            1
        );
    }

    #[test]
    fn the_envelope_is_checked() {
        let decode = |page: &str| decoder().decode(page.as_bytes(), &context());
        let broken = [
            "",
            " ",
            "[]",
            "7",
            r#"{"rows":["#,
            r#"{"rows":[]} x"#,
            r#"{"rows":[]}{}"#,
            "<html>",
            r#"{"rows":[tru]}"#,
        ];
        for broken in broken {
            assert!(matches!(decode(broken), Err(PageError::NotJson(_))), "{broken}");
        }
        for (wrong, place) in [
            (r#"{"errors":[]}"#, "/rows"),
            (r#"{"rows":7}"#, "/rows"),
            (r#"{"rows":[],"next":{}}"#, "/next"),
        ] {
            assert_eq!(
                decode(wrong).unwrap_err(),
                PageError::MissingRows(place.into()),
                "{wrong}"
            );
        }
        for (last, next) in [
            ("", None),
            (r#","next":null"#, None),
            (r#","next":"""#, None),
            (r#","next":"é=""#, Some("é=")),
        ] {
            let page = decode(&format!(r#"{{"rows":null{last}}} "#)).unwrap();
            assert_eq!((page.served, page.next.as_deref()), (0, next));
            assert_eq!(page.rows.num_columns(), decoder().schema().fields().len());
        }
    }

    #[test]
    fn one_object_may_be_the_row() {
        let mut stream = (*decoder().table.stream).clone();
        stream.fetch.rows = vec!["metric".into(), "series".into()];
        let decoder = PageDecoder::new(Arc::new(stream));
        let page = format!(r#"{{"metric":{{"series":{}}}}}"#, row(r#""count":5"#));
        let page = decoder.decode(page.as_bytes(), &context()).unwrap();
        assert_eq!(show(&page.rows, "count", 0), "5");
        let page = decoder
            .decode(br#"{"metric":{"series":{"at":1}}}"#, &context())
            .unwrap();
        assert_eq!(page.rejected[0].pointer, "/metric/series");
        let missing = decoder.decode(br#"{"metric":null}"#, &context()).unwrap_err();
        assert_eq!(missing, PageError::MissingRows("/metric/series".into()));
    }

    #[test]
    fn fields_may_come_in_any_order() {
        let page = decode(
            r#"{"id":"a","at":1,"count":1,"name":"x"},
               {"name":"y","count":2,"at":1,"id":"b"},
               {"new":0,"count":3,"id":"c","at":1}"#,
        );
        let column = |name: &str| (0..3).map(|row| show(&page.rows, name, row)).collect::<Vec<_>>();
        assert_eq!(column("id"), ["a", "b", "c"]);
        assert_eq!(column("name"), ["x", "y", "null"]);
        assert_eq!(column("count"), ["1", "2", "3"]);
    }
}
