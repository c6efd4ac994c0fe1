//! An answer on its way: compressed, slowed down, cut off, or written wrongly.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};

use super::behaviour::Behaviour;
use super::fault::Fault;
use super::line::{Line, Then};

const WORTH_COMPRESSING: usize = 1_024;

/// What is to be answered, and what happens to it on its way.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: u16,
    body: Vec<u8>,
    headers: HeaderMap,
    fault: Option<Fault>,
}

impl Outcome {
    pub(super) fn json(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            headers: HeaderMap::new(),
            fault: None,
        }
        .with(header::CONTENT_TYPE, Some("application/json"))
    }

    pub(super) fn html(status: u16, page: &str) -> Self {
        Self::json(status, page.as_bytes().to_vec()).with(header::CONTENT_TYPE, Some("text/html; charset=utf-8"))
    }

    /// With one header more, if `value` is one.
    pub(super) fn with(mut self, name: HeaderName, value: Option<&str>) -> Self {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With what goes wrong.
    pub(super) fn struck(mut self, fault: Option<Fault>) -> Self {
        match fault {
            // Not in the middle, where a short `Content-Length` ends: the same bytes again and again would be content.
            Some(Fault::Truncated) => self.body.truncate(self.body.len() * 2 / 3),
            Some(Fault::Padded { bytes }) => {
                let padding = vec![b' '; bytes.saturating_sub(self.body.len())];
                self.body = [padding, self.body].concat();
            }
            _ => {}
        }
        self.fault = fault;
        self
    }

    /// Whether no byte of it arrives.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.fault, Some(Fault::CutBefore | Fault::Reset))
    }
}

/// The response to a request with the headers `asked`, on the connection of `line`.
pub(super) fn respond(outcome: Outcome, asked: &HeaderMap, behaviour: &Behaviour, line: &Line) -> Response {
    if let Some((bytes, then)) = raw(&outcome) {
        line.replace_answer(bytes, then);
        return StatusCode::OK.into_response();
    }
    let status = StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (mut body, mut headers) = (outcome.body, outcome.headers);
    if behaviour.gzip
        && body.len() > WORTH_COMPRESSING
        && accepts_gzip(asked)
        && let Ok(compressed) = gzip(&body)
    {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        body = compressed;
    }
    (status, headers, travel(body, outcome.fault)).into_response()
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(1));
    encoder.write_all(body)?;
    encoder.finish()
}

/// The bytes of an answer that the HTTP server would not write, and what becomes of the connection.
fn raw(outcome: &Outcome) -> Option<(Vec<u8>, Then)> {
    let body = outcome.body.as_slice();
    let half = &body[..body.len() / 2];
    let announced = |length: usize, sent: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), sent].concat()
    };
    Some(match outcome.fault.as_ref()? {
        Fault::Reset => (Vec::new(), Then::Reset),
        Fault::ResetInside => (announced(body.len(), half), Then::Reset),
        Fault::LongLength => (announced(body.len() + 100, body), Then::Close),
        Fault::ShortLength => (announced(half.len(), body), Then::Stay),
        _ => return None,
    })
}

/// The body as it goes over the wire: at once, in pieces, or cut.
fn travel(body: Vec<u8>, fault: Option<Fault>) -> Body {
    let cut = || Err(io::Error::other("the sandbox cuts this connection"));
    let (first, second) = body.split_at(body.len() / 2);
    match fault {
        Some(Fault::CutBefore) => paced(vec![(Duration::ZERO, cut())]),
        Some(Fault::CutInside) => {
            // What was written before is on its way by then.
            let pause = Duration::from_millis(20);
            paced(vec![(Duration::ZERO, piece(first)), (pause, cut())])
        }
        Some(Fault::Stall { ms }) => {
            let pause = ms.map_or(Duration::MAX, Duration::from_millis);
            paced(vec![(Duration::ZERO, piece(first)), (pause, piece(second))])
        }
        Some(Fault::Slow { ms }) => {
            const PIECES: usize = 8;
            let pause = Duration::from_millis(ms / PIECES as u64);
            let size = body.len().div_ceil(PIECES).max(1);
            paced(body.chunks(size).map(|bytes| (pause, piece(bytes))).collect())
        }
        _ => Body::from(body),
    }
}

fn piece(bytes: &[u8]) -> io::Result<Bytes> {
    Ok(Bytes::copy_from_slice(bytes))
}

/// The pieces, each after a pause.
fn paced(pieces: Vec<(Duration, io::Result<Bytes>)>) -> Body {
    Body::from_stream(stream::iter(pieces).then(|(pause, piece)| async move {
        tokio::time::sleep(pause).await;
        piece
    }))
}
