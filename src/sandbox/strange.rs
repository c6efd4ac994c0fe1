//! Rows that are legal JSON and hard to read, and rows that nobody can read.

use super::chance::Dice;
use super::json::Oddity;

/// Digits of a number that fits no machine.
const DIGITS: usize = 400;
/// Deep, but not deeper than a JSON parser has to go.
const DEEP: usize = 100;
/// Deeper than one does.
const TOO_DEEP: usize = 300;

/// A field that no column knows, and that `_extra` has to hold to the letter; of a name that comes twice, the later value.
pub(super) fn strange(dice: &mut Dice) -> Vec<Oddity> {
    match dice.below(6) {
        0 => vec![Oddity::unknown("huge", "7".repeat(DIGITS))],
        1 => vec![Oddity::unknown("tiny", format!("-0.{}1e-{DIGITS}", "0".repeat(DIGITS)))],
        2 => vec![Oddity::unknown("nul", r#""before\u0000after""#)],
        3 => vec![Oddity::unknown("deep", nested(DEEP))],
        4 => vec![Oddity::unknown(
            "wide",
            "\"\u{1F469}\u{200D}\u{1F680}\u{10FFFF}\u{FEFF}\"",
        )],
        _ => vec![
            Oddity::overridden("twice", "{\"first\":[1]}"),
            Oddity::unknown("twice", "\"second\""),
        ],
    }
}

/// The bytes of a row that cannot be read, though a person can read whom it is about; `index` tells one from another.
pub(super) fn unreadable(index: u64, dice: &mut Dice) -> Vec<u8> {
    let email = format!(r#""email":"unreadable.{index}@example.com""#);
    match dice.below(4) {
        0 => format!(r#"{{"id":"half {index}\ud83d",{email}}}"#).into_bytes(),
        1 => format!(r#"{{{email},"id":"other half {index}\udc00x"}}"#).into_bytes(),
        2 => format!(r#"{{"id":"deep {index}",{email},"data":{}}}"#, nested(TOO_DEEP)).into_bytes(),
        _ => [
            format!(r#"{{{email},"id":"bytes {index}"#).as_bytes(),
            b"\xc3\x28\xff\xfe",
            br#""}"#,
        ]
        .concat(),
    }
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[cfg(test)]
mod tests {
    use super::super::chance::Kind;
    use super::*;

    #[test]
    fn what_is_strange_is_json_and_what_is_unreadable_is_not() {
        for index in 0..40 {
            let mut dice = Dice::new(1, Kind::Odd, index);
            for oddity in strange(&mut dice) {
                // Text of any length is a number to the grammar, whatever a machine makes of it.
                let read = serde_json::from_str::<&serde_json::value::RawValue>(&oddity.served);
                assert!(read.is_ok(), "{oddity:?}");
            }
            let row = unreadable(index, &mut dice);
            assert!(serde_json::from_slice::<serde_json::Value>(&row).is_err(), "{index}");
        }
    }
}
