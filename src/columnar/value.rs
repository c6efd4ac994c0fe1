//! What one JSON value means to a column of a given type.

use arrow_json::reader::{Tape, TapeElement};
use jiff::Timestamp;

use super::json_text::is_number;

/// A JSON value as a column sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading<T> {
    /// Absent or null.
    Null,
    /// It fits.
    Value(T),
    /// It belongs in `_extra`.
    Misfit,
}

impl<T> Reading<T> {
    fn fit(value: Option<T>) -> Self {
        value.map_or(Self::Misfit, Self::Value)
    }

    /// The same with another value.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Null => Reading::Null,
            Self::Value(value) => Reading::Value(make(value)),
            Self::Misfit => Reading::Misfit,
        }
    }

    /// The value, where there is one.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null | Self::Misfit => None,
        }
    }
}

/// Text: a string, or the text of a number as served.
pub(super) fn text<'t>(tape: &Tape<'t>, pos: u32) -> Reading<&'t str> {
    match tape.get(pos) {
        TapeElement::String(index) => Reading::Value(tape.get_string(index)),
        TapeElement::Null => Reading::Null,
        TapeElement::Number(index) => Reading::fit(Some(tape.get_string(index)).filter(|text| is_number(text))),
        _ => Reading::Misfit,
    }
}

/// An integer: a number without a fraction, or a string that holds one.
pub(super) fn integer(tape: &Tape<'_>, pos: u32) -> Reading<i64> {
    match tape.get(pos) {
        TapeElement::Null => Reading::Null,
        TapeElement::Number(index) | TapeElement::String(index) => Reading::fit(parse_integer(tape.get_string(index))),
        _ => Reading::Misfit,
    }
}

/// A time in microseconds since 1970, from whole seconds.
pub(super) fn time(tape: &Tape<'_>, pos: u32) -> Reading<i64> {
    match integer(tape, pos) {
        // Beyond the years that a timestamp can name there is no day to put the row in.
        Reading::Value(seconds) => Reading::fit(Timestamp::from_second(seconds).ok().map(|time| time.as_microsecond())),
        other => other,
    }
}

/// `true` or `false`, nothing else.
pub(super) fn boolean(tape: &Tape<'_>, pos: u32) -> Reading<bool> {
    match tape.get(pos) {
        TapeElement::True => Reading::Value(true),
        TapeElement::False => Reading::Value(false),
        TapeElement::Null => Reading::Null,
        _ => Reading::Misfit,
    }
}

/// A list of integers and nulls, appended to `out`; on a misfit `out` ends somewhere inside the list.
pub(super) fn integers(tape: &Tape<'_>, pos: u32, mut out: impl FnMut(Option<i64>)) -> Reading<()> {
    let end = match tape.get(pos) {
        TapeElement::StartList(end) => end,
        TapeElement::Null => return Reading::Null,
        _ => return Reading::Misfit,
    };
    // Everything that fits is one element wide.
    for at in pos + 1..end {
        match integer(tape, at) {
            Reading::Value(value) => out(Some(value)),
            Reading::Null => out(None),
            Reading::Misfit => return Reading::Misfit,
        }
    }
    Reading::Value(())
}

/// Where the object at `pos` ends.
pub(super) fn object(tape: &Tape<'_>, pos: u32) -> Reading<u32> {
    match tape.get(pos) {
        TapeElement::StartObject(end) => Reading::Value(end),
        TapeElement::Null => Reading::Null,
        _ => Reading::Misfit,
    }
}

/// The position after the value at `pos`.
pub(super) fn after(tape: &Tape<'_>, pos: u32) -> u32 {
    match tape.get(pos) {
        TapeElement::StartObject(end) | TapeElement::StartList(end) => end + 1,
        _ => pos + 1,
    }
}

/// The fields of the object from `pos` to `end`: each name and the position of its value.
pub(super) fn fields<'t>(tape: &Tape<'t>, pos: u32, end: u32) -> impl Iterator<Item = (&'t str, u32)> {
    let mut at = pos + 1;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let value = at + 1;
            at = after(tape, value);
            (name_before(tape, value), value)
        })
    })
}

/// The name of the field whose value is at `pos`.
pub(super) fn name_before<'t>(tape: &Tape<'t>, pos: u32) -> &'t str {
    match tape.get(pos - 1) {
        TapeElement::String(index) => tape.get_string(index),
        _ => "",
    }
}

/// The integer that `text` stands for by the grammar of JSON numbers: `42`, `1.0`, `1e3`, never rounded.
fn parse_integer(text: &str) -> Option<i64> {
    if let Some(few) = few_digits(text.as_bytes()) {
        return Some(few);
    }
    let bytes = text.as_bytes();
    let unsigned = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let plain = unsigned.iter().all(u8::is_ascii_digit) && (unsigned.len() == 1 || unsigned.first() != Some(&b'0'));
    if plain {
        text.parse().ok()
    } else {
        is_number(text).then(|| exact_integer(text)).flatten()
    }
}

/// What nearly every number is: too few digits to overflow, and nothing else.
fn few_digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    text.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Some(value * 10 + i64::from(digit - b'0')),
        _ => None,
    })
}

/// The value of a well-formed number with a fraction or an exponent, when it is an integer.
fn exact_integer(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() || significant == "-" {
        return Some(0);
    }
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let scale = exponent.parse::<i64>().ok()?.checked_add(dropped)? - i64::try_from(fraction.len()).ok()?;
    let power = 10_i64.checked_pow(u32::try_from(scale).ok()?)?;
    significant.parse::<i64>().ok()?.checked_mul(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_or_not_at_all() {
        let cases = [
            ("42", Some(42)),
            ("-7", Some(-7)),
            ("1.0", Some(1)),
            ("-1.50e1", Some(-15)),
            ("1e3", Some(1000)),
            ("1200e-2", Some(12)),
            ("0.0", Some(0)),
            ("-0", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("1e19", None),
            ("1e99999999999999999999", None),
            ("1.9", None),
            ("1e-1", None),
            ("", None),
            ("-", None),
            ("abc", None),
            ("007", None),
            (" 7", None),
            ("+7", None),
        ];
        for (text, value) in cases {
            assert_eq!(parse_integer(text), value, "{text:?}");
        }
    }
}
