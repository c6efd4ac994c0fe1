//! Scans from the newest activity backwards: interrupted, gone on with, and what they may say afterwards.

use std::collections::BTreeSet;
use std::process::Stdio;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule, RequestRecord, Workspace};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::{Door, Ran, interrupt, kill, small, stream, text, wait_until};

const NAME: &str = "activities";

/// Activities alone, some twenty pages of them.
fn activities() -> Workspace {
    Workspace {
        activities: 2_000,
        deliveries: 0,
        messages: 1,
        people: 20,
        days: 60,
        ..small()
    }
}

#[test]
fn a_scan_out_of_time_goes_on_to_the_same_bytes() {
    let door = Door::open(activities());
    door.export(&[NAME]).expect(0);
    let straight = door.data();
    std::fs::remove_dir_all(door.lake()).unwrap();
    door.change(|behaviour| behaviour.latency_ms = 150);
    door.export_eagerly(&[NAME, "--max-duration", "1s"]).expect(9);
    door.change(|behaviour| behaviour.latency_ms = 0);
    door.export_eagerly(&[NAME]).expect(0);
    assert!(straight == door.data());
}

#[test]
fn a_scan_that_is_stopped_before_its_first_commit_keeps_what_it_has_read() {
    let door = Door::open(activities());
    door.change(|behaviour| behaviour.latency_ms = 100);
    let mut command = door.exporting(&door.lake(), &[NAME]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("six pages are read", || pages(&door) > 6);
    interrupt(&door, &child);
    let report = Ran::from(child.wait_with_output().unwrap()).expect(130);
    let rows = &stream(&report, NAME)["rows"];
    assert!(rows["new"].as_u64().unwrap() >= 500, "{report}");
    door.change(|behaviour| behaviour.latency_ms = 0);
    let whole = pages(&door);
    door.sandbox.reset_requests();
    door.export(&[NAME]).expect(0);
    let rest = pages(&door);
    assert!(rest <= 20 - whole + 4, "{whole} pages, then {rest}");
    assert_eq!(door.keys(NAME), door.true_keys(NAME));
}

#[test]
fn a_killed_scan_goes_on_to_the_same_bytes() {
    for mode in ["incremental", "full-table"] {
        let door = Door::open(Workspace {
            activities: 1_000,
            ..activities()
        });
        door.export(&[NAME]).expect(0);
        let straight = door.data();
        std::fs::remove_dir_all(door.lake()).unwrap();
        door.change(|behaviour| behaviour.latency_ms = 100);
        let mut killed = door.exporting_eagerly(&door.lake(), &[NAME, "--sync", mode]);
        let killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("three days are committed", || door.data().len() >= 3);
        kill(killed);
        door.change(|behaviour| behaviour.latency_ms = 0);
        door.export_eagerly(&[NAME, "--sync", mode]).expect(0);
        assert!(straight == door.data(), "{mode}");
    }
}

#[test]
fn an_unfinished_scan_goes_on_at_its_cursor() {
    let door = Door::open(activities());
    let cursor = interrupted(&door, &[NAME], 12);
    door.sandbox.reset_requests();
    door.export(&[NAME]).expect(0);
    let asked = door.asked("/v1/activities");
    assert!(asked.iter().any(|request| request.query.contains(&cursor)), "{asked:?}");
    assert!(asked.len() < 14, "{} requests", asked.len());
    assert_eq!(door.keys(NAME), door.true_keys(NAME));
    assert_eq!(door.state(NAME)["scan"], Value::Null);
}

#[test]
fn a_cursor_that_has_expired_ends_no_scan() {
    for answer in [Fault::Empty, refused()] {
        let door = Door::open(activities());
        let cursor = interrupted(&door, &[NAME], 12);
        let expired = FaultRule {
            matching: Some(format!("start={cursor}")),
            ..FaultRule::at(Endpoint::Activities, [1], answer.clone())
        };
        door.fail([expired]);
        door.export(&[NAME]).expect(0);
        assert_eq!(door.keys(NAME), door.true_keys(NAME), "{answer:?}");
    }
}

#[test]
fn an_unfinished_scan_goes_on_through_empty_pages() {
    let door = Door::open(activities());
    interrupted(&door, &[NAME], 12);
    door.change(|behaviour| {
        behaviour.faults.0.clear();
        behaviour.empty_pages = 1;
    });
    door.export(&[NAME]).expect(0);
    assert_eq!(door.keys(NAME), door.true_keys(NAME));
}

#[test]
fn a_beginning_after_the_mark_does_not_move_the_mark() {
    for mode in ["incremental", "full-table"] {
        let door = Door::open(activities());
        let mark = stream(&door.export(&[NAME]).expect(0), NAME)["mark"].clone();
        door.move_clock(10);
        let report = door.export(&[NAME, "--since", "1d", "--sync", mode]).expect(0);
        assert_eq!(stream(&report, NAME)["mark"], mark, "{mode}");
        let report = door.export(&[NAME]).expect(0);
        assert_ne!(stream(&report, NAME)["mark"], mark, "{mode}");
        let since = at(&mark) - SignedDuration::from_hours(7 * 24);
        assert!(true_since(&door, since).is_subset(&door.keys(NAME)), "{mode}");
    }
}

#[test]
fn a_beginning_in_a_file_leaves_out_nothing_after_nights_without_a_run() {
    let door = Door::open(activities());
    let config = door.lake().with_file_name("c.toml");
    std::fs::write(&config, "[streams.activities]\nsince = \"2d\"\n").unwrap();
    let nightly = [NAME, "--config", config.to_str().unwrap()];
    let first = at(&stream(&door.export(&nightly).expect(0), NAME)["mark"]);
    door.move_clock(10);
    let mark = at(&stream(&door.export(&nightly).expect(0), NAME)["mark"]);
    assert_eq!(mark, door.sandbox.now());
    assert!(true_since(&door, first).is_subset(&door.keys(NAME)));
    door.move_clock(45);
    door.export(&nightly).expect(8);
    door.export(&nightly).expect(0);
    assert_eq!(gaps(&door).len(), 1, "told again");
}

#[test]
fn a_stretch_that_a_late_beginning_left_out_is_a_gap_once_it_is_too_old() {
    let door = Door::open(activities());
    let mark = stream(&door.export(&[NAME]).expect(0), NAME)["mark"].clone();
    door.move_clock(10);
    door.export(&[NAME, "--since", "1d"]).expect(0);
    door.move_clock(28);
    door.export(&[NAME]).expect(8);
    assert_eq!(gaps(&door), [(at(&mark), promised(&door))]);
}

#[test]
fn an_outage_of_more_than_thirty_days_is_a_gap_in_either_mode() {
    for mode in ["incremental", "full-table"] {
        let door = Door::open(activities());
        let mark = stream(&door.export(&[NAME]).expect(0), NAME)["mark"].clone();
        door.move_clock(45);
        let report = door.export(&[NAME, "--sync", mode]).expect(8);
        assert_eq!(stream(&report, NAME)["status"], "gaps", "{mode}");
        assert_eq!(gaps(&door), [(at(&mark), promised(&door))], "{mode}");
        door.export(&[NAME, "--sync", mode]).expect(0);
        assert_eq!(gaps(&door).len(), 1, "{mode}: told again");
    }
}

#[test]
fn a_first_scan_that_goes_on_too_late_leaves_a_gap() {
    let door = Door::open(activities());
    interrupted(&door, &[NAME], 6);
    let stopped = door.sandbox.now();
    door.move_clock(45);
    door.fail([]);
    door.export(&[NAME]).expect(8);
    assert_eq!(gaps(&door), [(stopped, promised(&door))]);
    assert!(door.true_keys(NAME).is_subset(&door.keys(NAME)));
}

#[test]
fn what_a_first_scan_did_not_get_to_before_it_was_too_old_is_told_once() {
    let door = Door::open(activities());
    interrupted(&door, &[NAME], 6);
    let was_promised = promised(&door);
    door.move_clock(12);
    door.fail([]);
    let aged = format!("from {was_promised} to {} was still served when", promised(&door));
    for times in [1, 0] {
        let ran = door.export(&[NAME]);
        ran.expect(0);
        assert_eq!(ran.stderr.matches(&aged).count(), times, "{}", ran.stderr);
    }
    assert_eq!(gaps(&door), []);
}

#[test]
fn a_first_scan_is_read_to_its_end_whatever_beginning_is_named_later() {
    let config = "[streams.activities]\nsince = \"2d\"\n";
    let (full, since) = (["--sync", "full-table"], ["--since", "2d"]);
    let full_since = [full, since].concat();
    let cases = [
        (&[][..], "", &since[..]),
        (&[], config, &[]),
        (&[], "", &full_since),
        (&[], config, &full),
        (&full, "", &since),
        (&full, config, &[]),
    ];
    for (first, beginning, flags) in cases {
        let door = Door::open(activities());
        interrupted(&door, &[&[NAME], first].concat(), 12);
        door.fail([]);
        let file = door.lake().with_file_name("c.toml");
        std::fs::write(&file, beginning).unwrap();
        let file = ["--config", file.to_str().unwrap()];
        let named = if beginning.is_empty() { &[NAME][..] } else { &file };
        door.export(&[named, flags].concat()).expect(0);
        door.export(&[NAME]).expect(0);
        assert!(
            door.true_keys(NAME).is_subset(&door.keys(NAME)),
            "{first:?} {beginning:?} {flags:?}"
        );
    }
}

#[test]
fn a_scan_of_many_nights_reads_each_night_what_is_new_and_no_more() {
    let door = Door::open(activities());
    interrupted(&door, &[NAME], 6);
    let cursor = door.state(NAME)["scan"]["cursor"].as_str().unwrap().to_owned();
    let goes_on = |request: &RequestRecord| request.query.contains(&cursor);
    let mut on_top = Vec::new();
    for _ in 0..4 {
        door.move_clock(4);
        door.sandbox.reset_requests();
        door.fail([FaultRule {
            matching: Some(cursor.clone()),
            ..FaultRule::always(Endpoint::Activities, Fault::Stall { ms: None })
        }]);
        let mut command = door.exporting(&door.lake(), &[NAME]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let asked = || door.asked("/v1/activities");
        wait_until("the scan goes on at its cursor", || asked().iter().any(goes_on));
        interrupt(&door, &child);
        Ran::from(child.wait_with_output().unwrap()).expect(130);
        on_top.push(asked().len());
        let yesterday = door.sandbox.now() - SignedDuration::from_hours(24);
        assert!(true_between(&door, yesterday, door.sandbox.now()).is_subset(&door.keys(NAME)));
    }
    assert!(on_top[3] <= on_top[0] + 2, "{on_top:?}");
}

#[test]
fn the_lookback_counts_from_the_beginning_of_a_scan_of_several_runs() {
    let door = Door::open(Workspace {
        activities: 4_000,
        ..activities()
    });
    door.export(&[NAME]).expect(0);
    door.move_clock(1);
    let begun = door.sandbox.now();
    interrupted(&door, &[NAME], 7);
    let reached = at(&door.state(NAME)["scan"]["reached"]);
    let seen = true_since(&door, reached);
    door.move_clock(14);
    let late: BTreeSet<String> = true_between(&door, reached, begun).difference(&seen).cloned().collect();
    assert!(!late.is_empty(), "nothing came late");
    door.fail([]);
    door.export(&[NAME]).expect(0);
    door.export(&[NAME]).expect(0);
    let missing: Vec<String> = late.difference(&door.keys(NAME)).cloned().collect();
    assert!(missing.is_empty(), "{} of {} are missing", missing.len(), late.len());
    let since = begun - SignedDuration::from_hours(7 * 24);
    assert!(true_since(&door, since).is_subset(&door.keys(NAME)));
}

#[test]
fn a_full_table_run_leaves_no_older_scan_to_go_on_with() {
    let door = Door::open(activities());
    interrupted(&door, &[NAME], 12);
    door.fail([]);
    door.export(&[NAME, "--sync", "full-table"]).expect(0);
    assert_eq!(door.state(NAME)["scan"], Value::Null);
    assert_eq!(door.keys(NAME), door.true_keys(NAME));
}

/// A run with `args` that is refused the request of that number, after what it read before was committed; the cursor it
/// left behind.
pub fn interrupted(door: &Door, args: &[&str], number: u64) -> String {
    door.fail([FaultRule::at(Endpoint::Activities, [number], refused())]);
    let report = door.export_eagerly(args).expect(8);
    assert_eq!(stream(&report, NAME)["status"], "failed");
    let state = door.state(NAME);
    let scan = [&state["scan"], &state["full_table"]["scan"]];
    let cursor = scan.iter().find_map(|scan| scan["cursor"].as_str());
    cursor.unwrap().to_owned()
}

/// How many pages were asked for; whether they may be read is asked with `limit=1`.
fn pages(door: &Door) -> usize {
    let asked = door.asked("/v1/activities");
    asked
        .iter()
        .filter(|request| request.query.contains("limit=100"))
        .count()
}

fn refused() -> Fault {
    Fault::Status {
        code: 400,
        retry_after: None,
    }
}

fn at(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Since when the API promises activities.
fn promised(door: &Door) -> Timestamp {
    door.sandbox.now() - SignedDuration::from_hours(30 * 24)
}

fn gaps(door: &Door) -> Vec<(Timestamp, Timestamp)> {
    let state = door.state(NAME);
    let gaps = state["gaps"].as_array().unwrap();
    gaps.iter().map(|gap| (at(&gap["from"]), at(&gap["to"]))).collect()
}

fn true_since(door: &Door, from: Timestamp) -> BTreeSet<String> {
    true_between(door, from, Timestamp::MAX)
}

fn true_between(door: &Door, from: Timestamp, to: Timestamp) -> BTreeSet<String> {
    let rows = door.truth(NAME);
    let inside = rows.iter().filter(|row| {
        let second = row["timestamp"].as_i64().unwrap();
        from.as_second() <= second && second < to.as_second()
    });
    inside.map(|row| text(&row["id"])).collect()
}
