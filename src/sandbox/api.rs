//! The App API over HTTP: who is let in, what goes wrong, and how an answer travels.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Query as Decoded, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};

use super::behaviour::Behaviour;
use super::chance::{Dice, Kind};
use super::endpoints::{Call, Query, Route};
use super::faults::Fault;
use super::page::{Answer, Refusal, too_many};
use super::server::{Settings, Shared};
use super::workspace::View;

const LARGEST_REQUEST: usize = 1 << 20;
const WORTH_COMPRESSING: usize = 1_024;
const HTML: &str =
    "<html><head><title>Service unavailable</title></head><body><h1>Something went wrong</h1></body></html>";

/// One answer on its way.
struct Outcome {
    status: u16,
    body: Vec<u8>,
    html: bool,
    retry_after: Option<String>,
    fault: Option<Fault>,
}

/// Answers every request that is not for the control interface.
pub(super) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let arrived = shared.journal.arrive();
    let settings = shared.settings();
    let (parts, body) = request.into_parts();
    let route = Route::find(parts.method.as_str(), parts.uri.path());
    let admitted = admit(&shared, &settings, &parts, route);
    delay(
        &settings.behaviour,
        Dice::new(shared.world.seed, Kind::Request, arrived.n),
    )
    .await;
    let outcome = match admitted {
        Ok(route) => {
            let body = axum::body::to_bytes(body, LARGEST_REQUEST).await.unwrap_or_default();
            answer(&shared, &settings, (&parts, &body), route)
        }
        Err(refusal) => refuse(refusal, &settings.behaviour),
    };
    let cut = outcome.fault == Some(Fault::CutBefore);
    let status = if cut { 0 } else { outcome.status };
    arrived.answered(route.map(|route| route.endpoint), &parts.method, &parts.uri, status);
    respond(outcome, &parts.headers, &settings.behaviour)
}

/// Key, then rate, then rights, then existence, as a gateway asks.
fn admit(shared: &Shared, settings: &Settings, parts: &Parts, route: Option<Route>) -> Result<Route, Refusal> {
    let key = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if key.and_then(|key| key.strip_prefix("Bearer ")) != Some(&*shared.token) {
        return Err(Refusal::Unauthorized);
    }
    if !settings.bucket.take(Instant::now()) {
        return Err(Refusal::TooMany(settings.behaviour.rate));
    }
    let route = route.ok_or(Refusal::NotFound)?;
    if settings.behaviour.forbidden.contains(&route.endpoint) {
        return Err(Refusal::Forbidden);
    }
    if route.message.is_some_and(|id| settings.has_vanished(id)) {
        return Err(Refusal::NotFound);
    }
    Ok(route)
}

async fn delay(behaviour: &Behaviour, mut dice: Dice) {
    let jitter = dice.below(behaviour.jitter_ms.saturating_add(1));
    let delay = behaviour.latency_ms.saturating_add(jitter);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
}

fn refuse(refusal: Refusal, behaviour: &Behaviour) -> Outcome {
    let limited = matches!(refusal, Refusal::TooMany(_));
    let (status, body) = Answer::Refusal(refusal).render(behaviour, None, None);
    Outcome {
        status,
        body,
        html: false,
        retry_after: (limited && behaviour.retry_after).then(|| "1".to_owned()),
        fault: None,
    }
}

fn answer(shared: &Shared, settings: &Settings, (parts, body): (&Parts, &Bytes), route: Route) -> Outcome {
    let behaviour = &settings.behaviour;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let fault = settings.plan.next(route.endpoint, target);
    if let Some(failed) = fault.as_ref().and_then(|fault| fail(fault, behaviour)) {
        return failed;
    }
    let Ok(Decoded(query)) = Decoded::try_from_uri(&parts.uri) else {
        return refuse(Refusal::Malformed("malformed query".into()), behaviour);
    };
    let view = View {
        world: &shared.world,
        now: shared.now_ms(),
        behaviour,
    };
    let call = Call {
        view,
        query: Query(query),
        body,
    };
    let start = call.query.get("start");
    let (status, mut body) = call.answer(route).render(behaviour, fault.as_ref(), start);
    if fault == Some(Fault::Truncated) {
        body.truncate(body.len() / 2);
    }
    Outcome {
        status,
        body,
        html: false,
        retry_after: None,
        fault,
    }
}

/// The answer of a fault that does not even look at the request.
fn fail(fault: &Fault, behaviour: &Behaviour) -> Option<Outcome> {
    let (status, retry_after) = match fault {
        Fault::Status { code, retry_after } => (*code, retry_after.clone()),
        Fault::Html => (200, None),
        _ => return None,
    };
    let limited = status == 429;
    Some(Outcome {
        status,
        body: if limited {
            too_many(behaviour.rate)
        } else {
            HTML.as_bytes().to_vec()
        },
        html: !limited,
        retry_after,
        fault: None,
    })
}

fn respond(outcome: Outcome, asked: &HeaderMap, behaviour: &Behaviour) -> Response {
    let status = StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    let kind = if outcome.html {
        "text/html; charset=utf-8"
    } else {
        "application/json"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(value) = outcome
        .retry_after
        .and_then(|seconds| HeaderValue::from_str(&seconds).ok())
    {
        headers.insert(header::RETRY_AFTER, value);
    }
    let mut body = outcome.body;
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

/// The body as it goes over the wire: at once, in pieces, or cut.
fn travel(body: Vec<u8>, fault: Option<Fault>) -> Body {
    let cut = || Err(io::Error::other("the sandbox cuts this connection"));
    match fault {
        Some(Fault::CutBefore) => paced(vec![cut()], Duration::ZERO),
        Some(Fault::CutInside) => {
            let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
            paced(vec![Ok(half), cut()], Duration::from_millis(20))
        }
        Some(Fault::Slow { ms }) => {
            const PIECES: usize = 8;
            let size = body.len().div_ceil(PIECES).max(1);
            let pieces = body
                .chunks(size)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            paced(pieces, Duration::from_millis(ms / PIECES as u64))
        }
        _ => Body::from(body),
    }
}

/// The pieces with a pause before each: what was written before is on its way by then.
fn paced(pieces: Vec<io::Result<Bytes>>, pause: Duration) -> Body {
    Body::from_stream(stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece
    }))
}
