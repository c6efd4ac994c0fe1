//! Cursors: opaque to the client, here the row that was served last.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The last row served, as the endpoint numbers its rows.
    pub(super) row: u64,
    /// How many pages without rows have led on from here already.
    pub(super) again: u64,
}

/// How an endpoint's cursors look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A long decimal number.
    Decimal,
    /// Base64 with `+`, `/` and `=` in it: whoever does not percent-encode it sends a space.
    Base64,
}

/// Its six bits of ones and zeros make `+///` in base64.
const MARK: [u8; 3] = [0xfb, 0xff, 0xff];
const DECIMAL: u64 = 900_000_000_000_000_000;
/// So many pages without rows are told apart in a decimal cursor.
const AGAIN: u64 = 65_536;

impl Cursor {
    pub(super) fn after(row: u64) -> Self {
        Self { row, again: 0 }
    }

    pub(super) fn encode(self, form: Form) -> String {
        match form {
            Form::Decimal => (DECIMAL + self.row * AGAIN + self.again % AGAIN).to_string(),
            Form::Base64 => {
                let mut bytes = MARK.to_vec();
                bytes.extend_from_slice(format!("{}:{:09}", self.again, self.row).as_bytes());
                STANDARD.encode(bytes)
            }
        }
    }

    /// The cursor that `text` stands for; none if it is not one of ours.
    pub(super) fn decode(text: &str, form: Form) -> Option<Self> {
        match form {
            Form::Decimal => {
                let number = text.parse::<u64>().ok()?.checked_sub(DECIMAL)?;
                Some(Self {
                    row: number / AGAIN,
                    again: number % AGAIN,
                })
            }
            Form::Base64 => {
                let bytes = STANDARD.decode(text).ok()?;
                let (again, row) = std::str::from_utf8(bytes.strip_prefix(&MARK)?).ok()?.split_once(':')?;
                Some(Self {
                    row: row.parse().ok()?,
                    again: again.parse().ok()?,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went() {
        for form in [Form::Decimal, Form::Base64] {
            for row in [0, 1, 999, 123_456_789, 30_000_000_000] {
                for again in [0, 1, 1_000] {
                    let cursor = Cursor { row, again };
                    assert_eq!(Cursor::decode(&cursor.encode(form), form), Some(cursor));
                }
            }
        }
    }

    #[test]
    fn base64_cursors_need_percent_encoding() {
        let text = Cursor::after(150).encode(Form::Base64);
        assert!(text.contains('+') && text.contains('/') && text.ends_with('='));
        assert_eq!(Cursor::decode(&text.replace('+', " "), Form::Base64), None);
        assert_eq!(Cursor::decode("MDox", Form::Base64), None);
        assert_eq!(Cursor::decode("14", Form::Decimal), None);
    }
}
