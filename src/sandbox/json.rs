//! JSON written by hand into a byte buffer: the served form and the lake's form of one row.

use std::borrow::Cow;

/// What the lake has to make of a value that is not as documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// It still says what the column wants: the column holds this JSON text.
    Kept(Cow<'static, str>),
    /// It does not fit: the column is null, the served value goes to `_extra`.
    Misfit,
    /// No column knows the field: it goes to `_extra`.
    Unknown,
    /// The same name comes again: nothing stays of it.
    Overridden,
}

/// One way in which a served row differs from the documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Oddity {
    /// The lake's name of the struct it is in; empty at the top of the row.
    pub(super) parent: &'static str,
    pub(super) field: &'static str,
    /// The JSON text that is served.
    pub(super) served: Cow<'static, str>,
    pub(super) fit: Fit,
}

impl Oddity {
    pub(super) fn kept(
        field: &'static str,
        served: impl Into<Cow<'static, str>>,
        lake: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(field, served, Fit::Kept(lake.into()))
    }

    pub(super) fn misfit(field: &'static str, served: impl Into<Cow<'static, str>>) -> Self {
        Self::new(field, served, Fit::Misfit)
    }

    pub(super) fn unknown(field: &'static str, served: impl Into<Cow<'static, str>>) -> Self {
        Self::new(field, served, Fit::Unknown)
    }

    /// A field that is served before a later one of the same name.
    pub(super) fn overridden(field: &'static str, served: impl Into<Cow<'static, str>>) -> Self {
        Self::new(field, served, Fit::Overridden)
    }

    /// The same oddity inside the struct that the lake calls `parent`.
    pub(super) fn inside(self, parent: &'static str) -> Self {
        Self { parent, ..self }
    }

    fn new(field: &'static str, served: impl Into<Cow<'static, str>>, fit: Fit) -> Self {
        Self {
            parent: "",
            field,
            served: served.into(),
            fit,
        }
    }

    fn is_extra(&self) -> bool {
        matches!(self.fit, Fit::Misfit | Fit::Unknown)
    }

    /// Whether it is served behind the fields that are known.
    fn is_appended(&self) -> bool {
        matches!(self.fit, Fit::Unknown | Fit::Overridden)
    }
}

/// Who reads the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Api,
    Lake,
}

/// An object being written. Every known field passes through it, so that an oddity finds its place by name.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    odd: &'a [Oddity],
    parent: &'static str,
    side: Side,
    started: bool,
}

impl<'a> Object<'a> {
    /// Opens a row; `odd` holds everything that is odd about it.
    pub(super) fn open(out: &'a mut Vec<u8>, odd: &'a [Oddity], side: Side) -> Self {
        out.push(b'{');
        Self {
            out,
            odd,
            parent: "",
            side,
            started: false,
        }
    }

    pub(super) fn int(&mut self, name: &'static str, value: i64) {
        self.raw(name, |out| int(out, value));
    }

    pub(super) fn bool(&mut self, name: &'static str, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.raw(name, |out| out.extend_from_slice(text));
    }

    pub(super) fn null(&mut self, name: &'static str) {
        self.raw(name, |out| out.extend_from_slice(b"null"));
    }

    /// Any text; it is escaped.
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.raw(name, |out| string(out, value.as_bytes()));
    }

    /// Text that needs no escape, written by `write`.
    pub(super) fn plain(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.raw(name, |out| {
            out.push(b'"');
            write(out);
            out.push(b'"');
        });
    }

    /// A field that this row does not have: left out by the API, null in the lake; an oddity may still put it there.
    pub(super) fn absent(&mut self, name: &'static str) {
        if self.side == Side::Lake || self.oddity(name).is_some() {
            self.null(name);
        }
    }

    /// A struct, served as `name`; oddities name it as the lake does, `column`.
    pub(super) fn nested(&mut self, name: &'static str, column: &'static str, write: impl FnOnce(&mut Object<'_>)) {
        if !self.begin(name, column) {
            return;
        }
        self.out.push(b'{');
        let mut inner = Object {
            out: self.out,
            odd: self.odd,
            parent: column,
            side: self.side,
            started: false,
        };
        write(&mut inner);
        inner.finish();
    }

    /// A JSON value that the lake holds as its text; null stays null.
    pub(super) fn json(&mut self, name: &'static str, value: &str) {
        match self.side {
            Side::Lake if value != "null" => self.text(name, value),
            _ => self.raw(name, |out| out.extend_from_slice(value.as_bytes())),
        }
    }

    /// Any JSON value, written by `write`.
    pub(super) fn raw(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.begin(name, name) {
            write(self.out);
        }
    }

    /// Closes the object: served unknown fields come last, and `_extra` is the lake's last column.
    pub(super) fn close(mut self, order: &[&str]) {
        if self.side == Side::Lake {
            let extra = extra(self.odd, order);
            match extra {
                Some(text) => self.text("_extra", &text),
                None => self.null("_extra"),
            }
        }
        self.finish();
    }

    fn finish(mut self) {
        if self.side == Side::Api && !self.odd.is_empty() {
            let (odd, parent) = (self.odd, self.parent);
            let appended = |oddity: &&Oddity| oddity.parent == parent && oddity.is_appended();
            for oddity in odd.iter().filter(appended) {
                self.key(oddity.field);
                self.out.extend_from_slice(oddity.served.as_bytes());
            }
        }
        self.out.push(b'}');
    }

    /// Writes the key, and the value too if it is an odd one; true when the value is still to be written.
    fn begin(&mut self, name: &'static str, column: &'static str) -> bool {
        self.key(name);
        if self.odd.is_empty() {
            return true;
        }
        let Some(oddity) = self.oddity(column) else {
            return true;
        };
        let value = match (self.side, &oddity.fit) {
            (Side::Api, _) => &*oddity.served,
            (Side::Lake, Fit::Kept(lake)) => lake,
            (Side::Lake, _) => "null",
        };
        self.out.extend_from_slice(value.as_bytes());
        false
    }

    fn oddity(&self, column: &str) -> Option<&'a Oddity> {
        let here = |oddity: &&Oddity| oddity.parent == self.parent && oddity.field == column && !oddity.is_appended();
        self.odd.iter().find(here)
    }

    fn key(&mut self, name: &str) {
        if self.started {
            self.out.push(b',');
        }
        self.started = true;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// The mirror of what no column could hold, as JSON text; `order` is the order in which the API serves the fields.
fn extra(odd: &[Oddity], order: &[&str]) -> Option<String> {
    let mut kept: Vec<&Oddity> = odd.iter().filter(|oddity| oddity.is_extra()).collect();
    kept.first()?;
    // The sort is stable: unknown fields stay in their own order, behind every known one.
    kept.sort_by_key(|oddity| place(oddity, order));
    let members: Vec<String> = kept.chunk_by(|a, b| a.parent == b.parent).map(mirror).collect();
    Some(format!("{{{}}}", members.join(",")))
}

/// Neighbours of one struct as one member, or of the row itself as members side by side.
fn mirror(group: &[&Oddity]) -> String {
    let fields: Vec<String> = group
        .iter()
        .map(|oddity| format!("\"{}\":{}", oddity.field, oddity.served))
        .collect();
    let fields = fields.join(",");
    match group.first().map_or("", |oddity| oddity.parent) {
        "" => fields,
        parent => format!("\"{parent}\":{{{fields}}}"),
    }
}

fn place(oddity: &Oddity, order: &[&str]) -> (usize, usize) {
    let find = |name: &str| order.iter().position(|known| *known == name).unwrap_or(order.len());
    if oddity.parent.is_empty() && oddity.fit == Fit::Unknown {
        return (order.len() + 1, 0);
    }
    if oddity.parent.is_empty() {
        return (find(oddity.field), 0);
    }
    let inside = if oddity.fit == Fit::Unknown {
        order.len()
    } else {
        find(oddity.field)
    };
    (find(oddity.parent), inside)
}

/// An integer in decimal.
pub(super) fn int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    digits(out, value.unsigned_abs(), 1);
}

/// A natural number in decimal, with leading zeros up to `width` digits.
pub(super) fn digits(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while value > 0 {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let first = at.min(text.len() - width.min(text.len()));
    out.extend_from_slice(&text[first..]);
}

/// A JSON string: quoted, with the least escaping that JSON allows.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
    {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &[&str] = &["id", "subject", "metrics", "opened", "created"];

    fn row(odd: &[Oddity], side: Side) -> String {
        let mut out = Vec::new();
        let mut row = Object::open(&mut out, odd, side);
        row.text("id", "a\"b");
        row.absent("subject");
        row.nested("metrics", "metrics", |metrics| metrics.int("opened", -7));
        row.int("created", 0);
        row.close(ORDER);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plain_row_differs_only_in_absence_and_extra() {
        assert_eq!(
            row(&[], Side::Api),
            r#"{"id":"a\"b","metrics":{"opened":-7},"created":0}"#
        );
        let lake = r#"{"id":"a\"b","subject":null,"metrics":{"opened":-7},"created":0,"_extra":null}"#;
        assert_eq!(row(&[], Side::Lake), lake);
    }

    #[test]
    fn what_fits_in_another_form_is_kept() {
        let odd = [
            Oddity::kept("created", "\"5\"", "5"),
            Oddity::kept("opened", "1.0", "1").inside("metrics"),
        ];
        assert_eq!(
            row(&odd, Side::Api),
            r#"{"id":"a\"b","metrics":{"opened":1.0},"created":"5"}"#
        );
        let lake = r#"{"id":"a\"b","subject":null,"metrics":{"opened":1},"created":5,"_extra":null}"#;
        assert_eq!(row(&odd, Side::Lake), lake);
    }

    #[test]
    fn what_does_not_fit_is_mirrored_in_the_order_served() {
        let odd = [
            Oddity::unknown("new", "1"),
            Oddity::unknown("secondary:delivered", "3").inside("metrics"),
            Oddity::misfit("opened", "1.9").inside("metrics"),
            Oddity::misfit("subject", "{\"en\":\"x\"}"),
        ];
        let api = r#"{"id":"a\"b","subject":{"en":"x"},"metrics":{"opened":1.9,"secondary:delivered":3},"created":0,"new":1}"#;
        assert_eq!(row(&odd, Side::Api), api);
        let lake = serde_json::from_str::<serde_json::Value>(&row(&odd, Side::Lake)).unwrap();
        assert_eq!(lake["metrics"]["opened"], serde_json::Value::Null);
        let extra = r#"{"subject":{"en":"x"},"metrics":{"opened":1.9,"secondary:delivered":3},"new":1}"#;
        assert_eq!(lake["_extra"], extra);
    }

    #[test]
    fn numbers_and_escapes_are_json() {
        let mut out = Vec::new();
        for value in [0, 7, -10, i64::MAX, i64::MIN] {
            int(&mut out, value);
            out.push(b' ');
        }
        digits(&mut out, 42, 6);
        assert_eq!(out, b"0 7 -10 9223372036854775807 -9223372036854775808 000042");
        let mut out = Vec::new();
        string(&mut out, "a\"\\\n\u{1}é".as_bytes());
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), "a\"\\\n\u{1}é");
    }
}
