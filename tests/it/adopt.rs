//! Lakes that somebody else has touched: what is found is taken over or asked for again, and what is lost is told.

use std::fs;
use std::path::{Path, PathBuf};

use cio2parquet::sandbox::Workspace;
use jiff::SignedDuration;

use crate::scan::interrupted;
use crate::support::{Door, Ran, small, stream, text};

const DETAILS: &str = "transactional_message_details";

/// Activities fill a page in a little more than three days, so that a short lookback leaves most of them alone.
fn workspace() -> Workspace {
    Workspace {
        activities: 900,
        deliveries: 300,
        messages: 3,
        people: 20,
        days: 60,
        ..small()
    }
}

#[test]
fn a_partition_deleted_by_hand_is_asked_for_again() {
    for name in ["activities", DETAILS, "customers", "transactional_messages"] {
        let door = Door::open(workspace());
        door.export(&[name]).expect(0);
        let before = door.data();
        let partition = match name {
            "activities" | DETAILS => some_day(&door, name, 15..25),
            _ => door.lake().join(name).join("part-0.parquet"),
        };
        fs::remove_file(&partition).unwrap();
        // The lookback alone would not reach the day.
        let ran = door.export(&[name, "--lookback", "1d"]);
        ran.expect(0);
        told(&ran, "is gone from the lake");
        assert!(before == door.data(), "{name}");
        let again = door.export(&[name, "--lookback", "1d"]);
        again.expect(0);
        assert!(!again.stderr.contains("is gone from the lake"), "{}", again.stderr);
    }
}

#[test]
fn a_day_that_an_unfinished_scan_has_passed_is_asked_for_again() {
    let door = Door::open(workspace());
    interrupted(&door, &["activities"], 7);
    door.fail([]);
    // The first page alone goes back three days.
    let passed = some_day(&door, "activities", 6..12);
    fs::remove_file(&passed).unwrap();
    let ran = door.export(&["activities"]);
    ran.expect(0);
    told(&ran, "is gone from the lake; its rows are asked for again");
    assert!(door.true_keys("activities").is_subset(&door.keys("activities")));
}

#[test]
fn the_first_days_deleted_by_hand_are_asked_for_again() {
    let name = "activities";
    for days in [1, 3, usize::MAX] {
        let door = Door::open(workspace());
        door.export(&[name, "--since", "20d"]).expect(0);
        // The last page has brought some rows of the day before.
        let first = door.sandbox.now() - SignedDuration::from_hours(20 * 24);
        let first = door.lake().join(name).join(first.strftime("date=%F").to_string());
        let asked_for = || {
            let mut data = door.data();
            data.retain(|path, _| Path::new(path) >= first.as_path());
            data
        };
        let before = asked_for();
        assert!(before.len() > 15);
        for partition in before.keys().take(days) {
            fs::remove_file(partition).unwrap();
        }
        let ran = door.export(&[name, "--lookback", "1d"]);
        ran.expect(0);
        told(&ran, "is gone from the lake; its rows are asked for again");
        assert!(before == asked_for(), "{days} days");
    }
}

#[test]
fn what_lies_before_every_run_is_not_said_to_be_asked_for_again() {
    let door = Door::open(workspace());
    door.export(&[DETAILS]).expect(0);
    let config = door.lake().with_file_name("c.toml");
    fs::write(&config, "[streams.transactional_message_details]\nsince = \"10d\"\n").unwrap();
    let before = door.data();
    let partition = some_day(&door, DETAILS, 15..25);
    fs::remove_file(&partition).unwrap();
    let nightly = [DETAILS, "--config", config.to_str().unwrap()];
    let ran = door.export(&nightly);
    let report = ran.expect(8);
    let gap = stream(&report, DETAILS)["error"].as_str().unwrap();
    assert!(
        gap.contains("is gone from the lake") && gap.contains("--since"),
        "{gap}"
    );
    door.export(&nightly).expect(0);
    door.export(&[DETAILS]).expect(0);
    assert!(before == door.data());
}

#[test]
fn an_older_copy_of_a_partition_is_read_again() {
    let door = Door::open(workspace());
    door.export(&[DETAILS]).expect(0);
    let older = door.data();
    door.move_clock(2);
    door.export(&[DETAILS]).expect(0);
    let newer = door.data();
    // Some of what was sent in the last days has been delivered or opened meanwhile.
    let changed = older.keys().find(|path| older[*path] != newer[*path]).unwrap();
    door.move_clock(8);
    let args = [DETAILS, "--lookback", "1d"];
    door.export(&args).expect(0);
    let current = door.data();
    assert!(current[changed] == newer[changed], "the day was read again anyway");
    fs::write(changed, &older[changed]).unwrap();
    let ran = door.export(&args);
    let report = ran.expect(0);
    told(&ran, "adopted");
    let rows = &stream(&report, DETAILS)["rows"];
    assert!(rows["changed"].as_u64().unwrap() > 0, "{rows}");
}

#[test]
fn a_partition_without_an_entry_is_adopted() {
    let whole = Door::open(workspace());
    whole.export(&[DETAILS]).expect(0);
    let foreign = some_day(&whole, DETAILS, 35..45);
    let door = Door::open(workspace());
    door.export(&[DETAILS, "--since", "20d"]).expect(0);
    let relative = foreign.strip_prefix(whole.lake()).unwrap();
    let place = door.lake().join(relative);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(&foreign, &place).unwrap();
    let ran = door.export(&[DETAILS]);
    ran.expect(0);
    told(&ran, "adopted");
    let entry = relative.strip_prefix(DETAILS).unwrap().display().to_string();
    let entry = &door.state(DETAILS)["partitions"][&entry];
    assert!(entry["rows"].as_u64().unwrap() > 0, "{entry}");
    let days = |door: &Door| -> Vec<String> {
        let partitions = door.state(DETAILS)["partitions"].clone();
        partitions.as_object().unwrap().keys().cloned().collect()
    };
    door.export(&[DETAILS, "--since", "365d"]).expect(0);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
    assert_eq!(days(&door), days(&whole));
}

#[test]
fn many_adopted_partitions_are_told_in_one_line() {
    let door = Door::open(workspace());
    door.export(&[DETAILS]).expect(0);
    let partitions = door.data().len();
    for (more, lines) in [(&[][..], 1), (&["-v"], 1 + partitions)] {
        fs::remove_dir_all(door.lake().join("_manifest").join(DETAILS)).unwrap();
        let ran = door.export(&[&[DETAILS], more].concat());
        ran.expect(0);
        told(&ran, &format!("adopted {partitions} partitions of 20"));
        assert_eq!(ran.stderr.matches("adopted ").count(), lines, "{}", ran.stderr);
    }
}

#[test]
fn a_day_of_another_lake_is_adopted_and_asked_for() {
    let other = Door::open(Workspace { seed: 2, ..workspace() });
    other.export(&["activities"]).expect(0);
    let door = Door::open(workspace());
    door.export(&["activities"]).expect(0);
    let foreign = some_day(&other, "activities", 18..25);
    let place = door.lake().join(foreign.strip_prefix(other.lake()).unwrap());
    assert!(place.is_file(), "the day is not in both lakes");
    fs::copy(&foreign, &place).unwrap();
    door.export(&["activities", "--lookback", "1d"]).expect(0);
    let served = door.true_keys("activities");
    let stored = door.keys("activities");
    assert!(
        served.is_subset(&stored),
        "the rows of the overwritten day were not asked for again"
    );
    assert!(stored.len() > served.len());
    door.export(&["activities", "--sync", "full-table"]).expect(0);
    assert_eq!(door.keys("activities"), served);
}

#[test]
fn a_day_that_is_served_no_more_is_a_gap_that_is_told_once() {
    for (name, later) in [("transactional_metrics", 1), ("activities", 20)] {
        let door = Door::open(workspace());
        door.export(&[name]).expect(0);
        let partition = match name {
            "activities" => some_day(&door, name, 20..28),
            _ => PathBuf::from(door.data().keys().next().unwrap()),
        };
        door.move_clock(later);
        fs::remove_file(&partition).unwrap();
        let report = door.export(&[name]).expect(8);
        let error = text(&stream(&report, name)["error"]);
        assert!(error.contains("not served any more"), "{error}");
        let gaps = door.state(name)["gaps"].clone();
        let day = day_of(&partition);
        assert_eq!(gaps.as_array().unwrap().len(), 1, "{name}: {gaps}");
        assert!(text(&gaps[0]["from"]).starts_with(&day), "{name}: {gaps}");
        door.export(&[name]).expect(0);
        assert_eq!(door.state(name)["gaps"], gaps, "{name}");
    }
}

#[test]
fn an_object_of_the_wrong_shape_is_told_and_not_adopted() {
    let door = Door::open(workspace());
    door.export(&[]).expect(0);
    let rows = door.lake().join("customers/part-0.parquet");
    for (table, misplaced) in [
        ("customers", "customers/date=2026-01-01/part-0.parquet"),
        ("activities", "activities/part-0.parquet"),
    ] {
        let path = door.lake().join(misplaced);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(&rows, &path).unwrap();
        let before = door.state(table)["partitions"].clone();
        let ran = door.export(&[table, "--lookback", "0s"]);
        ran.expect(0);
        told(&ran, &format!("{misplaced} is no partition of this table"));
        assert_eq!(door.state(table)["partitions"], before);
        fs::remove_file(path).unwrap();
    }
}

/// The file of some day so many days ago.
fn some_day(door: &Door, table: &str, ago: std::ops::Range<i64>) -> PathBuf {
    let mut days = ago.map(|days| {
        let day = door.sandbox.now() - SignedDuration::from_hours(24 * days);
        let day = format!("date={}", &day.to_string()[..10]);
        door.lake().join(table).join(day).join("part-0.parquet")
    });
    days.find(|path| path.is_file()).unwrap()
}

/// The day that a partition's path names.
fn day_of(partition: &std::path::Path) -> String {
    let folder = partition.parent().unwrap().file_name().unwrap();
    folder.to_str().unwrap().strip_prefix("date=").unwrap().to_owned()
}

fn told(ran: &Ran, what: &str) {
    assert!(ran.stderr.contains(what), "{:?} lacks {what:?}", ran.stderr);
}
