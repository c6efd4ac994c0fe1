//! A workspace that changes while it is read, and a server that says more than it should.

use std::collections::BTreeSet;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule, Workspace};

use crate::rows::assert_whole;
use crate::support::{Door, small, stream};

/// Many people, of whom some come and go within the minutes of a run.
fn crowd() -> Door {
    let door = Door::open(Workspace {
        people: 2_000,
        days: 20,
        ..small()
    });
    door.change(|behaviour| {
        (behaviour.largest_page, behaviour.shifting_ms) = (100, 600_000);
    });
    door
}

#[test]
fn people_who_come_and_go_between_pages_are_stored_once() {
    let door = crowd();
    let before = door.true_keys("customers");
    door.export(&["customers"]).expect(0);
    let after = door.true_keys("customers");
    assert_ne!(before, after, "nobody came or went");
    let known: BTreeSet<String> = before.union(&after).cloned().collect();
    assert!(door.keys("customers").is_subset(&known));
    door.change(|behaviour| behaviour.shifting_ms = 0);
    door.export(&["customers"]).expect(0);
    assert!(door.true_keys("customers").is_subset(&door.keys("customers")));
}

#[test]
fn a_message_that_vanishes_while_it_is_read_is_a_gap() {
    for name in ["transactional_metrics", "transactional_message_details"] {
        let door = Door::open(small());
        let id = door.truth("transactional_messages")[1]["id"].as_u64().unwrap();
        door.change(|behaviour| {
            behaviour.vanish_after.insert(id, 0);
        });
        let report = door.export(&[name]).expect(8);
        let told = stream(&report, name)["error"].as_str().unwrap();
        assert!(
            told.contains(&format!("transactional message {id} answers 404")),
            "{told}"
        );
        door.change(|behaviour| behaviour.vanish_after.clear());
        door.export(&[name]).expect(0);
        assert_whole(&door, name);
    }
}

#[test]
fn the_key_is_not_repeated_after_a_server_that_does() {
    let door = Door::open(small());
    for (code, exit) in [(400, 5), (401, 3), (403, 4), (404, 5), (422, 5)] {
        door.fail([FaultRule::always(Endpoint::Activities, Fault::Echo { code })]);
        let ran = door.export(&["activities", "-v"]);
        assert_eq!(ran.code, exit, "{code}: {}", ran.stderr);
        let printed = format!("{}{}", ran.stdout, ran.stderr);
        assert!(printed.contains("Bearer ***"), "{printed}");
        assert!(!printed.contains(&door.sandbox.token()));
    }
}

#[test]
fn a_stream_of_which_no_message_answers_has_failed() {
    for (name, endpoint) in [
        ("transactional_metrics", Endpoint::Metrics),
        ("transactional_message_details", Endpoint::Details),
    ] {
        let door = Door::open(small());
        let to = "https://login.example.com/".to_owned();
        door.fail([FaultRule::always(endpoint, Fault::Redirect { code: 301, to })]);
        let report = door.export(&[name]).expect(5);
        let told = stream(&report, name)["error"].as_str().unwrap();
        assert!(
            told.contains("redirects") && told.contains("login.example.com"),
            "{told}"
        );
        door.fail([]);
        door.export(&[name]).expect(0);
        assert_whole(&door, name);
    }
}
