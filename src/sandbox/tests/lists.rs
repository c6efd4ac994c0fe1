//! The lists of few rows, each under its own key, compared with the truth.

use super::super::listing::{LISTINGS, Listing, Pages};
use super::*;

fn path(listing: &Listing) -> String {
    format!("/v1/{}", listing.name)
}

fn key(listing: &Listing) -> &'static str {
    if listing.name == "snippets" { "name" } else { "id" }
}

#[tokio::test]
async fn every_list_is_served_under_its_key_and_agrees_with_the_truth() {
    let door = Door::small(Behaviour::default()).await;
    for day in [0, 40] {
        door.advance(day);
        for listing in &LISTINGS {
            let served = door.all(&path(listing), listing.key, &[]).await;
            let truth = door.truth(listing.name);
            assert!(truth.len() > 3, "{}", listing.name);
            assert_eq!(
                sorted(keys(&served, key(listing))),
                sorted(keys(&truth, key(listing))),
                "{}",
                listing.name
            );
        }
    }
    let seen = door.sandbox.requests();
    assert_eq!(seen.by_endpoint[&Endpoint::ReportingWebhooks], 2);
}

#[tokio::test]
async fn only_lists_with_pages_have_a_next() {
    let door = Door::small(Behaviour::plain()).await;
    for listing in &LISTINGS {
        let query = [("limit", "2")];
        let page = door.json(&path(listing), &query).await;
        let rows = page[listing.key].as_array().unwrap().len();
        match listing.pages {
            Pages::Whole => {
                assert_eq!(page.get("next"), None, "{}", listing.name);
                assert_eq!(rows as u64, listing.count);
            }
            Pages::Cursors | Pages::Trailing => {
                assert_eq!(rows, 2, "{}", listing.name);
                let all = door.all(&path(listing), listing.key, &query).await;
                assert_eq!(all.len() as u64, listing.count);
            }
        }
    }
}

#[tokio::test]
async fn the_last_sender_is_followed_by_a_cursor_to_nothing() {
    for behaviour in [
        Behaviour::plain(),
        Behaviour {
            duplicates: 1,
            ..Behaviour::plain()
        },
    ] {
        let door = Door::small(behaviour).await;
        let page = door.json("/v1/sender_identities", &[]).await;
        assert_eq!(page["sender_identities"].as_array().unwrap().len(), 8);
        let next = page["next"].as_str().unwrap();
        assert_ne!(next, "");
        let last = door.json("/v1/sender_identities", &[("start", next)]).await;
        assert_eq!(last["next"], "");
        assert!(last["sender_identities"].as_array().unwrap().len() <= 1);
    }
}

#[tokio::test]
async fn hidden_senders_are_served_alone_or_not_at_all() {
    let door = Door::small(Behaviour::plain()).await;
    door.advance(40);
    let senders = async |query: &[(&str, &str)]| door.all("/v1/sender_identities", "sender_identities", query).await;
    let (visible, hidden) = (senders(&[]).await, senders(&[("hidden", "true")]).await);
    assert!(visible.len() > 5 && visible.iter().all(|row| row["hidden"] == false));
    assert!(!hidden.is_empty() && hidden.iter().all(|row| row["hidden"] == true));
    assert_eq!(visible.len(), door.truth("sender_identities").len());
}

#[tokio::test]
async fn odd_lists_are_odd_on_both_sides_and_unreadable_rows_stand_beside() {
    let odd = Behaviour {
        odd: 1,
        strange: 2,
        ..Behaviour::default()
    };
    let door = Door::small(odd).await;
    for listing in &LISTINGS {
        let text = door.send(&path(listing), &[]).await.unwrap().text().await.unwrap();
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok());
        let extra = |row: &&Value| !row["_extra"].is_null();
        assert!(
            door.truth(listing.name).iter().filter(extra).count() > 1,
            "{}",
            listing.name
        );
    }
    let before: Vec<usize> = LISTINGS.iter().map(|listing| door.truth(listing.name).len()).collect();
    door.sandbox.set_behaviour(Behaviour {
        unreadable: 2,
        ..door.sandbox.behaviour()
    });
    let after: Vec<usize> = LISTINGS.iter().map(|listing| door.truth(listing.name).len()).collect();
    assert_eq!(before, after);
    let body = door.send("/v1/segments", &[]).await.unwrap().bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("unreadable."));
}

#[tokio::test]
async fn rights_and_faults_hold_for_lists_as_for_any_endpoint() {
    let unavailable = Fault::Status {
        code: 503,
        retry_after: None,
    };
    let door = Door::small(Behaviour {
        forbidden: BTreeSet::from([Endpoint::Workspaces]),
        faults: Faults(vec![
            FaultRule::at(Endpoint::ObjectTypes, [1], unavailable),
            FaultRule::at(Endpoint::SubscriptionTopics, [1], Fault::NoEnvelope),
        ]),
        ..Behaviour::default()
    })
    .await;
    assert_eq!(door.status("/v1/workspaces", &[]).await, 403);
    assert_eq!(door.status("/v1/object_types", &[]).await, 503);
    assert_eq!(door.status("/v1/object_types", &[]).await, 200);
    assert_eq!(door.json("/v1/subscription_topics", &[]).await, json!({}));
    assert_eq!(door.status("/v1/segments/7", &[]).await, 404);
}
