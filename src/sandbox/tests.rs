//! The sandbox through its door: requests over HTTP, compared with the truth.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::*;

mod lists;

const EVERYONE: &str = r#"{"filter":{"and":[{"attribute":{"field":"cio_id","operator":"exists"}}]}}"#;

struct Door {
    sandbox: Sandbox,
    client: Client,
}

impl Door {
    async fn open(workspace: Workspace, behaviour: Behaviour) -> Self {
        // A second test of the same process finds the provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sandbox = Sandbox::start(workspace, behaviour, ([127, 0, 0, 1], 0).into())
            .await
            .unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { sandbox, client }
    }

    async fn small(behaviour: Behaviour) -> Self {
        let workspace = Workspace {
            people: 130,
            messages: 8,
            deliveries: 3_000,
            activities: 700,
            ..Workspace::default()
        };
        Self::open(workspace, Behaviour { rate: 0.0, ..behaviour }).await
    }

    async fn send(&self, path: &str, query: &[(&str, &str)]) -> reqwest::Result<Response> {
        let url = format!("{}{path}", self.sandbox.url());
        let request = match path {
            "/v1/customers" => self.client.post(url).body(EVERYONE),
            _ => self.client.get(url),
        };
        request.bearer_auth(self.sandbox.token()).query(query).send().await
    }

    async fn json(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let response = self.send(path, query).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path} {query:?}");
        response.json().await.unwrap()
    }

    async fn status(&self, path: &str, query: &[(&str, &str)]) -> u16 {
        self.send(path, query).await.unwrap().status().as_u16()
    }

    /// All rows of a paged list, in the order served.
    async fn all(&self, path: &str, key: &str, query: &[(&str, &str)]) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut start = String::new();
        loop {
            let mut query = query.to_vec();
            if !start.is_empty() {
                query.push(("start", &start));
            }
            let page = self.json(path, &query).await;
            rows.extend(page[key].as_array().cloned().unwrap_or_default());
            match page["next"].as_str().unwrap_or_default() {
                "" => return rows,
                next => start = next.to_owned(),
            }
        }
    }

    async fn details(&self, id: u64, query: &[(&str, &str)]) -> Vec<Value> {
        self.all(&format!("/v1/transactional/{id}/messages"), "messages", query)
            .await
    }

    fn truth(&self, stream: &str) -> Vec<Value> {
        let lines = self.sandbox.truth(stream).unwrap();
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    fn advance(&self, days: i64) {
        let now = self.sandbox.now();
        self.sandbox.set_now(now + SignedDuration::from_hours(24 * days));
    }

    /// The id of the message that sends the most.
    fn busiest(&self) -> u64 {
        let mut counts = BTreeMap::new();
        for row in self.truth("transactional_message_details") {
            *counts.entry(row["transactional_id"].as_u64().unwrap()).or_insert(0) += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).unwrap().0
    }
}

fn keys(rows: &[Value], key: &str) -> Vec<String> {
    rows.iter().map(|row| row[key].to_string()).collect()
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

/// The history in windows that a request does not clamp.
fn half_years(now: Timestamp) -> [(String, String); 3] {
    let now = now.as_second();
    let half = 200 * 86_400;
    [2, 1, 0].map(|back| {
        (
            (now - (back + 1) * half + 1).to_string(),
            (now - back * half).to_string(),
        )
    })
}

#[tokio::test]
async fn paging_returns_each_row_once_and_agrees_with_the_truth() {
    let door = Door::small(Behaviour::default()).await;
    let activities = door.all("/v1/activities", "activities", &[("limit", "100")]).await;
    assert_eq!(
        sorted(keys(&activities, "id")),
        sorted(keys(&door.truth("activities"), "id"))
    );
    let people = door.all("/v1/customers", "identifiers", &[("limit", "7")]).await;
    assert_eq!(people.len(), door.truth("customers").len());
    let messages = door.all("/v1/transactional", "messages", &[]).await;
    assert_eq!(keys(&messages, "id"), keys(&door.truth("transactional_messages"), "id"));
    let mut details = Vec::new();
    for message in &messages {
        for (start, end) in half_years(door.sandbox.now()) {
            let query = [
                ("limit", "1000"),
                ("start_ts", start.as_str()),
                ("end_ts", end.as_str()),
            ];
            details.extend(door.details(message["id"].as_u64().unwrap(), &query).await);
        }
    }
    assert_eq!(
        sorted(keys(&details, "id")),
        sorted(keys(&door.truth("transactional_message_details"), "id"))
    );
    assert_eq!(details.len(), 3_000);
}

#[tokio::test]
async fn rows_are_newest_first_whatever_the_page_size() {
    let door = Door::small(Behaviour::plain()).await;
    let id = door.busiest();
    let small = door.details(id, &[]).await;
    assert_eq!(small, door.details(id, &[("limit", "1000")]).await);
    assert!(small.is_sorted_by_key(|row| std::cmp::Reverse(row["created"].as_i64().unwrap())));
    let activities = door.all("/v1/activities", "activities", &[]).await;
    assert_eq!(
        activities,
        door.all("/v1/activities", "activities", &[("limit", "9999")]).await
    );
    assert!(activities.is_sorted_by_key(|row| std::cmp::Reverse(row["timestamp"].as_i64().unwrap())));
}

#[tokio::test]
async fn ranges_are_inclusive_and_silently_clamped() {
    let door = Door::small(Behaviour::plain()).await;
    let (id, now) = (door.busiest(), door.sandbox.now().as_second());
    let year = door.details(id, &[("start_ts", "0"), ("limit", "1000")]).await;
    let in_range = |from: i64, to: i64| {
        year.iter()
            .filter(move |row| (from..=to).contains(&row["created"].as_i64().unwrap()))
            .count()
    };
    let count = async |start: i64, end: i64| {
        let (start, end) = (start.to_string(), end.to_string());
        door.details(id, &[("start_ts", &start), ("end_ts", &end), ("limit", "1000")])
            .await
            .len()
    };
    let second = year[40]["created"].as_i64().unwrap();
    assert_eq!(count(second, second).await, in_range(second, second));
    let earlier = year[90]["created"].as_i64().unwrap();
    assert_eq!(count(earlier, second).await, in_range(earlier, second));
    assert_eq!(count(second, earlier).await, 0);
    assert_eq!(year.len(), in_range(now - 365 * 86_400, now));
    assert_eq!(door.details(id, &[]).await.len(), in_range(now - 183 * 86_400, now));
    let all = door
        .truth("transactional_message_details")
        .into_iter()
        .filter(|row| row["transactional_id"] == id);
    assert!(all.count() > year.len());
}

#[tokio::test]
async fn keys_rights_and_unknown_things_are_refused() {
    let forbidden = BTreeSet::from([Endpoint::Activities]);
    let door = Door::small(Behaviour {
        forbidden,
        ..Behaviour::default()
    })
    .await;
    let stranger = door
        .client
        .get(format!("{}/v1/activities", door.sandbox.url()))
        .bearer_auth("wrong");
    let response = stranger.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"errors":[{"detail":"unauthorized","status":401}]}"#
    );
    assert_eq!(door.status("/v1/activities", &[]).await, 403);
    assert_eq!(door.status("/v1/transactional/x", &[]).await, 404);
    assert_eq!(door.status("/v1/transactional/999999", &[]).await, 404);
    assert_eq!(door.status("/v1/transactional/999999/messages", &[]).await, 404);
    assert_eq!(door.status("/v1/transactional/x/metrics", &[]).await, 404);
    assert_eq!(door.status("/v1/exports", &[]).await, 404);
    assert_eq!(door.status("/v1/customers", &[("start", "MDox")]).await, 400);
    assert_eq!(door.status("/v1/customers", &[("limit", "many")]).await, 400);
}

#[tokio::test]
async fn an_unencoded_plus_in_a_cursor_is_refused() {
    let door = Door::small(Behaviour::default()).await;
    let page = door.json("/v1/customers", &[]).await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(door.status("/v1/customers", &[("start", next)]).await, 200);
    let raw = format!("{}/v1/customers?start={next}", door.sandbox.url());
    let request = door.client.post(raw).body(EVERYONE).bearer_auth(door.sandbox.token());
    assert_eq!(request.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        page["ids"].as_array().unwrap().len(),
        page["identifiers"].as_array().unwrap().len()
    );
}

#[tokio::test]
async fn a_cursor_holds_its_place_while_rows_arrive_on_top() {
    let door = Door::small(Behaviour::plain()).await;
    let first = door.json("/v1/activities", &[("limit", "100")]).await;
    let next = first["next"].as_str().unwrap();
    let before = door.json("/v1/activities", &[("limit", "100"), ("start", next)]).await;
    door.sandbox.set_now(door.sandbox.now() + SignedDuration::from_mins(30));
    let after = door.json("/v1/activities", &[("limit", "100"), ("start", next)]).await;
    assert_eq!(before["activities"][0], after["activities"][0]);
}

#[tokio::test]
async fn moving_the_clock_changes_everything_that_changes() {
    let door = Door::small(Behaviour::plain()).await;
    let streams = [
        "activities",
        "customers",
        "transactional_messages",
        "transactional_message_details",
    ];
    let before = streams.map(|stream| door.truth(stream));
    door.advance(1);
    assert!(door.truth("activities").iter().any(|row| !before[0].contains(row)));
    assert!(door.truth("transactional_message_details").len() > before[3].len());
    door.advance(39);
    let after = streams.map(|stream| door.truth(stream));
    let by_id = |rows: &[Value], key: &str| -> HashMap<String, Value> {
        rows.iter().map(|row| (row[key].to_string(), row.clone())).collect()
    };
    let (old, new) = (by_id(&before[1], "cio_id"), by_id(&after[1], "cio_id"));
    assert!(old.keys().any(|key| !new.contains_key(key)) && new.keys().any(|key| !old.contains_key(key)));
    let listed = |rows: &[Value]| keys(rows, "id").into_iter().collect::<BTreeSet<_>>();
    assert_eq!(listed(&before[2]).difference(&listed(&after[2])).count(), 2);
    assert!(listed(&after[2]).difference(&listed(&before[2])).count() > 0);
    let (old, new) = (by_id(&before[3], "id"), by_id(&after[3], "id"));
    let late = |row: &&Value| {
        new.get(&row["id"].to_string())
            .is_some_and(|now| now["metrics"]["opened"] != row["metrics"]["opened"])
    };
    assert!(old.values().filter(late).count() > 5);
    let fates: Value = door
        .client
        .get(format!("{}/_sandbox/messages", door.sandbox.url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let fate = |listed: bool, served: bool| {
        let rows = fates.as_array().unwrap().iter();
        rows.filter(|row| row["listed"] == listed && row["served"] == served)
            .cloned()
            .collect::<Vec<_>>()
    };
    let (unlisted, vanished) = (&fate(false, true)[0]["id"], &fate(false, false)[0]["id"]);
    assert_eq!(
        door.status(&format!("/v1/transactional/{vanished}/messages"), &[])
            .await,
        404
    );
    assert!(!door.details(unlisted.as_u64().unwrap(), &[]).await.is_empty());
}

#[tokio::test]
async fn metrics_follow_their_steps() {
    let door = Door::small(Behaviour::plain()).await;
    let path = format!("/v1/transactional/{}/metrics", door.busiest());
    let steps = async |query: &[(&str, &str)]| {
        door.json(&path, query).await["metric"]["series"]["sent"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(steps(&[]).await, 45);
    assert_eq!(steps(&[("steps", "1")]).await, 2);
    assert_eq!(steps(&[("period", "months"), ("steps", "0")]).await, 121);
    assert_eq!(door.status(&path, &[("period", "years")]).await, 400);
}

#[tokio::test]
async fn the_rate_limit_is_one_for_all_endpoints() {
    let door = Door::open(
        Workspace::default(),
        Behaviour {
            rate: 0.001,
            burst: 3,
            ..Behaviour::default()
        },
    )
    .await;
    assert_eq!(door.status("/v1/activities", &[]).await, 200);
    assert_eq!(door.status("/v1/customers", &[]).await, 200);
    assert_eq!(door.status("/v1/transactional", &[]).await, 200);
    let response = door.send("/v1/activities", &[]).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "1");
    door.sandbox.set_behaviour(Behaviour {
        retry_after: false,
        ..door.sandbox.behaviour()
    });
    let response = door.send("/v1/activities", &[]).await.unwrap();
    assert!(response.status() == StatusCode::TOO_MANY_REQUESTS && !response.headers().contains_key("retry-after"));
    let seen = door.sandbox.requests();
    assert_eq!((seen.total, seen.status[&200], seen.status[&429]), (5, 3, 2));
    assert_eq!(seen.by_endpoint[&Endpoint::Activities], 3);
}

#[tokio::test]
async fn faults_strike_as_planned() {
    let door = Door::small(Behaviour::default()).await;
    let unavailable = Fault::Status {
        code: 503,
        retry_after: Some("2".into()),
    };
    let at = |number: u64, fault: Fault| FaultRule::at(Endpoint::Customers, [number], fault);
    let faults = vec![
        at(1, unavailable),
        at(2, Fault::CutBefore),
        at(3, Fault::CutInside),
        at(4, Fault::Html),
        at(5, Fault::Truncated),
        at(6, Fault::NoEnvelope),
        at(7, Fault::Empty),
        at(8, Fault::Slow { ms: 80 }),
    ];
    door.sandbox.set_behaviour(Behaviour {
        faults: Faults(faults),
        ..door.sandbox.behaviour()
    });
    let response = door.send("/v1/customers", &[]).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"2".parse().unwrap())
    );
    for _cut in 0..2 {
        let read = async { door.send("/v1/customers", &[]).await?.bytes().await };
        assert!(read.await.is_err());
    }
    assert!(
        door.send("/v1/customers", &[])
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .starts_with("<html>")
    );
    assert!(
        door.send("/v1/customers", &[])
            .await
            .unwrap()
            .json::<Value>()
            .await
            .is_err()
    );
    assert!(door.json("/v1/customers", &[]).await.get("identifiers").is_none());
    assert_eq!(door.json("/v1/customers", &[]).await["identifiers"], json!([]));
    assert_eq!(
        door.json("/v1/customers", &[]).await["identifiers"]
            .as_array()
            .unwrap()
            .len(),
        50
    );
    assert_eq!(
        door.sandbox.requests().status,
        BTreeMap::from([(0, 1), (200, 6), (503, 1)])
    );
}

#[tokio::test]
async fn a_message_can_vanish_in_the_middle_of_a_run() {
    let door = Door::small(Behaviour::default()).await;
    let id = door.busiest();
    door.sandbox.set_behaviour(Behaviour {
        vanish_after: BTreeMap::from([(id, 2)]),
        ..door.sandbox.behaviour()
    });
    let path = format!("/v1/transactional/{id}/messages");
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(door.status(&path, &[]).await);
    }
    assert_eq!(answers, [200, 200, 404, 404]);
}

#[tokio::test]
async fn a_message_can_be_left_out_of_the_list() {
    let door = Door::small(Behaviour::default()).await;
    let id = door.busiest();
    let all = door.json("/v1/transactional", &[]).await["messages"]
        .as_array()
        .unwrap()
        .len();
    door.sandbox.set_behaviour(Behaviour {
        unlisted: BTreeSet::from([id]),
        ..door.sandbox.behaviour()
    });
    let listed = keys(
        &door.json("/v1/transactional", &[]).await["messages"]
            .as_array()
            .unwrap()
            .clone(),
        "id",
    );
    assert_eq!(listed.len(), all - 1);
    assert_eq!(door.status(&format!("/v1/transactional/{id}/messages"), &[]).await, 200);
    assert_eq!(door.sandbox.truth("transactional_messages").unwrap().count(), all - 1);
}

#[tokio::test]
async fn activities_can_be_served_for_longer_than_promised() {
    let door = Door::small(Behaviour::default()).await;
    let promised = door.all("/v1/activities", "activities", &[]).await.len();
    door.sandbox.set_behaviour(Behaviour {
        activity_days: 60,
        ..door.sandbox.behaviour()
    });
    let served = door.all("/v1/activities", "activities", &[]).await.len();
    assert!(served > promised * 3 / 2, "{served}");
    assert_eq!(door.sandbox.truth("activities").unwrap().count(), served);
}

#[tokio::test]
async fn awkward_pages_still_hold_every_row() {
    let behaviour = Behaviour {
        empty_pages: 3,
        duplicates: 3,
        null_arrays: true,
        last_next: LastNext::Null,
        ..Behaviour::default()
    };
    let door = Door::small(behaviour).await;
    let rows = keys(
        &door.all("/v1/activities", "activities", &[("limit", "20")]).await,
        "id",
    );
    let truth = sorted(keys(&door.truth("activities"), "id"));
    assert!(rows.len() > truth.len());
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), truth.into_iter().collect());
}

#[tokio::test]
async fn rows_without_key_are_served_and_not_part_of_the_truth() {
    let door = Door::small(Behaviour {
        keyless: 20,
        ..Behaviour::default()
    })
    .await;
    let served = door
        .all("/v1/activities", "activities", &[("limit", "100")])
        .await
        .len();
    let kept = door.truth("activities").len();
    assert!((served / 40..served / 10).contains(&(served - kept)), "{served} {kept}");
    assert!(door.truth("transactional_message_details").len() < 3_000);
}

#[tokio::test]
async fn the_control_interface_needs_no_key_and_says_what_it_refuses() {
    let door = Door::small(Behaviour::default()).await;
    let url = |path: &str| format!("{}/_sandbox/{path}", door.sandbox.url());
    let post = |path: &str, body: &'static str| door.client.post(url(path)).body(body).send();
    let clock: Value = post("clock", r#"{"advance":"40d"}"#)
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(clock["now"], door.sandbox.now().to_string());
    assert_eq!(
        post("clock", r#"{"advance":"40"}"#).await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    let patched: Value = post("behaviour", r#"{"odd":0,"latency_ms":1}"#)
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((&patched["odd"], &patched["latency_ms"]), (&json!(0), &json!(1)));
    assert_eq!(
        post("behaviour", r#"{"odder":0}"#).await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    let truth = door
        .client
        .get(url("truth/transactional_metrics?period=weeks&steps=3"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let row: Value = serde_json::from_str(truth.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["period"], row["created"].as_array().unwrap().len()),
        (&json!("weeks"), 3)
    );
    assert_eq!(
        door.client.get(url("truth/exports")).send().await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    door.status("/v1/transactional", &[]).await;
    let seen: Value = door
        .client
        .get(url("requests"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (
            &seen["total"],
            &seen["by_endpoint"]["transactional"],
            &seen["by_endpoint"]["details"]
        ),
        (&json!(1), &json!(1), &json!(0))
    );
    door.client.delete(url("requests")).send().await.unwrap();
    assert_eq!(door.sandbox.requests().total, 0);
    door.sandbox.stop().await;
}
