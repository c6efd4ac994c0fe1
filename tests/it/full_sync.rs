//! `full_sync`: the first run at or after it is a full-table run, until one completes.

use std::fs;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Door, Ran, STREAMS, small, stream};

/// The sandbox begins on a Sunday at four in Berlin, at the very instant.
const SUNDAYS: &str = "full_sync = \"0 4 * * SUN\"\ntimezone = \"Europe/Berlin\"\n";

/// A door, and a config file beside its lake.
struct Synced {
    door: Door,
    config: String,
}

impl Synced {
    fn open(config: &str) -> Self {
        let door = Door::open(small());
        let path = door.lake().with_file_name("c.toml");
        fs::write(&path, config).unwrap();
        let config = path.display().to_string();
        Self { door, config }
    }

    fn export(&self, more: &[&str]) -> Ran {
        self.door.export(&[&["--config", &self.config], more].concat())
    }

    fn full_synced(&self, table: &str) -> Value {
        self.door.state(table)["full_synced"].clone()
    }
}

fn syncs(report: &Value) -> Vec<&str> {
    let streams = report["streams"].as_array().unwrap();
    streams.iter().map(|stream| stream["sync"].as_str().unwrap()).collect()
}

#[test]
fn every_stream_takes_its_turn_and_says_so() {
    let synced = Synced::open(SUNDAYS);
    let first = synced.export(&[]);
    assert_eq!(syncs(&first.expect(0)), ["full-table"; 5]);
    let told = "customers: a full-table run is due by full_sync 0 4 * * SUN (Europe/Berlin); none was completed yet";
    assert!(first.stderr.contains(told), "{}", first.stderr);
    let sunday = synced.door.sandbox.now().to_string();
    for table in STREAMS {
        assert_eq!(synced.full_synced(table), json!(sunday), "{table}");
    }
    synced.door.move_clock(1);
    let second = synced.export(&[]);
    assert_eq!(syncs(&second.expect(0)), ["incremental"; 5]);
    assert!(!second.stderr.contains("full_sync"), "{}", second.stderr);
    synced.door.move_clock(6);
    let third = synced.export(&[]);
    assert_eq!(syncs(&third.expect(0)), ["full-table"; 5]);
    let told = "(Europe/Berlin); the last one was of 2026-11-22 04:00+01:00";
    assert!(third.stderr.contains(told), "{}", third.stderr);
    assert_eq!(
        synced.full_synced("customers"),
        json!(synced.door.sandbox.now().to_string())
    );
}

#[test]
fn a_plan_decides_alike_and_says_so() {
    let synced = Synced::open(SUNDAYS);
    let plan = |more: &[&str]| {
        let (lake, now) = (
            synced.door.lake().display().to_string(),
            synced.door.sandbox.now().to_string(),
        );
        let args = [
            "plan",
            "customers",
            "--to",
            &lake,
            "--now",
            &now,
            "--config",
            &synced.config,
            "--json",
        ];
        synced.door.run(&[&args, more].concat()).expect(0)["streams"][0].clone()
    };
    assert_eq!(plan(&[])["sync"], "full-table");
    synced.export(&["customers"]).expect(0);
    assert_eq!(plan(&[])["sync"], "incremental");
    synced.door.move_clock(7);
    let due = plan(&[]);
    assert_eq!(due["sync"], "full-table");
    let note = due["notes"][0].as_str().unwrap();
    assert!(note.starts_with("a full-table run is due by full_sync"), "{note}");
    let told = plan(&["--sync", "incremental"]);
    assert_eq!((&told["sync"], &told["notes"]), (&json!("incremental"), &json!([])));
}

#[test]
fn only_a_run_that_completes_settles_it() {
    let synced = Synced::open(SUNDAYS);
    let customers = || synced.export(&["customers"]);
    let refused = Fault::Status {
        code: 400,
        retry_after: None,
    };
    // The first request only finds out about the right to the stream.
    synced.door.fail([FaultRule::at(Endpoint::Customers, [2], refused)]);
    assert_eq!(syncs(&customers().expect(5)), ["full-table"]);
    assert_eq!(synced.full_synced("customers"), Value::Null);
    synced.door.fail([]);
    assert_eq!(syncs(&customers().expect(0)), ["full-table"]);
    let sunday = synced.full_synced("customers");
    assert_eq!(sunday, json!(synced.door.sandbox.now().to_string()));
    // Nothing is served: the table is left as it is, so the run did not make it what the API serves.
    synced.door.move_clock(7);
    synced.door.fail([FaultRule::always(Endpoint::Customers, Fault::Empty)]);
    assert_eq!(syncs(&customers().expect(8)), ["full-table"]);
    assert_eq!(synced.full_synced("customers"), sunday);
    synced.door.fail([]);
    synced.door.move_clock(1);
    assert_eq!(syncs(&customers().expect(0)), ["full-table"]);
    assert_eq!(syncs(&customers().expect(0)), ["incremental"]);
}

#[test]
fn rows_that_are_set_aside_do_not_make_every_night_a_full_one() {
    let synced = Synced::open(SUNDAYS);
    synced.export(&["customers"]).expect(0);
    synced.door.move_clock(7);
    // Rows without a key may be those of stored ones, which therefore stay; to read them all again would change nothing.
    synced.door.change(|behaviour| behaviour.keyless = 20);
    let report = synced.export(&["customers"]).expect(8);
    assert_eq!(syncs(&report), ["full-table"]);
    let error = stream(&report, "customers")["error"].as_str().unwrap();
    assert!(error.contains("were set aside that may be theirs"), "{error}");
    synced.door.move_clock(1);
    let report: Value = serde_json::from_str(&synced.export(&["customers"]).stdout).unwrap();
    assert_eq!(syncs(&report), ["incremental"]);
}

#[test]
fn the_command_line_wins() {
    let synced = Synced::open(SUNDAYS);
    let details = "transactional_message_details";
    let sync = |more: &[&str]| {
        let report = synced.export(&[&[details], more].concat()).expect(0);
        let sync = stream(&report, details)["sync"].as_str().unwrap().to_owned();
        (sync, synced.full_synced(details))
    };
    let now = json!(synced.door.sandbox.now().to_string());
    let incremental = "incremental".to_owned();
    let full = "full-table".to_owned();
    assert_eq!(sync(&["--sync", "incremental"]), (incremental.clone(), Value::Null));
    // A range that is named for one run stands for nothing but itself.
    assert_eq!(sync(&["--until", "2026-11-19"]), (incremental.clone(), Value::Null));
    assert_eq!(sync(&["--since", "7d"]), (incremental.clone(), Value::Null));
    assert_eq!(
        sync(&["--sync", "full-table", "--since", "7d"]),
        (full.clone(), Value::Null)
    );
    assert_eq!(sync(&["--sync", "full-table"]), (full, now.clone()));
    assert_eq!(sync(&[]), (incremental, now));
}

#[test]
fn a_trigger_that_is_none_is_refused_before_anything_is_sent() {
    for (config, parts) in [
        ("full_sync = \"0 4 * * SON\"\n", &["full_sync", "weekday", "SON"][..]),
        ("trigger = \"0 0 30 2 *\"\n", &["trigger", "no day is ever like that"]),
        (
            "trigger = \"@daily\"\ntimezone = \"Europe/Berln\"\n",
            &["timezone", "did you mean \"Europe/Berlin\"?"],
        ),
    ] {
        let synced = Synced::open(config);
        let ran = synced.export(&["customers"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        for part in parts {
            assert!(ran.stderr.contains(part), "{:?} lacks {part:?}", ran.stderr);
        }
        assert!(synced.door.sandbox.requests().log.is_empty());
    }
}

#[test]
fn a_trigger_alone_is_nobodys_business_in_an_export() {
    let synced = Synced::open("trigger = \"0 3 * * *\"\ntimezone = \"Europe/Berlin\"\n");
    let ran = synced.export(&["customers", "--quiet"]);
    ran.expect(0);
    assert_eq!(ran.stderr, "");
}

/// Nights that are over before everything is read, each a little more than a day after the one before.
#[test]
fn a_full_sync_of_several_nights_comes_to_its_end() {
    let synced = Synced::open(&format!("{SUNDAYS}[streams.activities]\n"));
    let began = synced.door.sandbox.now().to_string();
    for night in 1..=3 {
        // The first pages of a night come, then the key is refused.
        let refused = Fault::Status {
            code: 401,
            retry_after: None,
        };
        let cut_short = FaultRule::at(Endpoint::Activities, [4], refused);
        synced.door.fail((night < 3).then_some(cut_short));
        let lake = synced.door.lake();
        let mut command = synced.door.exporting_eagerly(&lake, &["--config", &synced.config]);
        let ran = Ran::from(command.output().unwrap());
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(syncs(&report), ["full-table"], "{}", ran.stderr);
        let state = synced.door.state("activities");
        if night < 3 {
            assert_eq!(state["full_table"]["now"], json!(began), "night {night} has begun anew");
            assert!(state["full_synced"].is_null());
        } else {
            assert_eq!(state["full_synced"], json!(synced.door.sandbox.now().to_string()));
        }
        let later = synced.door.sandbox.now() + SignedDuration::from_secs(24 * 3600 + 1);
        synced.door.sandbox.set_now(later);
    }
}
