//! Rows that cannot stand in a table, and fields that nobody documented: kept, counted, told once, whatever dies in between.

use std::fs;

use serde_json::Value;

use crate::support::{Door, Ran, small, stream};

const DETAILS: &str = "transactional_message_details";
const SINCE: [&str; 3] = [DETAILS, "--since", "90d"];

fn crashing(door: &Door, plan: &str) -> Ran {
    let mut command = door.exporting_eagerly(&door.lake(), &SINCE);
    command.env("CIO2PARQUET_CRASH", plan).output().unwrap().into()
}

/// A file that a kill left half made has another ending.
fn kept(door: &Door) -> usize {
    let names = fs::read_dir(door.lake().join("_rejected").join(DETAILS))
        .into_iter()
        .flatten();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".json")).count()
}

fn set_aside(report: &Value) -> (u64, u64) {
    let set_aside = &stream(report, DETAILS)["set_aside"];
    assert_eq!(set_aside["folder"], "_rejected/transactional_message_details");
    (set_aside["new"].as_u64().unwrap(), set_aside["total"].as_u64().unwrap())
}

#[test]
fn a_row_kept_by_a_run_that_died_is_told_by_the_next() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.keyless = 30);
    assert_eq!(crashing(&door, "row-set-aside:2=kill").code, -1);
    assert!(kept(&door) >= 2, "nothing was kept before the kill");
    // From here on every row that is set aside is there already.
    let report = door.export(&SINCE).expect(8);
    let total = kept(&door) as u64;
    assert_eq!(set_aside(&report), (total, total));
    assert_eq!(door.state(DETAILS)["rejected"], total);
    let report = door.export(&SINCE).expect(0);
    assert_eq!(set_aside(&report), (0, total), "told twice");
}

#[test]
fn what_a_dead_run_had_committed_keeps_its_drift() {
    let door = Door::open(small());
    // The claim, a window, and then the end: what the window showed stands in the version that entered it.
    assert_eq!(crashing(&door, "version-due:3=kill").code, -1);
    let drift = door.state(DETAILS)["drift"].clone();
    assert!(!drift.as_array().unwrap().is_empty());
    let first_seen = door.sandbox.now().to_string();
    door.move_clock(1);
    let report = door.export(&SINCE).expect(0);
    let told = stream(&report, DETAILS)["drift"].as_array().unwrap();
    assert!(!told.is_empty());
    for before in drift.as_array().unwrap() {
        let now = told
            .iter()
            .find(|note| note["path"] == before["path"] && note["kind"] == before["kind"]);
        assert!(
            now.is_none_or(|note| note["first_seen"] == first_seen.as_str()),
            "{now:?}"
        );
    }
    let catalog = door.run(&["catalog", "--json", "--to", door.lake().to_str().unwrap()]);
    let catalog: Value = serde_json::from_str(&catalog.stdout).unwrap();
    let since: Vec<&Value> = catalog[0]["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| &note["first_seen"])
        .collect();
    assert!(since.iter().any(|seen| **seen == first_seen.as_str()), "{since:?}");
}

#[test]
fn the_catalog_shows_what_was_set_aside_and_what_drifts() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.keyless = 30);
    door.export(&SINCE).expect(8);
    let lake = door.lake().display().to_string();
    let text = door.run(&["catalog", "--to", &lake]).stdout;
    let total = kept(&door);
    assert!(
        text.contains(&format!("{total} rows set aside under _rejected/{DETAILS}")),
        "{text}"
    );
    assert!(text.contains("unknown_field metrics.secondary:delivered"), "{text}");
    let json: Value = serde_json::from_str(&door.run(&["catalog", "--json", "--to", &lake]).stdout).unwrap();
    assert_eq!(json[0]["rejected"], total);
}
