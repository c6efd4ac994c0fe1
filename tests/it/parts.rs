//! A window of many pages: cut into parts, read side by side, and never a row lost or a request wasted.

use std::collections::BTreeMap;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule, Workspace};

use crate::support::{Door, small, stream, windows};

const DETAILS: &str = "transactional_message_details";

/// Some thousand rows in pages of few, so that there is as much to cut as in a large workspace.
fn dense(rows_a_page: usize) -> Door {
    let door = Door::open(Workspace {
        messages: 9,
        deliveries: 20_000,
        days: 300,
        ..small()
    });
    door.change(|behaviour| behaviour.largest_page = rows_a_page);
    door
}

/// A rate that never makes wait: requests are what a run is sparing with.
const LIMITED: [&str; 2] = ["--rate", "100000"];

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&[DETAILS][..], more].concat()
}

/// What was committed, by window.
fn parts(stderr: &str) -> usize {
    stderr.lines().filter(|line| line.contains("committed")).count()
}

#[test]
fn every_row_arrives_with_hardly_a_page_too_many() {
    let door = dense(10);
    let ran = door.export(&arguments(&LIMITED));
    let report = ran.expect(0);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
    assert!(parts(&ran.stderr) >= 3, "{}", ran.stderr);
    let mut rows: BTreeMap<i64, u64> = BTreeMap::new();
    for row in door.truth(DETAILS) {
        *rows.entry(row["transactional_id"].as_i64().unwrap()).or_default() += 1;
    }
    let pages: u64 = rows.values().map(|rows| rows.div_ceil(10)).sum();
    let (messages, months) = (door.truth("transactional_messages").len() as u64, 10);
    let most = pages * 105 / 100 + messages * months;
    let requests = stream(&report, DETAILS)["requests"].as_u64().unwrap();
    assert!(
        pages > 1900 && requests <= most,
        "{requests} requests for {pages} pages, {most} allowed"
    );
}

#[test]
fn how_a_window_is_cut_changes_no_byte() {
    let door = dense(100);
    let ran = door.export(&arguments(&LIMITED));
    ran.expect(0);
    let once = door.data();
    std::fs::remove_dir_all(door.lake()).unwrap();
    let by_memory = door.export(&arguments(&["--rate", "0", "--memory", "64MiB", "--concurrency", "3"]));
    by_memory.expect(0);
    assert!(parts(&by_memory.stderr) > parts(&ran.stderr));
    assert!(door.data() == once);
}

#[test]
fn rows_in_any_order_are_all_found() {
    let door = dense(50);
    door.change(|behaviour| behaviour.oldest_first = true);
    door.export(&arguments(&LIMITED)).expect(0);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
}

/// Two rows tell nothing of how many there are, and one not even in which order they come.
#[test]
fn pages_that_mislead_lose_no_row() {
    for (rows_a_page, oldest_first) in [(1, false), (2, false), (1, true), (3, true)] {
        let door = Door::open(Workspace {
            messages: 5,
            deliveries: 1_500,
            days: 300,
            ..small()
        });
        door.change(|behaviour| {
            behaviour.largest_page = rows_a_page;
            behaviour.oldest_first = oldest_first;
        });
        door.export(&arguments(&LIMITED)).expect(0);
        assert_eq!(
            door.keys(DETAILS),
            door.true_keys(DETAILS),
            "{rows_a_page} rows a page, oldest first: {oldest_first}"
        );
    }
}

#[test]
fn a_window_that_cannot_be_surveyed_does_not_take_the_one_before_with_it() {
    let door = Door::open(Workspace {
        messages: 6,
        deliveries: 600,
        days: 360,
        ..small()
    });
    let messages = door.truth("transactional_messages").len() as u64;
    let refused = Fault::Status {
        code: 401,
        retry_after: None,
    };
    // The rights are asked for once, then the first window is surveyed.
    let second = 1 + messages;
    door.fail([FaultRule::at(Endpoint::Details, [second + 1], refused)]);
    let ran = door.export(&arguments(&LIMITED));
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let coverage = door.state(DETAILS)["coverage"].take();
    assert_eq!(coverage.as_array().unwrap().len(), 1, "{coverage}");
    assert_eq!(parts(&ran.stderr), 1);
}

#[test]
fn what_is_refused_in_the_middle_is_owed_and_read_by_the_next_run() {
    let door = dense(20);
    let refused = Fault::Status {
        code: 400,
        retry_after: None,
    };
    door.fail([FaultRule::at(Endpoint::Details, [40, 300, 700], refused)]);
    let report = door.export(&arguments(&LIMITED)).expect(8);
    assert_eq!(stream(&report, DETAILS)["status"], "gaps");
    let coverage = door.state(DETAILS)["coverage"].take();
    let owed = coverage
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["unread"] != serde_json::json!([]));
    assert!(owed.count() > 0, "{coverage}");
    door.fail([]);
    door.export(&arguments(&LIMITED)).expect(0);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
}

#[test]
fn a_run_that_ends_in_the_middle_is_gone_on_with_behind_its_last_part() {
    let door = dense(10);
    let refused = Fault::Status {
        code: 401,
        retry_after: None,
    };
    door.fail([FaultRule::at(Endpoint::Details, [1_500], refused)]);
    assert_eq!(door.export(&arguments(&LIMITED)).code, 3);
    let done = door.state(DETAILS)["coverage"][0]["to"].take();
    let done: jiff::Timestamp = done.as_str().unwrap().parse().unwrap();
    door.fail([]);
    door.sandbox.reset_requests();
    // Without a lookback the covered part is not read again.
    door.export(&arguments(&["--rate", "100000", "--lookback", "0s"]))
        .expect(0);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
    let asked = windows(&door.asked("/messages"));
    let again = asked.iter().filter(|(from, _)| *from < done.as_second());
    assert_eq!(again.count(), 0, "{done}");
    assert!(asked.len() < 1_700, "{} requests after 1500", asked.len());
}

#[test]
fn a_full_table_run_takes_nothing_away_that_is_served() {
    let door = dense(20);
    door.export(&arguments(&LIMITED)).expect(0);
    let before = door.data();
    let report = door
        .export(&arguments(&["--rate", "100000", "--sync", "full-table"]))
        .expect(0);
    assert_eq!(stream(&report, DETAILS)["rows"]["removed"], 0);
    assert!(door.data() == before);
    assert_eq!(door.state(DETAILS)["full_table"], serde_json::Value::Null);
}
