//! The control interface under `/_sandbox`: the clock, the truth, the requests, the behaviour. It needs no key.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query as Decoded, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoints::message_list;
use super::metrics::Period;
use super::server::Shared;
use super::truth::Stream;
use super::workspace::View;

type Server = State<Arc<Shared>>;

/// The routes below `/_sandbox`.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/clock", get(clock).post(set_clock))
        .route("/truth/{stream}", get(truth))
        .route("/requests", get(requests).delete(reset_requests))
        .route("/behaviour", get(behaviour).post(set_behaviour))
        .route("/messages", get(messages))
}

async fn clock(State(shared): Server) -> Response {
    ok(json!({"now": shared.now().to_string()}))
}

/// Either an instant, or how far to move on from the present one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClockChange {
    now: Option<String>,
    advance: Option<String>,
}

impl ClockChange {
    fn apply(&self, now: Timestamp) -> Result<Timestamp, String> {
        match (&self.now, &self.advance) {
            (Some(instant), None) => instant
                .parse()
                .map_err(|error| format!("{instant:?} is no RFC 3339 instant: {error}")),
            (None, Some(text)) => {
                let by = duration(text).ok_or_else(|| format!("{text:?} is no duration such as 40d, 3h, 10m or 5s"))?;
                now.checked_add(by).map_err(|error| error.to_string())
            }
            _ => Err("expected {\"now\":\"2026-11-22T03:00:00Z\"} or {\"advance\":\"1d\"}".into()),
        }
    }
}

fn duration(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    Some(SignedDuration::from_secs(
        number.parse::<i64>().ok()?.checked_mul(seconds)?,
    ))
}

async fn set_clock(State(shared): Server, body: String) -> Response {
    let change = serde_json::from_str::<ClockChange>(&body).map_err(|error| error.to_string());
    match change.and_then(|change| change.apply(shared.now())) {
        Ok(now) => {
            shared.set_now(now);
            clock(State(shared)).await
        }
        Err(error) => bad(&error),
    }
}

/// How the truth is asked for; it has to be what the lake asked the API for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TruthQuery {
    period: Option<String>,
    steps: Option<u64>,
    get_tracked_responses: Option<bool>,
}

impl TruthQuery {
    fn stream(&self, name: &str) -> Result<Stream, String> {
        let stream = Stream::parse(name).ok_or_else(|| format!("the sandbox knows no stream {name:?}"))?;
        let period = self
            .period
            .as_deref()
            .map(|text| Period::parse(text).ok_or_else(|| format!("unknown period {text:?}")));
        Ok(match stream {
            Stream::Metrics(days, steps) => Stream::Metrics(period.transpose()?.unwrap_or(days), self.steps.or(steps)),
            Stream::Details { tracked_responses } => Stream::Details {
                tracked_responses: self.get_tracked_responses.unwrap_or(tracked_responses),
            },
            other => other,
        })
    }
}

async fn truth(State(shared): Server, Path(name): Path<String>, Decoded(query): Decoded<TruthQuery>) -> Response {
    let stream = match query.stream(&name) {
        Ok(stream) => stream,
        Err(error) => return bad(&error),
    };
    let pieces = stream::iter(shared.truth(stream).map(Ok::<_, Infallible>));
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(pieces),
    )
        .into_response()
}

async fn requests(State(shared): Server) -> Response {
    match serde_json::to_value(shared.journal.requests()) {
        Ok(requests) => ok(requests),
        Err(error) => bad(&error.to_string()),
    }
}

async fn reset_requests(State(shared): Server) -> Response {
    shared.journal.reset();
    ok(json!({}))
}

async fn behaviour(State(shared): Server) -> Response {
    match serde_json::to_value(&shared.settings().behaviour) {
        Ok(behaviour) => ok(behaviour),
        Err(error) => bad(&error.to_string()),
    }
}

async fn set_behaviour(State(shared): Server, body: String) -> Response {
    let patch = serde_json::from_str::<Value>(&body);
    match patch.and_then(|patch| shared.settings().behaviour.patched(&patch)) {
        Ok(changed) => {
            shared.set_behaviour(changed);
            behaviour(State(shared)).await
        }
        Err(error) => bad(&error.to_string()),
    }
}

async fn messages(State(shared): Server) -> Response {
    let settings = shared.settings();
    let view = View {
        world: &shared.world,
        now: shared.now_ms(),
        behaviour: &settings.behaviour,
    };
    ([(header::CONTENT_TYPE, "application/json")], message_list(&view)).into_response()
}

fn ok(value: Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn bad(error: &str) -> Response {
    let body = json!({"error": error}).to_string();
    (
        StatusCode::BAD_REQUEST,
        [(header::CONTENT_TYPE, "application/json")],
        body,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_set_or_moved_on() {
        let start: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let apply = |body: &str| serde_json::from_str::<ClockChange>(body).unwrap().apply(start);
        assert_eq!(
            apply(r#"{"advance":"40d"}"#).unwrap().to_string(),
            "2027-01-01T03:00:00Z"
        );
        assert_eq!(
            apply(r#"{"advance":"3h"}"#).unwrap().to_string(),
            "2026-11-22T06:00:00Z"
        );
        assert_eq!(
            apply(r#"{"now":"2026-01-01T00:00:00Z"}"#).unwrap().to_string(),
            "2026-01-01T00:00:00Z"
        );
        for bad in [
            r#"{}"#,
            r#"{"advance":"d"}"#,
            r#"{"advance":"3 fortnights"}"#,
            r#"{"now":"soon"}"#,
        ] {
            assert!(apply(bad).is_err(), "{bad}");
        }
    }
}
