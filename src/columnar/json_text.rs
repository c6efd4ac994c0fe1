//! JSON text from the tape: compact, keys and numbers exactly as served, strings with the fewest escapes.

use std::fmt;

use arrow_json::reader::{Tape, TapeElement};

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

/// Appends the value at `pos` to `out`, where it will stand inside of `outside` objects.
///
/// # Errors
/// When the text would be no use to a JSON parser; `out` then ends somewhere inside the value.
pub(super) fn write_value(tape: &Tape<'_>, pos: u32, outside: usize, out: &mut String) -> Result<(), Unwritable> {
    match tape.get(pos) {
        TapeElement::StartObject(end) | TapeElement::StartList(end) => {
            write_nested(tape, pos, end, out, |depth, number| {
                if outside + depth > DEEPEST {
                    Err(Unwritable::TooDeep)
                } else if number.is_some_and(|text| !is_number(text)) {
                    Err(Unwritable::Number)
                } else {
                    Ok(())
                }
            })
        }
        TapeElement::Number(index) if !is_number(tape.get_string(index)) => Err(Unwritable::Number),
        scalar => {
            write_scalar(tape, scalar, out);
            Ok(())
        }
    }
}

/// The value at `pos` as text, however deep and whatever its numbers look like: for keeping, not for parsing.
pub(super) fn as_served(tape: &Tape<'_>, pos: u32) -> String {
    let mut out = String::new();
    match tape.get(pos) {
        TapeElement::StartObject(end) | TapeElement::StartList(end) => {
            let Ok(()) = write_nested(tape, pos, end, &mut out, |_, _| Ok::<(), std::convert::Infallible>(()));
        }
        scalar => write_scalar(tape, scalar, &mut out),
    }
    out
}

/// Walks the elements from `pos` to `end` without recursion, so that no depth of nesting can exhaust the stack.
fn write_nested<E>(
    tape: &Tape<'_>,
    pos: u32,
    end: u32,
    out: &mut String,
    accept: impl Fn(usize, Option<&str>) -> Result<(), E>,
) -> Result<(), E> {
    let mut objects: Vec<bool> = Vec::new();
    let (mut after_value, mut after_key) = (false, false);
    for element in (pos..=end).map(|at| tape.get(at)) {
        if let TapeElement::EndObject(_) | TapeElement::EndList(_) = element {
            objects.pop();
            out.push(if matches!(element, TapeElement::EndObject(_)) {
                '}'
            } else {
                ']'
            });
            after_value = true;
            continue;
        }
        if after_value {
            out.push(',');
        }
        after_value = false;
        if !after_key && objects.last() == Some(&true) {
            write_scalar(tape, element, out);
            out.push(':');
            after_key = true;
            continue;
        }
        after_key = false;
        match element {
            TapeElement::StartObject(_) | TapeElement::StartList(_) => {
                let object = matches!(element, TapeElement::StartObject(_));
                objects.push(object);
                accept(objects.len(), None)?;
                out.push(if object { '{' } else { '[' });
            }
            scalar => {
                if let TapeElement::Number(index) = scalar {
                    accept(objects.len(), Some(tape.get_string(index)))?;
                }
                write_scalar(tape, scalar, out);
                after_value = true;
            }
        }
    }
    Ok(())
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
