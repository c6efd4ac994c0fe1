//! Incremental runs: what they write, what they leave alone, and what they tell.

use crate::support::{Door, STREAMS, small, stream};

#[test]
fn a_first_run_fetches_every_row_that_is_served() {
    let door = Door::open(small());
    let report = door.export(&[]).expect(0);
    for name in STREAMS {
        let rows = &stream(&report, name)["rows"];
        assert_eq!(stream(&report, name)["status"], "complete", "{name}");
        assert_eq!(rows["new"], door.truth(name).len(), "{name}: {rows}");
        assert_eq!(rows["changed"], 0, "{name}");
    }
}

#[test]
fn the_same_run_again_writes_no_data() {
    let door = Door::open(small());
    door.export(&[]).expect(0);
    let before = door.data();
    let report = door.export(&[]).expect(0);
    for name in STREAMS {
        let rows = &stream(&report, name)["rows"];
        assert_eq!(
            (&rows["new"], &rows["changed"], &rows["removed"]),
            (&0.into(), &0.into(), &0.into()),
            "{name}"
        );
    }
    assert!(before == door.data());
}

#[test]
fn memory_and_concurrency_change_no_byte() {
    let door = Door::open(small());
    door.export(&[]).expect(0);
    let wide = door.data();
    std::fs::remove_dir_all(door.lake()).unwrap();
    door.export(&["--memory", "64MiB", "--concurrency", "1"]).expect(0);
    assert!(wide == door.data());
}

#[test]
fn a_day_later_late_metrics_have_arrived() {
    let door = Door::open(small());
    door.export(&[]).expect(0);
    door.move_clock(1);
    let report = door.export(&[]).expect(0);
    let details = &stream(&report, "transactional_message_details")["rows"];
    assert!(details["changed"].as_u64().unwrap() > 0, "{details}");
    assert!(details["new"].as_u64().unwrap() > 0, "{details}");
}

#[test]
fn an_earlier_beginning_fetches_only_what_is_missing() {
    let door = Door::open(small());
    let name = "transactional_message_details";
    door.export(&[name, "--since", "40d"]).expect(0);
    door.sandbox.reset_requests();
    door.export(&[name, "--since", "90d", "--lookback", "0s"]).expect(0);
    let log = door.sandbox.requests().log;
    let starts: Vec<i64> = log
        .iter()
        .filter_map(|request| bound(&request.query, "end_ts"))
        .collect();
    let forty_days_ago = door.sandbox.now().as_second() - 40 * 86_400;
    let beyond = starts
        .iter()
        .filter(|end| **end > forty_days_ago && **end < door.sandbox.now().as_second() - 120);
    assert_eq!(beyond.count(), 0, "asked again for what was covered: {starts:?}");
    assert!(starts.iter().any(|end| *end <= forty_days_ago));
}

fn bound(query: &str, name: &str) -> Option<i64> {
    let pair = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair?.parse().ok()
}

#[test]
fn rows_without_a_key_are_set_aside_once() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.keyless = 50);
    let report = door.export(&[]).expect(8);
    let rejected: u64 = STREAMS
        .iter()
        .map(|name| stream(&report, name)["rows"]["rejected"].as_u64().unwrap())
        .sum();
    assert!(rejected > 0);
    assert!(door.lake().join("_rejected").is_dir());
    door.export(&[]).expect(0);
}

#[test]
fn drift_is_told_with_its_path() {
    let door = Door::open(small());
    let report = door.export(&[]).expect(0);
    let drift = stream(&report, "transactional_message_details")["drift"]
        .as_array()
        .unwrap();
    let paths: Vec<&str> = drift.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"metrics.secondary:delivered"), "{paths:?}");
}

#[test]
fn one_forbidden_stream_does_not_stop_the_others() {
    let door = Door::open(small());
    door.change(|behaviour| {
        behaviour.forbidden.insert(cio2parquet::sandbox::Endpoint::Activities);
    });
    let report = door.export(&[]).expect(8);
    assert_eq!(stream(&report, "activities")["status"], "forbidden");
    assert_eq!(stream(&report, "customers")["status"], "complete");
    assert!(!door.lake().join("_manifest/activities").exists());
}

#[test]
fn a_table_can_have_another_name() {
    let door = Door::open(small());
    door.export(&["customers", "--prefix", "cio_", "--table", "customers=people"])
        .expect(0);
    assert!(door.lake().join("cio_people/part-0.parquet").is_file());
    assert_eq!(door.manifest("cio_people")["state"]["stream"], "customers");
}
