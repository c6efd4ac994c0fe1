//! `check` through the door: what a run would meet, told without one, and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use cio2parquet::manifest::FORMAT;
use cio2parquet::run::{Access, CheckSettings, CheckStatus, Stop};
use cio2parquet::sandbox::{Endpoint, Fault, FaultRule};
use cio2parquet::source::{Base, Region, Source, SourceSettings, Token};
use cio2parquet::storage::{Destination, Owner};
use cio2parquet::stream::Catalog;
use jiff::Timestamp;
use serde_json::Value;

use crate::support::{Door, Ran, STREAMS, binary, interrupt, kill, small, stall, wait_until};

fn check(door: &Door, more: &[&str]) -> Ran {
    let lake = door.lake().display().to_string();
    door.run(&[&["check", "--to", &lake][..], more].concat())
}

/// The same as a process of its own.
fn command(door: &Door) -> Command {
    let mut command = binary();
    command
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .arg("check")
        .arg("--to")
        .arg(door.lake());
    command
}

fn json(door: &Door, code: i32, more: &[&str]) -> Value {
    check(door, &[more, &["--json"]].concat()).expect(code)
}

/// One check of a report.
fn of<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

fn status<'a>(report: &'a Value, name: &str) -> &'a str {
    of(report, name)["status"].as_str().unwrap()
}

fn detail<'a>(report: &'a Value, name: &str) -> &'a str {
    of(report, name)["detail"].as_str().unwrap()
}

#[test]
fn a_folder_and_a_key_that_are_good() {
    let door = Door::open(small());
    let report = json(&door, 0, &[]);
    let names: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let storage = [
        "open",
        "create",
        "create_again",
        "read",
        "read_range",
        "list",
        "replace",
        "replace_outdated",
        "clock",
        "delete",
    ];
    let tables = STREAMS.map(|name| format!("table {name}"));
    let tables = tables.each_ref().map(String::as_str);
    assert_eq!(names, [&storage[..], &["key", "region"], &STREAMS, &tables].concat());
    assert!(names.iter().all(|name| status(&report, name) == "ok"), "{report:#}");
    assert!(of(&report, "activities")["ms"].is_u64());
    assert_eq!(
        (&report["api_url"], &report["region"]),
        (&door.sandbox.url().into(), &Value::Null)
    );
    assert_eq!(report["left"], serde_json::json!([]));
    assert!(!door.lake().exists(), "a folder was left behind");
    let asked = door.sandbox.requests().log;
    assert!(asked.len() <= STREAMS.len(), "{asked:?}");
}

#[test]
fn the_table_keeps_to_eighty_columns() {
    let door = Door::open(small());
    door.change(|behaviour| _ = behaviour.forbidden.insert(Endpoint::Customers));
    let ran = check(&door, &[]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    let (table, told) = ran.stdout.split_at(ran.stdout.find("forbidden: customers: ").unwrap());
    assert!(table.lines().skip(1).all(|line| line.chars().count() <= 80), "{table}");
    assert!(told.contains("403") && told.contains("scope"), "{told}");
    assert!(
        told.ends_with("an export works for some of these streams (exit code 8)\n"),
        "{told}"
    );
}

#[test]
fn it_works_beside_what_is_there_and_changes_none_of_it() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    let before = (door.data(), door.manifest("customers"));
    json(&door, 0, &[]);
    assert_eq!((door.data(), door.manifest("customers")), before);
    let mut left: Vec<_> = fs::read_dir(door.lake())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["_manifest", "_staging", "customers"]);
    assert_eq!(fs::read_dir(door.lake().join("_staging")).unwrap().count(), 0);
}

#[test]
fn rights_are_told_stream_by_stream() {
    let door = Door::open(small());
    door.change(|behaviour| _ = behaviour.forbidden.insert(Endpoint::Details));
    let report = json(&door, 8, &[]);
    assert_eq!(status(&report, "transactional_message_details"), "forbidden");
    assert!(detail(&report, "transactional_message_details").contains("/messages"));
    let others = STREAMS.iter().filter(|name| **name != "transactional_message_details");
    assert!(others.clone().all(|name| status(&report, name) == "ok"));
    json(&door, 0, &["activities", "customers"]);
    json(&door, 4, &["transactional_message_details"]);

    // Who may not list the messages can ask none of them either.
    door.change(|behaviour| behaviour.forbidden = [Endpoint::Transactional].into());
    let report = json(&door, 8, &[]);
    for name in &STREAMS[2..] {
        assert_eq!(status(&report, name), "forbidden", "{name}");
    }
    door.change(|behaviour| behaviour.forbidden.extend(Endpoint::ALL));
    let report = json(&door, 4, &[]);
    assert_eq!(status(&report, "key"), "ok");
}

#[test]
fn a_refused_key_hides_nothing_of_the_lake() {
    let door = Door::open(small());
    let lake = door.lake().display().to_string();
    let url = door.sandbox.url();
    let mut command = binary();
    command
        .env("CIO_TOKEN", "no-such-key")
        .args(["check", "--to", &lake, "--api-url", &url, "--json"]);
    let report = Ran::from(command.output().unwrap()).expect(3);
    assert!(detail(&report, "key").contains("401"));
    assert_eq!(status(&report, "activities"), "skipped");
    assert_eq!(status(&report, "delete"), "ok");
    assert!(!door.lake().exists());
}

#[test]
fn a_lake_that_cannot_be_written_hides_nothing_of_the_key() {
    let door = Door::open(small());
    fs::write(door.lake(), "not a folder").unwrap();
    let report = json(&door, 6, &[]);
    assert!(detail(&report, "open").contains("move it away"), "{report:#}");
    assert_eq!(status(&report, "create"), "skipped");
    assert_eq!(status(&report, "transactional_metrics"), "ok");

    fs::remove_file(door.lake()).unwrap();
    fs::create_dir(door.lake()).unwrap();
    fs::set_permissions(door.lake(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(door.lake().join("x"), "root may do everything").is_err() {
        let report = json(&door, 6, &[]);
        assert!(
            detail(&report, "open").contains("let this user read and write"),
            "{report:#}"
        );
    }
}

#[test]
fn an_api_that_fails_is_told_after_a_moment() {
    let door = Door::open(small());
    let impatient = |url: &str| {
        let mut command = command(&door);
        command
            .env("CIO2PARQUET_PATIENCE_SECONDS", "1")
            .args(["--json", "--api-url", url]);
        Ran::from(command.output().unwrap())
    };
    let report = impatient("http://127.0.0.1:9").expect(5);
    for name in ["key", "region"] {
        assert_eq!(status(&report, name), "skipped", "nobody answered");
    }
    assert_eq!(status(&report, "activities"), "failed");
    let told = detail(&report, "activities");
    assert!(told.contains("--api-url") && !told.contains("goes on"), "{told}");
    assert_eq!(status(&report, "delete"), "ok");

    let (code, retry_after) = (503, None);
    door.fail([FaultRule::always(
        Endpoint::Activities,
        Fault::Status { code, retry_after },
    )]);
    let report = impatient(&door.sandbox.url()).expect(8);
    assert!(detail(&report, "activities").contains("503"), "{report:#}");
    assert_eq!(status(&report, "customers"), "ok");

    let (code, retry_after) = (429, Some("0".to_owned()));
    door.fail([FaultRule::at(
        Endpoint::Activities,
        [1],
        Fault::Status { code, retry_after },
    )]);
    let report = impatient(&door.sandbox.url()).expect(0);
    assert_eq!(status(&report, "activities"), "warning");
}

#[test]
fn an_interrupted_check_leaves_nothing_either() {
    let door = Door::open(small());
    stall(&door);
    let mut command = command(&door);
    let child = command
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    interrupt(&door, &child);
    let report = Ran::from(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(status(&report, "activities"), "skipped");
    assert_eq!(report["left"], serde_json::json!([]));
    assert!(!door.lake().exists());
}

#[test]
fn a_key_of_the_other_region_is_told() {
    let here = Door::open(small());
    let there = Door::open(small());
    let source = |url: &str, token: &str| {
        Source::new(SourceSettings {
            token: Token::new(token).unwrap(),
            base: Base::Url(url.parse().unwrap()),
            rate: 0.0,
            patience: Duration::from_secs(5),
            user_agent: "test".to_owned(),
        })
        .unwrap()
    };
    let token = there.sandbox.token();
    let settings = CheckSettings {
        run: "r".parse().unwrap(),
        owner: Owner::current(),
        destination: Destination::new(here.lake().to_str().unwrap()),
        streams: Catalog::load().unwrap().streams().to_vec(),
        tables: Vec::new(),
        clock: Timestamp::now,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (token, status) in [
        (token.as_str(), CheckStatus::Failed),
        ("no-such-key", CheckStatus::Skipped),
    ] {
        // A sandbox knows the key of its own seed only, as a region does.
        let access = Access {
            source: source(&here.sandbox.url(), "no-such-key"),
            other: Some((Region::Eu, source(&there.sandbox.url(), token))),
        };
        let report = runtime
            .block_on(cio2parquet::run::check(&settings, &access, &Stop::default()))
            .unwrap();
        assert_eq!(report.exit_code, 3);
        let region = report.checks.iter().find(|check| check.name == "region").unwrap();
        assert_eq!(region.status, status);
        let told = region.detail.as_ref().unwrap().contains("--region eu");
        assert_eq!(told, status == CheckStatus::Failed);
    }
}

#[test]
fn mistakes_in_the_settings_are_exit_2() {
    let door = Door::open(small());
    for (arguments, part) in [
        (&["check"][..], "--to"),
        (&["check", "--to", "ftp://x/y"], "ftp"),
        (&["check", "--to", "x", "custmers"], "did you mean \"customers\"?"),
        (&["check", "--to", "x", "--region", "mars"], "mars"),
    ] {
        let ran = door.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    let ran: Ran = binary().args(["check", "--to", "x"]).output().unwrap().into();
    assert!(ran.code == 2 && ran.stderr.contains("CIO_TOKEN"), "{}", ran.stderr);
}

/// What stands in the lake that `export` and `plan` refuse; the code that all three end with, and what is said.
fn all_refuse(door: &Door, table: &str, code: i32, part: &str, more: &[&str]) {
    let lake = door.lake().display().to_string();
    let before = door.data();
    for verb in ["export", "plan"] {
        let ran = door.run(&[&[verb, "--to", &lake][..], more].concat());
        assert_eq!(ran.code, code, "{verb}: {}", ran.stderr);
        assert!(ran.stderr.contains(part), "{verb}: {}", ran.stderr);
    }
    let report = json(door, code, more);
    let check = of(&report, &format!("table {table}"));
    assert_eq!(
        (&check["subject"], &check["status"]),
        (&"table".into(), &"failed".into())
    );
    assert!(check["detail"].as_str().unwrap().contains(part), "{check:#}");
    let told = check_text(door, code, more);
    assert!(
        told.contains(&format!("failed: table {table}: ")) && !told.contains("an export works"),
        "{told}"
    );
    assert_eq!(door.data(), before);
}

fn check_text(door: &Door, code: i32, more: &[&str]) -> String {
    let ran = check(door, more);
    assert_eq!(ran.code, code, "{}", ran.stderr);
    ran.stdout
}

/// The newest version of the table's manifest, as a file.
fn newest(door: &Door, table: &str) -> std::path::PathBuf {
    let versions = fs::read_dir(door.lake().join("_manifest").join(table)).unwrap();
    versions.map(|entry| entry.unwrap().path()).max().unwrap()
}

#[test]
fn a_manifest_that_ends_an_export_is_told() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    let version = newest(&door, "customers");
    let good = fs::read_to_string(&version).unwrap();
    let newer = good.replacen(&format!("\"format\": {FORMAT}"), "\"format\": 99", 1);
    fs::write(&version, newer).unwrap();
    all_refuse(&door, "customers", 6, "has format 99", &["customers"]);
    fs::write(&version, &good[..good.len() / 2]).unwrap();
    all_refuse(&door, "customers", 6, "is damaged, move it away", &["customers"]);
    let told = check_text(&door, 6, &[]);
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("failed: ")).collect();
    // No stream can begin a table, for that one may be its own under another name; that is said once.
    assert!(
        lines.len() == 1 && lines[0].contains("table activities, table customers, "),
        "{told}"
    );
    fs::write(&version, good).unwrap();
    assert!(check_text(&door, 0, &["customers"]).contains("  table customers "));
}

#[test]
fn a_table_of_another_stream_is_told() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    let more = ["activities", "--table", "activities=customers"];
    all_refuse(
        &door,
        "customers",
        2,
        "table customers holds the stream customers",
        &more,
    );
    let report = json(&door, 2, &["customers", "--table", "customers=people"]);
    assert!(
        detail(&report, "table people").contains("cio2parquet rename"),
        "{report:#}"
    );
    json(
        &door,
        0,
        &["customers", "--table", "customers=people", "--prefix", "x_"],
    );
}

#[test]
fn columns_that_cannot_be_hashed_are_told_as_a_plan_tells_them() {
    let door = Door::open(small());
    let config = door.lake().with_file_name("c.toml");
    fs::write(&config, "[columns]\nhash = [\"recipient\"]\n").unwrap();
    let config = config.to_str().unwrap();
    let lake = door.lake().display().to_string();
    for verb in ["plan", "check"] {
        let ran = door.run(&[verb, "--to", &lake, "--config", config]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{verb}");
        assert!(ran.stderr.contains("CIO_HASH_KEY"), "{verb}: {}", ran.stderr);
    }
}

#[test]
fn a_table_that_another_run_holds_is_a_warning() {
    let door = Door::open(small());
    stall_pages(&door);
    let child = door
        .exporting_eagerly(&door.lake(), &["activities"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let folder = door.lake().join("_manifest/activities");
    wait_until("the table is claimed", || {
        fs::read_dir(&folder).is_ok_and(|versions| versions.count() > 0)
    });
    door.fail([]);
    let report = json(&door, 0, &["activities"]);
    let held = of(&report, "table activities");
    assert_eq!(held["status"], "warning", "{report:#}");
    assert!(held["detail"].as_str().unwrap().contains("is held by run"), "{held}");
    kill(child);
    json(&door, 0, &["activities"]);
}

/// A run gets its right to read, its claim, and then half a page.
fn stall_pages(door: &Door) {
    door.fail([FaultRule::at(Endpoint::Activities, 2..1000, Fault::Stall { ms: None })]);
}
