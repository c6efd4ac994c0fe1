//! Full-table runs: rows go on proof, and only then.

use std::collections::BTreeSet;

use cio2parquet::sandbox::{Behaviour, Endpoint, Fault, FaultRule, Workspace};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::scan::interrupted;
use crate::support::{Door, small, stream, text, windows};

#[test]
fn people_that_only_one_reading_of_the_list_missed_stay() {
    let door = Door::open(Workspace { people: 300, ..small() });
    door.change(|behaviour| behaviour.largest_page = 50);
    door.export(&["customers"]).expect(0);
    let before = door.data();
    // A page of the first reading is empty and says that it is the last, so that a hundred people are on none.
    let early = FaultRule {
        matching: Some("start=".to_owned()),
        ..FaultRule::at(Endpoint::Customers, [4], Fault::Empty)
    };
    door.fail([early]);
    let report = door.export(&["customers", "--sync", "full-table"]).expect(0);
    assert_eq!(stream(&report, "customers")["rows"]["removed"], 0);
    assert!(before == door.data());
    // Nobody is missing now, so that one reading is enough.
    door.sandbox.reset_requests();
    door.export(&["customers", "--sync", "full-table"]).expect(0);
    assert_eq!(door.asked("/v1/customers").len(), 1 + 6);
}

#[test]
fn vanished_people_go() {
    // One in twenty people is deleted some day; among so many it is somebody within forty.
    let door = Door::open(Workspace { people: 600, ..small() });
    door.export(&["customers"]).expect(0);
    door.move_clock(40);
    let report = door.export(&["customers", "--sync", "full-table"]).expect(0);
    let rows = &stream(&report, "customers")["rows"];
    assert!(rows["removed"].as_u64().unwrap() > 0, "{rows}");
    let stored = &door.manifest("customers")["state"]["partitions"]["part-0.parquet"]["rows"];
    assert_eq!(stored, door.truth("customers").len());
}

#[test]
fn an_empty_answer_proves_nothing() {
    for (name, endpoint) in [
        ("customers", Endpoint::Customers),
        ("transactional_messages", Endpoint::Transactional),
        ("transactional_message_details", Endpoint::Details),
        ("activities", Endpoint::Activities),
    ] {
        let door = Door::open(small());
        door.export(&[name]).expect(0);
        let before = door.data();
        door.change(|behaviour| behaviour.faults.0.push(FaultRule::always(endpoint, Fault::Empty)));
        let report = door.export(&[name, "--sync", "full-table"]).expect(8);
        assert_eq!(stream(&report, name)["status"], "gaps", "{name}");
        assert!(before == door.data(), "{name}: rows went without proof");
    }
}

#[test]
fn a_table_shrinks_by_more_than_half_only_when_told() {
    let door = Door::open(small());
    door.export(&["transactional_message_details"]).expect(0);
    let before = door.data();
    // All but the first few requests answer with nothing.
    door.change(|behaviour| {
        let empty = FaultRule {
            from: Some(4),
            ..FaultRule::at(Endpoint::Details, [], Fault::Empty)
        };
        behaviour.faults.0.push(empty);
    });
    let args = ["transactional_message_details", "--sync", "full-table"];
    let report = door.export(&args).expect(8);
    let error = report["streams"][0]["error"].as_str().unwrap();
    assert!(error.contains("--allow-shrink"), "{error}");
    assert!(before == door.data());
    let report = door.export(&[&args[..], &["--allow-shrink"]].concat()).expect(0);
    assert!(stream(&report, args[0])["rows"]["removed"].as_u64().unwrap() > 0);
}

#[test]
fn metrics_keep_only_today() {
    let door = Door::open(small());
    door.export(&["transactional_metrics"]).expect(0);
    door.move_clock(1);
    door.export(&["transactional_metrics"]).expect(0);
    assert_eq!(door.data().len(), 2);
    door.export(&["transactional_metrics", "--sync", "full-table"])
        .expect(0);
    let paths: Vec<String> = door.data().into_keys().collect();
    assert_eq!(paths.len(), 1);
    let today = door.sandbox.now().to_string();
    assert!(paths[0].contains(&today[..10]), "{paths:?}");
}

#[test]
fn metrics_keep_older_days_when_a_row_of_today_was_set_aside() {
    let name = "transactional_metrics";
    let door = Door::open(small());
    door.export(&[name]).expect(0);
    let before = door.data();
    door.move_clock(1);
    door.change(|behaviour| behaviour.unreadable = 500);
    let report = door.export(&[name, "--sync", "full-table"]).expect(8);
    assert!(
        stream(&report, name)["rows"]["rejected"].as_u64().unwrap() > 0,
        "{report}"
    );
    let after = door.data();
    assert!(after.len() == 2 && before.keys().all(|path| after.contains_key(path)));
}

#[test]
fn rows_of_another_workspace_do_not_make_room_for_a_removal() {
    let door = Door::open(small());
    door.export(&["activities"]).expect(0);
    let before = door.manifest("activities")["state"]["partitions"].clone();
    let other = Door::open(Workspace { seed: 2, ..small() });
    let (lake, now) = (door.lake().display().to_string(), other.sandbox.now().to_string());
    let args = [
        "export",
        "activities",
        "--to",
        &lake,
        "--now",
        &now,
        "--rate",
        "0",
        "--sync",
        "full-table",
        "--report",
        "json",
    ];
    let report = other.run(&args).expect(8);
    assert_eq!(stream(&report, "activities")["rows"]["removed"], 0);
    let rows = |partitions: &serde_json::Value| -> u64 {
        let files = partitions.as_object().unwrap().values();
        files.map(|file| file["rows"].as_u64().unwrap()).sum()
    };
    let after = &door.manifest("activities")["state"]["partitions"];
    assert!(rows(after) > rows(&before), "the other workspace's rows were added");
}

#[test]
fn rows_that_are_set_aside_prove_nothing() {
    for name in ["transactional_message_details", "activities", "customers"] {
        let door = Door::open(few());
        door.export(&[name]).expect(0);
        let before = door.keys(name);
        door.change(|behaviour| behaviour.keyless = 20);
        let report = door.export(&[name, "--sync", "full-table"]).expect(8);
        let rows = &stream(&report, name)["rows"];
        assert!(rows["rejected"].as_u64().unwrap() > 0, "{name}: {rows}");
        assert_eq!(rows["removed"], 0, "{name}");
        assert_eq!(door.keys(name), before);
    }
}

#[test]
fn messages_listed_no_more_keep_their_rows() {
    let name = "transactional_message_details";
    let door = Door::open(few());
    door.export(&[name]).expect(0);
    let before = door.keys(name);
    // By then the second message answers 404, and the third is only missing from the list.
    door.move_clock(23);
    door.sandbox.reset_requests();
    let args = [name, "--sync", "full-table"];
    let report = door.export(&args).expect(8);
    let error = text(&stream(&report, name)["error"]);
    assert!(error.contains("is listed no more"), "{error}");
    let asked: BTreeSet<String> = door
        .asked("/messages")
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(asked.len(), 7, "six old and a new one: {asked:?}");
    assert!(before.is_subset(&door.keys(name)));
    assert!(door.true_keys(name).is_subset(&door.keys(name)));
    // A message that is gone is told once.
    door.export(&args).expect(0);
    assert!(before.is_subset(&door.keys(name)));
}

#[test]
fn a_range_relative_to_now_is_gone_on_with() {
    let name = "transactional_message_details";
    let door = Door::open(few());
    door.export(&[name]).expect(0);
    let before = door.data();
    let args = [
        name,
        "--sync",
        "full-table",
        "--since",
        "5y",
        "--until",
        "1d",
        "--concurrency",
        "1",
    ];
    door.sandbox.reset_requests();
    door.export(&args).expect(0);
    let all = door.asked("/messages").len() as u64;
    // The last windows are asked for when the first are committed.
    door.fail([FaultRule::at(Endpoint::Details, [all], status(401))]);
    assert_ne!(door.export(&args).code, 0);
    let done = text(&door.state(name)["full_table"]["done"][0]["to"]);
    let done: Timestamp = done.parse().unwrap();
    door.fail([]);
    door.sandbox.set_now(door.sandbox.now() + SignedDuration::from_secs(1));
    door.sandbox.reset_requests();
    door.export(&args).expect(0);
    let asked = windows(&door.asked("/messages"));
    assert!(
        asked.iter().all(|(from, _)| *from >= done.as_second()),
        "{done}: {asked:?}"
    );
    assert_eq!(door.state(name)["full_table"], Value::Null);
    assert!(before.keys().eq(door.data().keys()));
}

#[test]
fn a_newcomer_makes_an_unfinished_run_begin_anew() {
    let name = "transactional_message_details";
    let door = Door::open(few());
    let newcomer = door.truth("transactional_messages")[0]["id"].as_u64().unwrap();
    door.export(&[name]).expect(0);
    let before = door.keys(name);
    std::fs::remove_dir_all(door.lake()).unwrap();
    door.change(|behaviour| _ = behaviour.unlisted.insert(newcomer));
    let args = [name, "--sync", "full-table", "--since", "5y", "--concurrency", "1"];
    // Six windows of five messages each.
    door.change(|behaviour| {
        behaviour
            .faults
            .0
            .push(FaultRule::at(Endpoint::Details, [28], status(401)));
    });
    assert_ne!(door.export(&args).code, 0);
    assert_ne!(door.state(name)["full_table"], Value::Null);
    door.change(|behaviour| {
        behaviour.unlisted.clear();
        behaviour.faults.0.clear();
    });
    door.export(&args).expect(0);
    assert_eq!(door.keys(name), before);
}

#[test]
fn activities_that_grow_too_old_to_be_served_stay() {
    let door = Door::open(small());
    door.export(&["activities"]).expect(0);
    let before = door.keys("activities");
    door.move_clock(10);
    let report = door.export(&["activities", "--sync", "full-table"]).expect(0);
    assert_eq!(stream(&report, "activities")["rows"]["removed"], 0);
    assert!(before.is_subset(&door.keys("activities")));
    assert!(!before.is_subset(&door.true_keys("activities")));
}

#[test]
fn activities_that_grow_too_old_during_a_run_of_two_parts_stay() {
    let door = Door::open(Workspace {
        activities: 1_200,
        ..small()
    });
    door.export(&["activities"]).expect(0);
    let before = door.keys("activities");
    let args = ["activities", "--sync", "full-table"];
    interrupted(&door, &args, 8);
    door.sandbox
        .set_now(door.sandbox.now() + SignedDuration::from_hours(20));
    door.fail([]);
    let report = door.export_eagerly(&args).expect(0);
    assert_eq!(stream(&report, "activities")["rows"]["removed"], 0);
    assert!(before.is_subset(&door.keys("activities")));
    assert!(!before.is_subset(&door.true_keys("activities")));
}

#[test]
fn a_run_of_two_parts_removes_what_one_would_have_removed() {
    let name = "activities";
    let activities = Workspace {
        activities: 900,
        ..small()
    };
    let (old, new) = (
        Door::open(activities.clone()),
        Door::open(Workspace { seed: 2, ..activities }),
    );
    let args = [name, "--sync", "full-table", "--allow-shrink"];
    let mut lakes = Vec::new();
    for parts in 1..=2 {
        _ = std::fs::remove_dir_all(new.lake());
        old.exporting_eagerly(&new.lake(), &[name]).output().unwrap();
        assert_eq!(new.keys(name), old.true_keys(name));
        if parts == 2 {
            interrupted(&new, &args, 6);
            assert!(
                old.true_keys(name).is_subset(&new.keys(name)),
                "rows went before all was read"
            );
            new.fail([]);
        }
        let report = new.export_eagerly(&args).expect(0);
        assert!(stream(&report, name)["rows"]["removed"].as_u64().unwrap() > 800);
        assert!(new.true_keys(name).is_subset(&new.keys(name)));
        lakes.push(new.data());
    }
    assert!(lakes[0] == lakes[1]);
    // Nothing is proven of the time to come, for which a phone with a wrong clock may date a row.
    let now = new.sandbox.now().as_second();
    let oldest = now - 30 * 86_400 + 3_600;
    let left: BTreeSet<String> = new.keys(name).difference(&new.true_keys(name)).cloned().collect();
    for row in old.truth(name) {
        let time = row["timestamp"].as_i64().unwrap();
        let proven = oldest < time && time < now;
        assert!(!(proven && left.contains(&text(&row["id"]))), "{row}");
        assert!(time < now || left.contains(&text(&row["id"])), "{row}");
    }
}

#[test]
fn what_a_killed_run_laid_in_on_top_of_a_proven_day_removes_nothing() {
    let name = "activities";
    let door = Door::open(Workspace {
        activities: 12_000,
        days: 60,
        ..small()
    });
    let later = |hours: i64| {
        door.sandbox
            .set_now(door.sandbox.now() + SignedDuration::from_hours(hours))
    };
    // More has happened today than fits into a page.
    later(18);
    door.export(&[name]).expect(0);
    let args = [name, "--sync", "full-table"];
    interrupted(&door, &args, 12);
    door.fail([]);
    later(2);
    let mut killed = door.exporting_eagerly(&door.lake(), &args);
    let killed = killed
        .env("CIO2PARQUET_CRASH", "partitions-merged:1=kill")
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), None, "it was not killed");
    let report = door.export_eagerly(&args).expect(0);
    assert_eq!(stream(&report, name)["rows"]["removed"], 0, "{report}");
    assert!(door.true_keys(name).is_subset(&door.keys(name)));
}

#[test]
fn an_unfinished_run_remembers_only_keys_it_needs() {
    let door = Door::with(
        Workspace {
            activities: 400,
            days: 150,
            ..small()
        },
        Behaviour {
            rate: 0.0,
            activity_days: 140,
            ..Behaviour::default()
        },
    );
    let args = ["activities", "--sync", "full-table"];
    interrupted(&door, &args, 18);
    let full = &door.state("activities")["full_table"];
    assert!(full["fetched"].as_u64().unwrap() > 1_300, "{}", full["fetched"]);
    let met = full["met"].as_object().unwrap();
    let keys: usize = met.values().map(|keys| keys.as_array().unwrap().len()).sum();
    assert!(met.len() <= 2 && keys < 100, "{keys} keys of {} days", met.len());
    door.fail([]);
    door.export_eagerly(&args).expect(0);
    assert_eq!(door.keys("activities"), door.true_keys("activities"));
}

/// Deliveries on fewer days.
fn few() -> Workspace {
    Workspace {
        deliveries: 300,
        days: 60,
        ..small()
    }
}

fn status(code: u16) -> Fault {
    Fault::Status {
        code,
        retry_after: None,
    }
}
