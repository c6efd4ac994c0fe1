//! One answer of the API: a page of rows and its envelope.

use super::behaviour::{Behaviour, ErrorStatus, LastNext};
use super::chance::{Dice, Kind};
use super::cursor::{Cursor, Form};
use super::fault::Fault;
use super::json;

/// What an endpoint has to say.
#[derive(Debug)]
pub(super) enum Answer {
    Page(Page),
    /// `{"<key>":<body>}`
    Object {
        key: &'static str,
        body: Vec<u8>,
    },
    Refusal(Refusal),
}

/// Why there are no rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// 400 and what is malformed.
    Malformed(String),
    Unauthorized,
    Forbidden,
    NotFound,
    /// 429; the number is shown in the text.
    TooMany(f64),
}

/// Some rows of a list.
#[derive(Debug)]
pub(super) struct Page {
    key: &'static str,
    rows: Rows,
    /// The parallel array of `POST /v1/customers`.
    ids: Option<Rows>,
    next: Next,
    /// The cursor that asked for it.
    asked: Option<(Cursor, Form)>,
}

#[derive(Debug)]
enum Next {
    /// The list has no pages.
    Unpaged,
    Last,
    At(String),
}

impl Next {
    fn at(cursor: Cursor, form: Form) -> Self {
        Self::At(cursor.encode(form))
    }
}

/// JSON values, separated by commas.
#[derive(Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    count: usize,
}

impl Rows {
    /// Where the next value is to be written.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        if self.count > 0 {
            self.bytes.push(b',');
        }
        self.count += 1;
        &mut self.bytes
    }

    /// The values as a JSON array.
    pub(super) fn into_array(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 2);
        self.write(&mut out, false);
        out
    }

    fn write(&self, out: &mut Vec<u8>, null_arrays: bool) {
        if null_arrays && self.count == 0 {
            out.extend_from_slice(b"null");
            return;
        }
        out.push(b'[');
        out.extend_from_slice(&self.bytes);
        out.push(b']');
    }
}

/// Which rows a request asks for.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) cursor: Option<Cursor>,
    pub(super) limit: usize,
    pub(super) form: Form,
    /// This page is empty, and the next one goes on.
    empty: bool,
    /// This page begins with the row that the page before ended with.
    repeat: bool,
}

impl Paging {
    pub(super) fn new(cursor: Option<Cursor>, limit: usize, form: Form, behaviour: &Behaviour) -> Self {
        let luck = |one_in: u32, salt: u64| {
            cursor.is_some_and(|cursor| Dice::new(salt, Kind::Page, cursor.row).one_in(one_in))
        };
        Self {
            cursor,
            limit,
            form,
            empty: luck(behaviour.empty_pages, 1) && cursor.is_some_and(|cursor| cursor.again == 0),
            // A page of one row that repeats the last one would lead nowhere.
            repeat: luck(behaviour.duplicates, 2) && limit > 1,
        }
    }

    /// The row behind which this page begins.
    pub(super) fn after(&self) -> Option<u64> {
        self.cursor.map(|cursor| cursor.row)
    }

    /// A page of the first of `rows`, each written by `write`.
    pub(super) fn fill(
        &self,
        key: &'static str,
        rows: impl Iterator<Item = u64>,
        mut write: impl FnMut(u64, &mut Rows),
    ) -> Page {
        let mut page = Page {
            key,
            rows: Rows::default(),
            ids: None,
            next: Next::Last,
            asked: self.cursor.map(|cursor| (cursor, self.form)),
        };
        if let (true, Some(cursor)) = (self.empty, self.cursor) {
            page.next = Next::at(Cursor { again: 1, ..cursor }, self.form);
            return page;
        }
        let repeated = self.after().filter(|_| self.repeat);
        let mut rows = repeated.into_iter().chain(rows).peekable();
        let mut last = None;
        while page.rows.count < self.limit
            && let Some(row) = rows.next()
        {
            write(row, &mut page.rows);
            last = Some(Cursor::after(row));
        }
        if let (Some(last), Some(_)) = (last, rows.peek()) {
            page.next = Next::at(last, self.form);
        }
        page
    }
}

impl Page {
    /// A list without pages.
    pub(super) fn whole(key: &'static str, rows: Rows) -> Self {
        Self {
            key,
            rows,
            ids: None,
            next: Next::Unpaged,
            asked: None,
        }
    }

    pub(super) fn with_ids(self, ids: Rows) -> Self {
        Self { ids: Some(ids), ..self }
    }

    /// The same, but a last page that ends with row `last` leads on, to a page that holds nothing.
    pub(super) fn trailing(mut self, last: Option<u64>, form: Form) -> Self {
        if let (Next::Last, Some(row)) = (&self.next, last) {
            self.next = Next::at(Cursor::after(row), form);
        }
        self
    }

    /// Bends the page as `fault` says, if it is about pages.
    fn bend(&mut self, fault: Option<&Fault>) {
        let emptied = |next| (Rows::default(), next);
        match (fault, self.asked) {
            (Some(Fault::Empty), _) => (self.rows, self.next) = emptied(Next::Last),
            (Some(Fault::EndlessPages), Some((cursor, form))) => {
                let again = cursor.again + 1;
                (self.rows, self.next) = emptied(Next::at(Cursor { again, ..cursor }, form));
            }
            (Some(Fault::RepeatCursor), Some((cursor, form))) => self.next = Next::at(cursor, form),
            (Some(Fault::CursorLoop), Some((cursor, form))) => {
                let again = u64::from(cursor.again == 0);
                self.next = Next::at(Cursor { again, ..cursor }, form);
            }
            _ => {}
        }
    }

    fn write(mut self, out: &mut Vec<u8>, behaviour: &Behaviour, fault: Option<&Fault>) {
        self.bend(fault);
        out.reserve(self.rows.bytes.len() + 256);
        out.push(b'{');
        if fault != Some(&Fault::NoEnvelope) {
            member(out, self.key);
            self.rows.write(out, behaviour.null_arrays);
        }
        if let Some(ids) = &self.ids {
            member(out, "ids");
            ids.write(out, behaviour.null_arrays);
        }
        write_next(out, &self.next, behaviour.last_next);
        out.push(b'}');
    }
}

fn write_next(out: &mut Vec<u8>, next: &Next, last: LastNext) {
    match (next, last) {
        (Next::Unpaged, _) | (Next::Last, LastNext::Absent) => {}
        (Next::Last, LastNext::Null) => {
            member(out, "next");
            out.extend_from_slice(b"null");
        }
        (Next::Last, LastNext::Empty) => {
            member(out, "next");
            out.extend_from_slice(b"\"\"");
        }
        (Next::At(cursor), _) => {
            member(out, "next");
            json::string(out, cursor.as_bytes());
        }
    }
}

fn member(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    json::string(out, name.as_bytes());
    out.push(b':');
}

impl Answer {
    /// Status and body. `fault` may bend the content of a good answer.
    pub(super) fn render(self, behaviour: &Behaviour, fault: Option<&Fault>) -> (u16, Vec<u8>) {
        let mut out = Vec::new();
        match self {
            Self::Refusal(refusal) => return refusal.render(behaviour.error_status),
            Self::Page(page) => page.write(&mut out, behaviour, fault),
            Self::Object { key, body } => {
                out.push(b'{');
                match fault {
                    Some(Fault::NoEnvelope) => {}
                    Some(Fault::Empty) => {
                        member(&mut out, key);
                        out.extend_from_slice(b"{}");
                    }
                    _ => {
                        member(&mut out, key);
                        out.extend_from_slice(&body);
                    }
                }
                out.push(b'}');
            }
        }
        (200, out)
    }
}

impl Refusal {
    fn render(&self, form: ErrorStatus) -> (u16, Vec<u8>) {
        let errors = |detail: &str, status: u16| {
            let status_text = match form {
                ErrorStatus::Integer => status.to_string(),
                ErrorStatus::Text => format!("\"{status}\""),
            };
            format!("{{\"errors\":[{{\"detail\":\"{detail}\",\"status\":{status_text}}}]}}").into_bytes()
        };
        match self {
            Self::Malformed(what) => (400, meta(what)),
            Self::Unauthorized => (401, errors("unauthorized", 401)),
            Self::Forbidden => (403, meta("the key is not allowed to read this resource")),
            Self::NotFound => (404, errors("resource not found", 404)),
            Self::TooMany(rate) => (429, too_many(*rate)),
        }
    }
}

/// The documented body of a 429 for a limit of `rate` requests a second; its status is always text.
pub(super) fn too_many(rate: f64) -> Vec<u8> {
    let detail = format!("rate limited to {rate} requests per 1s (reference a1b2c3)");
    format!("{{\"errors\":[{{\"detail\":\"{detail}\",\"status\":\"429\"}}]}}").into_bytes()
}

fn meta(error: &str) -> Vec<u8> {
    let mut out = b"{\"meta\":{\"error\":".to_vec();
    json::string(&mut out, error.as_bytes());
    out.extend_from_slice(b"}}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(behaviour: &Behaviour, cursor: Option<Cursor>, fault: Option<&Fault>) -> String {
        let paging = Paging::new(cursor, 2, Form::Decimal, behaviour);
        let from = paging.after().map_or(0, |row| row + 1);
        let page = paging.fill("rows", from..5, |row, rows| json::digits(rows.next(), row, 1));
        let (status, body) = Answer::Page(page).render(behaviour, fault);
        assert_eq!(status, 200);
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn pages_follow_each_other_to_the_last() {
        let plain = Behaviour::default();
        assert_eq!(
            page(&plain, None, None),
            r#"{"rows":[0,1],"next":"900000000000065536"}"#
        );
        assert_eq!(page(&plain, Some(Cursor::after(3)), None), r#"{"rows":[4],"next":""}"#);
        let null = Behaviour {
            last_next: LastNext::Null,
            null_arrays: true,
            ..Behaviour::default()
        };
        assert_eq!(
            page(&null, Some(Cursor::after(4)), None),
            r#"{"rows":null,"next":null}"#
        );
        let absent = Behaviour {
            last_next: LastNext::Absent,
            ..Behaviour::default()
        };
        assert_eq!(page(&absent, Some(Cursor::after(4)), None), r#"{"rows":[]}"#);
    }

    #[test]
    fn an_empty_page_leads_on_and_a_repeated_row_is_repeated_once() {
        let empty = Behaviour {
            empty_pages: 1,
            ..Behaviour::default()
        };
        let cursor = Cursor::after(1);
        assert_eq!(
            page(&empty, Some(cursor), None),
            r#"{"rows":[],"next":"900000000000065537"}"#
        );
        let again = Cursor { again: 1, ..cursor };
        assert!(page(&empty, Some(again), None).starts_with(r#"{"rows":[2,3]"#));
        let twice = Behaviour {
            duplicates: 1,
            ..Behaviour::default()
        };
        assert!(page(&twice, Some(cursor), None).starts_with(r#"{"rows":[1,2]"#));
    }

    #[test]
    fn faults_bend_the_envelope() {
        let plain = Behaviour::default();
        let cursor = Some(Cursor::after(1));
        assert_eq!(page(&plain, cursor, Some(&Fault::Empty)), r#"{"rows":[],"next":""}"#);
        assert_eq!(
            page(&plain, cursor, Some(&Fault::NoEnvelope)),
            r#"{"next":"900000000000196608"}"#
        );
        let repeated = page(&plain, cursor, Some(&Fault::RepeatCursor));
        assert_eq!(repeated, r#"{"rows":[2,3],"next":"900000000000065536"}"#);
        let again = page(&plain, cursor, Some(&Fault::CursorLoop));
        assert_eq!(again, r#"{"rows":[2,3],"next":"900000000000065537"}"#);
        let back = Cursor {
            again: 1,
            ..Cursor::after(1)
        };
        assert_eq!(page(&plain, Some(back), Some(&Fault::CursorLoop)), repeated);
        let endless = page(&plain, Some(back), Some(&Fault::EndlessPages));
        assert_eq!(endless, r#"{"rows":[],"next":"900000000000065538"}"#);
    }

    #[test]
    fn refusals_have_the_documented_bodies() {
        let body = |refusal: Refusal, form| String::from_utf8(refusal.render(form).1).unwrap();
        let unauthorized = r#"{"errors":[{"detail":"unauthorized","status":401}]}"#;
        assert_eq!(body(Refusal::Unauthorized, ErrorStatus::Integer), unauthorized);
        assert!(body(Refusal::NotFound, ErrorStatus::Text).contains("\"status\":\"404\""));
        assert_eq!(
            body(Refusal::Malformed("a \"b\"".into()), ErrorStatus::Text),
            r#"{"meta":{"error":"a \"b\""}}"#
        );
        let limited =
            r#"{"errors":[{"detail":"rate limited to 10 requests per 1s (reference a1b2c3)","status":"429"}]}"#;
        assert_eq!(body(Refusal::TooMany(10.0), ErrorStatus::Integer), limited);
    }
}
