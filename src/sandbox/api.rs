//! The App API over HTTP: who is let in, what goes wrong, and what is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Query as Decoded, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use axum::response::Response;

use super::behaviour::Behaviour;
use super::chance::{Dice, Kind};
use super::endpoints::{Call, Query, Route};
use super::fault::Fault;
use super::line::Line;
use super::page::{Answer, Refusal, too_many};
use super::server::{Settings, Shared};
use super::wire::{Outcome, respond};
use super::workspace::View;

const LARGEST_REQUEST: usize = 1 << 20;
const HTML: &str =
    "<html><head><title>Service unavailable</title></head><body><h1>Something went wrong</h1></body></html>";

/// Answers every request that is not for the control interface.
pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let arrived = shared.journal.arrive();
    let settings = shared.settings();
    shared.pass(settings.behaviour.shifting_ms);
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
    let status = if outcome.is_silent() { 0 } else { outcome.status };
    arrived.answered(route.map(|route| route.endpoint), &parts.method, &parts.uri, status);
    respond(outcome, &parts.headers, &settings.behaviour, &line)
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
    let (status, body) = Answer::Refusal(refusal).render(behaviour, None);
    let wait = (limited && behaviour.retry_after).then_some("1");
    Outcome::json(status, body).with(header::RETRY_AFTER, wait)
}

fn answer(shared: &Shared, settings: &Settings, (parts, body): (&Parts, &Bytes), route: Route) -> Outcome {
    let behaviour = &settings.behaviour;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let fault = settings.plan.next(route.endpoint, target);
    if let Some(failed) = fault.as_ref().and_then(|fault| fail(fault, &parts.headers, behaviour)) {
        return failed;
    }
    let Ok(Decoded(query)) = Decoded::try_from_uri(&parts.uri) else {
        return refuse(Refusal::Malformed("malformed query".into()), behaviour);
    };
    let query = Query(query);
    if fault == Some(Fault::ExpiredCursor) && query.get("start").is_some() {
        return refuse(Refusal::Malformed("start has expired".into()), behaviour);
    }
    let view = View {
        world: &shared.world,
        now: shared.now_ms(),
        behaviour,
    };
    let (status, body) = Call { view, query, body }
        .answer(route)
        .render(behaviour, fault.as_ref());
    Outcome::json(status, body).struck(fault)
}

/// The answer of a fault that does not even look at the request.
fn fail(fault: &Fault, asked: &HeaderMap, behaviour: &Behaviour) -> Option<Outcome> {
    Some(match fault {
        Fault::Status { code, retry_after } => {
            let answer = match code {
                429 => Outcome::json(429, too_many(behaviour.rate)),
                code => Outcome::html(*code, HTML),
            };
            answer.with(header::RETRY_AFTER, retry_after.as_deref())
        }
        Fault::Redirect { code, to } => Outcome::html(*code, HTML).with(header::LOCATION, Some(to)),
        Fault::Echo { code } => Outcome::json(*code, echo(asked)),
        Fault::Html => Outcome::html(200, HTML),
        Fault::Garbage => Outcome::json(200, (0..=255).rev().cycle().take(2_000).collect()),
        _ => return None,
    })
}

/// What was asked, in the words of a server that tells its clients too much.
fn echo(asked: &HeaderMap) -> Vec<u8> {
    let told = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap_or("?"));
    let headers: Vec<String> = asked.iter().map(told).collect();
    let detail = format!("cannot serve {}", headers.join(", "));
    serde_json::json!({"errors": [{"detail": detail}], "meta": {"error": detail}})
        .to_string()
        .into_bytes()
}
