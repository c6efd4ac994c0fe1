//! Every exit code, provoked; the list is the one in `--help`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use cio2parquet::sandbox::Endpoint;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{Door, binary, interrupt, small, stall};

/// How to come to an end with a code.
type Provoke = fn(&Door) -> i32;

const ROWS: [(i32, Provoke); 11] = [
    (0, complete),
    (1, unexpected),
    (2, mistake),
    (3, key_refused),
    (4, all_forbidden),
    (5, nobody_answers),
    (6, no_place_for_a_lake),
    (7, held),
    (8, one_forbidden),
    (9, out_of_time),
    (130, interrupted),
];

fn code(mut command: Command) -> i32 {
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.unwrap().code().unwrap_or(-1)
}

fn export(door: &Door, more: &[&str]) -> Command {
    door.exporting_eagerly(&door.lake(), more)
}

fn complete(door: &Door) -> i32 {
    code(export(door, &["customers"]))
}

/// The report cannot be written.
fn unexpected(door: &Door) -> i32 {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = export(door, &["customers"]);
    command
        .stdout(full)
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .code()
        .unwrap()
}

fn mistake(door: &Door) -> i32 {
    code(export(door, &["customer"]))
}

fn key_refused(door: &Door) -> i32 {
    let mut command = export(door, &["customers"]);
    command.env("CIO_TOKEN", "of-nobody");
    code(command)
}

fn all_forbidden(door: &Door) -> i32 {
    door.change(|behaviour| behaviour.forbidden.extend(Endpoint::ALL));
    code(export(door, &[]))
}

fn nobody_answers(door: &Door) -> i32 {
    let mut command = export(door, &["customers", "--api-url", "http://127.0.0.1:9"]);
    command.env("CIO2PARQUET_PATIENCE_SECONDS", "1");
    code(command)
}

fn no_place_for_a_lake(door: &Door) -> i32 {
    fs::write(door.lake(), "a file where a folder is expected").unwrap();
    code(export(door, &["customers"]))
}

/// A run of another machine has an hour left.
fn held(door: &Door) -> i32 {
    door.export(&["customers"]).expect(0);
    let mut version = door.manifest("customers");
    let number = version["version"].as_u64().unwrap() + 1;
    version["version"] = number.into();
    version["run"] = "another-run".into();
    version["state"]["claim"] = json!({
        "run": "another-run",
        "owner": {"host": "elsewhere", "boot": "another", "process": "1:1"},
        "until": (Timestamp::now() + SignedDuration::from_hours(1)).to_string(),
    });
    let folder = door.lake().join("_manifest/customers");
    fs::write(folder.join(format!("{number:020}.json")), version.to_string()).unwrap();
    code(export(door, &["customers"]))
}

fn one_forbidden(door: &Door) -> i32 {
    door.change(|behaviour| behaviour.forbidden.extend([Endpoint::Customers]));
    code(export(door, &["customers", "transactional_messages"]))
}

fn out_of_time(door: &Door) -> i32 {
    door.change(|behaviour| behaviour.latency_ms = 20_000);
    code(export(door, &["customers", "--max-duration", "1s"]))
}

fn interrupted(door: &Door) -> i32 {
    stall(door);
    let mut command = export(door, &["customers"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    interrupt(door, &child);
    child.wait().unwrap().code().unwrap_or(-1)
}

#[test]
fn every_code_is_provoked() {
    for (expected, provoke) in ROWS {
        let door = Door::open(small());
        assert_eq!(provoke(&door), expected);
    }
}

/// Numbers that stand before a word, in the lines below `Exit codes:`.
#[test]
fn the_help_lists_the_codes_that_are_provoked() {
    let help = binary().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let list = help.split_once("Exit codes:").unwrap().1;
    let listed: BTreeSet<i32> = list
        .lines()
        .flat_map(|line| line.split('·'))
        .filter_map(|entry| entry.trim().split_once(' ')?.0.parse().ok())
        .collect();
    let provoked: BTreeSet<i32> = ROWS.iter().map(|(code, _)| *code).collect();
    assert_eq!(listed, provoked);
}
