//! Reading a body, but not more of it than is good.

use std::io;

use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use serde_json::Value;

use super::Token;

/// The most that a page may hold, decoded.
pub(super) const LARGEST_PAGE: usize = 32 << 20;

/// As much of a refusal as can hold its reason.
const LARGEST_REFUSAL: usize = 64 << 10;

const MOST_RESERVED: usize = 1 << 20;
const LEAST_RESERVED: usize = 8 << 10;

/// The largest window that gzip knows.
const WINDOW_BITS: u8 = 15;

/// The longest text of the server that is repeated in an error, in characters.
const LONGEST_WORDS: usize = 300;

/// Why a body did not come whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error(transparent)]
    Network(#[from] reqwest::Error),
    #[error("gzip: {0}")]
    Damaged(#[from] io::Error),
}

/// The whole decoded body, or `None` as soon as it is over `cap` bytes: a gzip bomb is never unfolded.
///
/// It is unpacked in one go when it is there: piece by piece, as they come, that costs more.
pub(super) async fn read_up_to(response: &mut Response, cap: usize) -> Result<Option<Bytes>, BodyError> {
    let is_packed = response
        .headers()
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let body = read_as_sent(response, cap).await?;
    match body {
        Some(packed) if is_packed && !packed.is_empty() => Ok(unpack(&packed, cap)?),
        body => Ok(body),
    }
}

/// The unpacked body, unless it is over `cap` bytes.
///
/// Straight into a buffer that holds all of it: the decompressor then neither keeps a window nor copies one.
fn unpack(packed: &[u8], cap: usize) -> io::Result<Option<Bytes>> {
    // The last bytes say how much it is; should they lie, there is only more to copy.
    let told = packed
        .last_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    let mut body = Vec::with_capacity(told.min(MOST_RESERVED) + 1);
    let mut rest = packed;
    // Gzip may be several members one after the other.
    while !rest.is_empty() {
        let mut member = Decompress::new_gzip(WINDOW_BITS);
        loop {
            let unread = &rest[member.total_in() as usize..];
            let status = member.decompress_vec(unread, &mut body, FlushDecompress::Finish)?;
            if body.len() > cap {
                return Ok(None);
            }
            if status == Status::StreamEnd {
                break;
            }
            if body.len() < body.capacity() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            body.reserve_exact(body.len().max(LEAST_RESERVED).min(cap + 1 - body.len()));
        }
        rest = &rest[member.total_in() as usize..];
    }
    Ok(Some(Bytes::from(body)))
}

async fn read_as_sent(response: &mut Response, cap: usize) -> reqwest::Result<Option<Bytes>> {
    let announced = response.content_length().unwrap_or(0);
    if announced > cap as u64 {
        return Ok(None);
    }
    // What is announced need not come, so it alone does not decide how much is reserved.
    let mut body = BytesMut::with_capacity((announced as usize).min(MOST_RESERVED));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > cap {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

/// What the server gives as its reason in the body of a refusal, where it can be read and found; never the `token`, even
/// from a server that repeats what it was sent.
pub(super) async fn read_reason(mut response: Response, token: &Token) -> Option<String> {
    let body = read_up_to(&mut response, LARGEST_REFUSAL).await.ok().flatten()?;
    reason(&String::from_utf8_lossy(&body), token)
}

/// The reason in one of the envelopes of the API, which coexist, or the first line of a plain text.
fn reason(body: &str, token: &Token) -> Option<String> {
    let words = match serde_json::from_str::<Value>(body) {
        Ok(json) => reasons(&json).join("; "),
        Err(_) => plain_line(body)?.to_owned(),
    };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let printable: String = words.chars().filter(|letter| !letter.is_control()).collect();
    // Once escapes are resolved, which may hide a key, and before anything is cut off, since half a key would not be recognised.
    let short: String = token.redact(&printable).chars().take(LONGEST_WORDS).collect();
    Some(short).filter(|text| !text.is_empty())
}

/// `errors[].detail` (or `reason`, or a bare string), `meta.error` and `meta.errors[]`.
fn reasons(json: &Value) -> Vec<&str> {
    let meta = &json["meta"];
    let lists = [&json["errors"], &meta["errors"]]
        .into_iter()
        .filter_map(Value::as_array);
    let listed = lists.flatten().filter_map(|error| {
        let named = ["detail", "reason", "message"]
            .into_iter()
            .find_map(|key| error[key].as_str());
        named.or(error.as_str())
    });
    listed.chain(meta["error"].as_str()).collect()
}

fn plain_line(body: &str) -> Option<&str> {
    // Markup of a gateway says nothing that the status does not.
    body.trim().lines().next().filter(|line| !line.starts_with('<'))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn pack(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn letters(count: usize) -> Vec<u8> {
        (0..count).map(|at| b"abcdefghijk"[at * at % 11]).collect()
    }

    proptest! {
        #[test]
        fn any_members_are_unpacked_and_nothing_over_the_cap(
            members in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30_000), 1..4),
            under in 1..100_usize,
        ) {
            let packed: Vec<u8> = members.iter().flat_map(|member| pack(member)).collect();
            let whole = members.concat();
            for cap in [whole.len(), whole.len() + under, LARGEST_PAGE] {
                prop_assert_eq!(unpack(&packed, cap).unwrap().unwrap(), &whole);
            }
            if let Some(cap) = whole.len().checked_sub(under) {
                prop_assert!(unpack(&packed, cap).unwrap().is_none());
            }
        }
    }

    #[test]
    fn more_than_its_end_tells_is_unpacked_too() {
        let whole = letters(3 * MOST_RESERVED);
        let packed = [pack(&whole), pack(b"z")].concat();
        let unpacked = unpack(&packed, LARGEST_PAGE).unwrap().unwrap();
        assert!(unpacked[..whole.len()] == whole && unpacked[whole.len()..] == *b"z");
    }

    #[test]
    fn a_bomb_is_not_unfolded() {
        let bomb = pack(&vec![0; LARGEST_PAGE + 1]);
        assert!(unpack(&bomb, LARGEST_PAGE).unwrap().is_none());
    }

    #[test]
    fn what_is_damaged_or_broken_off_is_no_body() {
        let packed = pack(&letters(50_000));
        for end in 1..packed.len() {
            assert!(unpack(&packed[..end], LARGEST_PAGE).is_err(), "broken off after {end}");
        }
        for at in [0, 1, 2, packed.len() / 2, packed.len() - 8, packed.len() - 1] {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x55;
            assert!(unpack(&damaged, LARGEST_PAGE).is_err(), "damaged at {at}");
        }
        assert!(unpack(&[packed, b"garbage".to_vec()].concat(), LARGEST_PAGE).is_err());
    }

    fn token() -> Token {
        Token::new("s3cret/7").unwrap()
    }

    #[test]
    fn a_key_is_not_repeated_however_it_is_written() {
        for written in ["s3cret/7", r"s3cret\/7", r"\u00733cret/7"] {
            let body = format!(
                r#"{{"meta":{{"error":"{} Bearer {written}"}}}}"#,
                "x".repeat(LONGEST_WORDS - 10)
            );
            let text = reason(&body, &token()).unwrap();
            assert!(text.contains("xx Bearer *"), "{text}");
            assert!(!text.contains('s'), "{text}");
        }
        assert_eq!(reason("you sent s3cret/7", &token()).as_deref(), Some("you sent ***"));
    }

    #[test]
    fn every_envelope_gives_its_reason() {
        for (body, expected) in [
            (r#"{"errors":[{"detail":"unauthorized","status":401}]}"#, "unauthorized"),
            (r#"{"errors":[{"detail":"a","status":"429"},{"detail":"b"}]}"#, "a; b"),
            (r#"{"errors":[{"reason":"required","field":"x"}]}"#, "required"),
            (r#"{"meta":{"error":"no such template"}}"#, "no such template"),
            (r#"{"meta":{"errors":["one","two"]}}"#, "one; two"),
            ("upstream\tbusy\nmore", "upstream busy"),
        ] {
            assert_eq!(reason(body, &token()).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn no_reason_is_made_up() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "<html><body>502</body></html>",
            r#"{"errors":"x"}"#,
        ] {
            assert_eq!(reason(body, &token()), None, "{body}");
        }
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let body = format!(
            "{{\"errors\":[{{\"detail\":\"a\\n\\u001b[31m{}\"}}]}}",
            "x".repeat(5000)
        );
        let text = reason(&body, &token()).unwrap();
        assert_eq!(text.chars().count(), LONGEST_WORDS);
        assert!(!text.chars().any(char::is_control));
    }
}
