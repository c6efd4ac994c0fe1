//! `plan` through the door: what it says an export would ask for is what the export then asks for, and saying so costs only probes.

use std::process::{Command, Stdio};

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule, Workspace};
use serde_json::Value;

use crate::sql::assert_golden;
use crate::support::{Door, Ran, binary, interrupt, small, stall, stream};

const DETAILS: &str = "transactional_message_details";

/// How far what is said may lie from what is asked then: this part of it, or so many where that is less.
const TOLERANCE: (f64, f64) = (0.15, 3.0);

/// The same for rows, of which whole pages are read.
const ROWS: (f64, f64) = (0.15, 150.0);

fn command(door: &Door, more: &[&str]) -> Command {
    let mut command = binary();
    command
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .args(["plan", "--now", &door.sandbox.now().to_string(), "--to"])
        .arg(door.lake())
        .args(more);
    command
}

fn plan(door: &Door, more: &[&str]) -> Ran {
    command(door, &[&["--rate", "0"], more].concat())
        .output()
        .unwrap()
        .into()
}

fn json(door: &Door, code: i32, more: &[&str]) -> Value {
    plan(door, &[more, &["--json"]].concat()).expect(code)
}

/// Plans, then exports, and holds one against the other.
fn agree(case: &str, door: &Door, more: &[&str], bases: &[&str]) -> Value {
    door.sandbox.reset_requests();
    let before = door.data();
    let planned = json(door, 0, more);
    let of_rows = |path: &str| path.ends_with("/messages") || path == "/v1/activities" || path == "/v1/customers";
    for request in door.sandbox.requests().log {
        let limited = request.query.split('&').any(|part| part == "limit=1");
        assert!(limited || !of_rows(&request.path), "{case}: {request:?}");
    }
    assert_eq!(door.data(), before, "{case}: a plan wrote into the lake");
    let report = door.export(more).expect(0);
    for (said, basis) in planned["streams"].as_array().unwrap().iter().zip(bases) {
        let name = said["stream"].as_str().unwrap();
        let done = stream(&report, name);
        let (asked, rows) = (&done["requests"], &done["rows"]["fetched"]);
        println!(
            "{case}: {name}: {} {}: {} of {asked} requests, {} of {rows} rows",
            said["basis"], said["notes"], said["requests"], said["rows"]
        );
        assert_eq!(said["basis"], *basis, "{case}: {name}");
        if *basis == "unknown" {
            assert!(said["requests"].is_null() && said["rows"].is_null() && said["bytes"].is_null());
            continue;
        }
        near(&format!("{case}: {name} requests"), &said["requests"], asked, TOLERANCE);
        near(&format!("{case}: {name} rows"), &said["rows"], rows, ROWS);
        near(&format!("{case}: {name} new"), &said["new"], &done["rows"]["new"], ROWS);
    }
    planned
}

fn near(what: &str, said: &Value, done: &Value, (part, few): (f64, f64)) {
    let (said, done) = (said.as_f64().unwrap(), done.as_f64().unwrap());
    let off = (said - done).abs();
    assert!(off <= (done * part).max(few), "{what}: said {said}, done {done}");
}

/// What a plan rests on when nothing is stored, and when something is.
const AT_FIRST: [&str; 5] = ["unknown", "unknown", "exact", "exact", "estimate"];
const LATER: [&str; 5] = ["history", "history", "exact", "exact", "estimate"];

#[test]
fn night_after_night_it_says_what_is_asked() {
    let door = Door::open(Workspace {
        deliveries: 6_000,
        days: 800,
        ..small()
    });
    let planned = agree("an empty lake", &door, &[], &AT_FIRST);
    assert_eq!(planned["unknown"], serde_json::json!(["activities", "customers"]));
    let planned = agree("the same night", &door, &[], &LATER);
    assert_eq!(planned["unknown"], serde_json::json!([]));
    door.move_clock(1);
    agree("the next night", &door, &[], &LATER);
    door.move_clock(3);
    agree("after an outage", &door, &["--lookback", "2d"], &LATER);
    let planned = agree("further back", &door, &["--since", "2y"], &LATER);
    let covered = stream(&planned, DETAILS)["covered"].as_array().unwrap().len();
    assert_eq!(covered, 1);
    door.move_clock(7);
    agree("a full table", &door, &["--sync", "full-table"], &LATER);
}

#[test]
fn a_lake_that_is_half_there_costs_the_other_half() {
    let door = Door::open(Workspace {
        deliveries: 3_000,
        days: 360,
        ..small()
    });
    let whole = json(&door, 0, &[DETAILS, "--since", "360d"]);
    door.export(&["--since", "180d", "--until", "60d"]).expect(0);
    let planned = agree("half of it", &door, &[DETAILS, "--since", "360d"], &["estimate"]);
    let rest = stream(&planned, DETAILS);
    let covered = &rest["covered"][0];
    let mut windows = rest["windows"].as_array().unwrap().iter();
    assert!(windows.any(|window| window[1] == covered[0]), "{rest}");
    let whole = stream(&whole, DETAILS);
    assert!(rest["new"].as_u64() < whole["new"].as_u64(), "{rest} of {whole}");
}

#[test]
fn messages_of_many_pages_are_counted_by_the_page() {
    let door = Door::open(Workspace {
        messages: 3,
        deliveries: 30_000,
        ..small()
    });
    let said = &json(&door, 0, &[DETAILS, "--since", "200d"])["streams"][0];
    let report = door.export(&[DETAILS, "--since", "200d"]).expect(0);
    let done = &report["streams"][0];
    let (asked, rows) = (&done["requests"], &done["rows"]["fetched"]);
    println!(
        "many pages: {} of {asked} requests, {} of {rows} rows",
        said["requests"], said["rows"]
    );
    near("requests", &said["requests"], asked, TOLERANCE);
    near("rows", &said["rows"], rows, ROWS);
    let bytes: u64 = door.data().values().map(|bytes| bytes.len() as u64).sum();
    near("bytes", &said["bytes"], &bytes.into(), (0.5, 0.0));
}

#[test]
fn what_is_owed_of_some_messages_is_planned_for_those() {
    let door = Door::open(small());
    let ids = listed(&door);
    let newcomer = u64::try_from(ids[1]).unwrap();
    door.change(|behaviour| _ = behaviour.unlisted.insert(newcomer));
    door.fail([status(Endpoint::Details, &format!("/{}/messages", ids[0]), 400)]);
    door.export(&[DETAILS]).expect(8);
    door.change(|behaviour| behaviour.unlisted.clear());
    door.fail([]);
    let planned = agree("owed", &door, &[DETAILS], &["estimate"]);
    let said = stream(&planned, DETAILS);
    assert_eq!(said["unread"], 1);
    assert!(said["windows"].as_array().unwrap().len() > 1);
}

#[test]
fn a_message_that_cannot_be_asked_is_told_and_counted_as_little() {
    let door = Door::open(small());
    let ids = listed(&door);
    let metrics = |id: i64| format!("/{id}/metrics");
    let whole = json(&door, 0, &[DETAILS])["streams"][0].clone();
    door.fail([
        status(Endpoint::Metrics, &metrics(ids[0]), 404),
        FaultRule {
            matching: Some(metrics(ids[1])),
            ..FaultRule::always(Endpoint::Metrics, Fault::NoEnvelope)
        },
    ]);
    let said = json(&door, 0, &[DETAILS])["streams"][0].clone();
    assert_eq!(
        (&said["basis"], &said["messages"]),
        (&"estimate".into(), &whole["messages"])
    );
    assert!(said["rows"].as_u64() < whole["rows"].as_u64());
    let notes = said["notes"].to_string();
    for part in [
        "1 of 6",
        &format!("(404): transactional message {}", ids[0]),
        &ids[1].to_string(),
    ] {
        assert!(notes.contains(part), "{notes} lacks {part}");
    }

    // Where nobody can be asked nothing is known, and an export would go on all the same.
    door.fail([]);
    door.change(|behaviour| _ = behaviour.forbidden.insert(Endpoint::Metrics));
    let report = json(&door, 0, &[DETAILS]);
    let said = stream(&report, DETAILS);
    assert_eq!((&said["basis"], &said["requests"]), (&"unknown".into(), &Value::Null));
    assert!(said["notes"].to_string().contains("403"), "{said}");
    assert_eq!(
        (&report["unknown"], &report["requests"]),
        (&serde_json::json!([DETAILS]), &0.into())
    );
}

#[test]
fn nothing_is_created_and_a_run_may_hold_the_table() {
    let door = Door::open(small());
    json(&door, 0, &[]);
    assert!(!door.lake().exists(), "a plan made the lake's folder");
    door.export(&["customers"]).expect(0);
    let (data, mut manifest) = (door.data(), door.manifest("customers"));
    let number = manifest["version"].as_u64().unwrap() + 1;
    manifest["version"] = number.into();
    manifest["state"]["claim"] = serde_json::json!({
        "run": "other", "owner": {"host": "elsewhere", "boot": "b", "process": "1:1"}, "until": "2100-01-01T00:00:00Z"
    });
    let held = door.lake().join(format!("_manifest/customers/{number:020}.json"));
    std::fs::write(held, manifest.to_string()).unwrap();
    let said = json(&door, 0, &["customers"]);
    assert_eq!(said["streams"][0]["basis"], "history");
    assert!(
        said["streams"][0]["notes"]
            .to_string()
            .contains("run other on elsewhere"),
        "{said}"
    );
    assert_eq!((door.data(), door.manifest("customers")), (data, manifest));
}

#[test]
fn who_may_not_read_is_told_as_an_export_tells_it() {
    let door = Door::open(small());
    door.change(|behaviour| _ = behaviour.forbidden.insert(Endpoint::Details));
    let report = json(&door, 8, &[]);
    let said = stream(&report, DETAILS);
    assert!(said["error"].as_str().unwrap().contains("403") && said["requests"].is_null());
    assert!(stream(&report, "transactional_metrics")["error"].is_null());

    door.change(|behaviour| behaviour.forbidden.extend(Endpoint::ALL));
    refused(&plan(&door, &[]), 4, "no right to any stream");
    let url = door.sandbox.url();
    let stranger = |more: &[&str]| -> Ran {
        let mut command = command(&door, more);
        command
            .env("CIO_TOKEN", "no-such-key")
            .env("CIO2PARQUET_PATIENCE_SECONDS", "1");
        command.output().unwrap().into()
    };
    refused(&stranger(&["--api-url", &url]), 3, "401");
    refused(&stranger(&["--api-url", "http://127.0.0.1:9"]), 5, "127.0.0.1:9");
    refused(
        &plan(&door, &["--since", "2026-02-01", "--until", "2026-01-01"]),
        2,
        "not before",
    );
    refused(&plan(&door, &["activites"]), 2, "did you mean \"activities\"?");
}

#[test]
fn a_lake_that_cannot_be_planned_for_is_told() {
    let door = Door::open(small());
    std::fs::write(door.lake(), "not a folder").unwrap();
    refused(&plan(&door, &[]), 6, "folder");
    std::fs::remove_file(door.lake()).unwrap();
    door.export(&["customers"]).expect(0);
    let other = ["activities", "--table", "activities=customers"];
    refused(&plan(&door, &other), 2, "table customers holds the stream customers");
    let twin = ["customers", "--table", "customers=Customers"];
    refused(&plan(&door, &twin), 2, "holds a table customers");
    let newer = door.lake().join(format!("_manifest/customers/{:020}.json", 99));
    std::fs::write(newer, r#"{"format": 4}"#).unwrap();
    refused(&plan(&door, &["customers"]), 6, "has format 4");
}

#[test]
fn an_interrupted_plan_leaves_nothing() {
    let door = Door::open(small());
    stall(&door);
    let mut command = command(&door, &["--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    interrupt(&door, &child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (130, ""), "{}", ran.stderr);
    assert!(!door.lake().exists());
}

#[test]
fn the_table_is_as_written_down_and_keeps_to_eighty_columns() {
    let door = Door::open(small());
    let print = |more: &[&str]| {
        let ran = Ran::from(command(&door, more).output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(
            ran.stdout.lines().all(|line| line.chars().count() <= 80),
            "{}",
            ran.stdout
        );
        ran.stdout
    };
    assert_golden("plan-empty.txt", &print(&[]), &[]);
    door.export(&["--since", "60d"]).expect(0);
    door.move_clock(1);
    let now = door.sandbox.now().to_string();
    let later = Ran::from(command(&door, &["--now", &now]).output().unwrap());
    assert_eq!(later.code, 2, "a flag is given once");
    assert_golden("plan-later.txt", &print(&["--since", "100d", "--rate", "0.5"]), &[]);
}

fn refused(ran: &Ran, code: i32, part: &str) {
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains(part), "{:?} lacks {part:?}", ran.stderr);
}

fn listed(door: &Door) -> Vec<i64> {
    let rows = door.truth("transactional_messages");
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// This status for whatever is asked of a path.
fn status(endpoint: Endpoint, path: &str, code: u16) -> FaultRule {
    let retry_after = None;
    FaultRule {
        matching: Some(path.to_owned()),
        ..FaultRule::always(endpoint, Fault::Status { code, retry_after })
    }
}
