//! JSON text from the tape: compact, keys and numbers exactly as served, strings with the fewest escapes.

use std::fmt;

use arrow_json::reader::{Tape, TapeElement};

use super::value::{after, name_before};
use crate::stream::Treatment;

/// The deepest nesting that most JSON parsers accept; what is deeper could be written but not read.
const DEEPEST: usize = 128;

/// Why a value cannot become JSON text that every reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unwritable {
    /// Nested too deeply.
    TooDeep,
    /// A number outside the grammar of JSON; the tape takes any run of digits, signs and points for one.
    Number,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "nested more than {DEEPEST} levels deep"),
            Self::Number => f.write_str("contains a malformed number"),
        }
    }
}

/// Appends the value at `pos`, treated as it has to be, to `out`, where it will stand inside of `outside` objects.
///
/// # Errors
/// When the text would be no use to a JSON parser; `out` then ends somewhere inside the value.
pub(super) fn write_value(
    tape: &Tape<'_>,
    pos: u32,
    outside: usize,
    treatment: Option<&Treatment>,
    out: &mut String,
) -> Result<(), Unwritable> {
    write(tape, pos, treatment, out, |depth, number| {
        if outside + depth > DEEPEST {
            Err(Unwritable::TooDeep)
        } else if number.is_some_and(|text| !is_number(text)) {
            Err(Unwritable::Number)
        } else {
            Ok(())
        }
    })
}

/// The value at `pos` as text, however deep and whatever its numbers look like: for keeping, not for parsing.
pub(super) fn as_served(tape: &Tape<'_>, pos: u32) -> String {
    any(tape, pos, None)
}

/// The same, treated as it has to be.
pub(super) fn as_kept(tape: &Tape<'_>, pos: u32, treatment: &Treatment) -> String {
    any(tape, pos, Some(treatment))
}

fn any(tape: &Tape<'_>, pos: u32, treatment: Option<&Treatment>) -> String {
    let mut out = String::new();
    let Ok(()) = write(tape, pos, treatment, &mut out, |_, _| {
        Ok::<(), std::convert::Infallible>(())
    });
    out
}

/// An object or a list that the walk is inside of.
struct Level<'a> {
    is_object: bool,
    /// What becomes of its fields, or of its elements.
    treatment: Option<&'a Treatment>,
}

/// Walks a value without recursion, so that no depth of nesting can exhaust the stack; `accept` hears of every level and number.
fn write<E>(
    tape: &Tape<'_>,
    pos: u32,
    treatment: Option<&Treatment>,
    out: &mut String,
    accept: impl Fn(usize, Option<&str>) -> Result<(), E>,
) -> Result<(), E> {
    let end = after(tape, pos);
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut is_first = true;
    let mut at = pos;
    while at < end {
        let element = tape.get(at);
        if let TapeElement::EndObject(_) | TapeElement::EndList(_) = element {
            out.push(if levels.pop().is_some_and(|level| level.is_object) {
                '}'
            } else {
                ']'
            });
            is_first = false;
            at += 1;
            continue;
        }
        let mut treatment = levels.last().map_or(treatment, |level| level.treatment);
        let mut value = at;
        if levels.last().is_some_and(|level| level.is_object) {
            value = at + 1;
            let name = name_before(tape, value);
            treatment = treatment.and_then(|treatment| treatment.of(name));
            if matches!(treatment, Some(Treatment::Drop)) {
                at = after(tape, value);
                continue;
            }
            separate(is_first, out);
            write_string(name, out);
            out.push(':');
        } else {
            separate(is_first || levels.is_empty(), out);
        }
        is_first = false;
        at = value + 1;
        match tape.get(value) {
            TapeElement::StartObject(_) | TapeElement::StartList(_) => {
                let is_object = matches!(tape.get(value), TapeElement::StartObject(_));
                levels.push(Level { is_object, treatment });
                accept(levels.len(), None)?;
                out.push(if is_object { '{' } else { '[' });
                is_first = true;
            }
            scalar => {
                if let TapeElement::Number(index) = scalar {
                    accept(levels.len(), Some(tape.get_string(index)))?;
                }
                match treatment {
                    Some(treatment) => write_treated(tape, scalar, treatment, out),
                    None => write_scalar(tape, scalar, out),
                }
            }
        }
    }
    Ok(())
}

fn separate(is_first: bool, out: &mut String) {
    if !is_first {
        out.push(',');
    }
}

/// What stands in the place of a text or a number that may hold what a rule is about.
const WITHHELD: &str = r#"{"withheld":true}"#;

/// A text and a number that reads the same become the same hash, as they become the same text in a column.
fn write_treated(tape: &Tape<'_>, element: TapeElement, treatment: &Treatment, out: &mut String) {
    let (TapeElement::String(index) | TapeElement::Number(index)) = element else {
        return write_scalar(tape, element, out);
    };
    match treatment {
        Treatment::Hash(hash) => write_string(&hash.of(tape.get_string(index)), out),
        Treatment::Fields {
            others: Some(others), ..
        } => write_treated(tape, element, others, out),
        Treatment::Fields { named, others: None } if named.is_empty() => write_scalar(tape, element, out),
        Treatment::Fields { .. } | Treatment::Drop => out.push_str(WITHHELD),
    }
}

fn write_scalar(tape: &Tape<'_>, element: TapeElement, out: &mut String) {
    match element {
        TapeElement::String(index) => write_string(tape.get_string(index), out),
        TapeElement::Number(index) => out.push_str(tape.get_string(index)),
        TapeElement::True => out.push_str("true"),
        TapeElement::False => out.push_str("false"),
        // The other elements come from serialized values only, never from text.
        _ => out.push_str("null"),
    }
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[written..at]);
        out.push_str(escape);
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        }
        written = at + 1;
    }
    out.push_str(&text[written..]);
    out.push('"');
}

/// Whether `text` is a number by the grammar of JSON.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let text = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text.starts_with('0')) {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_grammar() {
        for good in ["0", "-0", "10", "1.50", "1e3", "-1.2E+10", "12345678901234567890"] {
            assert!(is_number(good), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "1e", "1-2", "+1", "1.2.3", "0x1", "1 "] {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn strings_are_escaped_no_more_than_needed() {
        let mut out = String::new();
        write_string("a\"b\\c/d\né\u{1}\u{7f}", &mut out);
        assert_eq!(out, "\"a\\\"b\\\\c/d\\né\\u0001\u{7f}\"");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "a\"b\\c/d\né\u{1}\u{7f}");
    }
}
