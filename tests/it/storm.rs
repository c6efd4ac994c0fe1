//! Everything that can go wrong on the way, all the time and at once.

use std::time::{Duration, Instant, SystemTime};

use cio2parquet::sandbox::{Behaviour, Fault, FaultRule, Workspace};

use crate::rows::assert_whole;
use crate::support::{Door, Ran, STREAMS, small};

/// So many rows of deliveries, activities and people together, instead of few.
const ROWS: &str = "CIO2PARQUET_STORM_ROWS";

/// The share of the requests that each fault strikes.
const CHANCE: f64 = 0.02;

#[test]
fn a_storm_of_faults_loses_no_row() {
    let rows: u64 = std::env::var(ROWS).map_or(5_000, |rows| rows.parse().unwrap());
    let workspace = Workspace {
        people: rows / 10,
        messages: 12,
        deliveries: rows * 6 / 10,
        activities: rows * 3 / 10,
        days: 300,
        ..small()
    };
    let mut behaviour = Behaviour {
        rate: 0.0,
        // As many requests as a smaller workspace needs to meet every fault.
        largest_page: if rows < 50_000 { 50 } else { 250 },
        ..Behaviour::default()
    };
    behaviour.faults.0 = storm();
    let door = Door::with(workspace, behaviour);
    let began = Instant::now();
    let mut command = door.exporting_eagerly(&door.lake(), &["--max-duration", "30m"]);
    command.env_remove("CIO2PARQUET_COMMIT_SECONDS");
    let ran: Ran = command.output().unwrap().into();
    let report = ran.expect(0);
    let took = began.elapsed();
    let sum = |name: &str| -> u64 {
        let streams = report["streams"].as_array().unwrap().iter();
        streams.map(|stream| stream[name].as_u64().unwrap()).sum()
    };
    let (requests, retries) = (sum("requests"), sum("retries"));
    eprintln!("{rows} rows: {requests} requests, {retries} of them repeats, in {took:.1?}");
    assert!(retries > requests / 10, "{retries} of {requests}: no storm");
    for stream in STREAMS {
        assert_whole(&door, stream);
    }
}

/// Every fault that may be over at the next request.
fn storm() -> Vec<FaultRule> {
    let status = |code: u16, retry_after: Option<&str>| Fault::Status {
        code,
        retry_after: retry_after.map(str::to_owned),
    };
    let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
    let faults = [
        status(429, None),
        status(429, Some("1")),
        status(429, Some(&soon)),
        status(408, None),
        status(500, None),
        status(502, None),
        status(503, None),
        Fault::CutBefore,
        Fault::CutInside,
        Fault::Reset,
        Fault::ResetInside,
        Fault::LongLength,
        Fault::ShortLength,
        Fault::Truncated,
        Fault::Html,
        Fault::Garbage,
        Fault::Slow { ms: 200 },
        Fault::Stall { ms: Some(200) },
    ];
    let rule = |fault| FaultRule {
        endpoint: None,
        matching: None,
        numbers: Vec::new(),
        from: None,
        count: None,
        chance: CHANCE,
        fault,
    };
    faults.map(rule).into()
}
