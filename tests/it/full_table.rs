//! Full-table runs: rows go on proof, and only then.

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule, Workspace};

use crate::support::{Door, small, stream};

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
