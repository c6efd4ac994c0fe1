//! Two runs at one table: one writes, the other says so and touches nothing.

use std::process::Stdio;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule};

use crate::support::{Door, binary, kill, small, stream, wait_until};

#[test]
fn of_two_runs_one_is_turned_away() {
    let door = Door::open(small());
    // Rights are asked for with `limit=1`; the first request for rows comes after the claim and has to wait.
    let busy = Fault::Status {
        code: 503,
        retry_after: Some("5".to_owned()),
    };
    let rows = FaultRule {
        matching: Some("limit=1000".to_owned()),
        ..FaultRule::at(Endpoint::Customers, [1], busy)
    };
    door.change(|behaviour| behaviour.faults.0.push(rows));
    let lake = door.lake().display().to_string();
    let mut first = binary()
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .args(["export", "customers", "--to", &lake, "-q"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let claim = door.lake().join("_manifest/customers");
    wait_until("the first run claims its table", || claim.is_dir());
    let report = door.export(&["activities", "customers"]).expect(7);
    let status = |name: &str| stream(&report, name)["status"].clone();
    assert_eq!(
        (status("activities"), status("customers")),
        ("stopped".into(), "held".into())
    );
    assert!(report["error"].as_str().unwrap().contains("is held by run"), "{report}");
    assert!(first.wait().unwrap().success());
    door.export(&["customers"]).expect(0);
}

#[test]
fn the_claim_of_a_killed_run_is_taken_over_at_once() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.latency_ms = 300);
    let lake = door.lake().display().to_string();
    let first = binary()
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .args(["export", "--to", &lake, "-q"])
        .spawn()
        .unwrap();
    let claim = door.lake().join("_manifest/customers");
    wait_until("the first run claims its table", || claim.is_dir());
    kill(first);
    door.change(|behaviour| behaviour.latency_ms = 0);
    door.export(&[]).expect(0);
    let staging = std::fs::read_dir(door.lake().join("_staging"));
    let left = staging.map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "what the dead run left was not swept");
}
