//! `schedule` through the door: runs at its triggers on a simulated clock, ends when it is told to, and for no other reason.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Door, Ran, binary, small, stream};

/// Whatever is waited for is there long before; a machine may be slow.
const PATIENCE: Duration = Duration::from_secs(240);

const CLOCK: &str = "CIO2PARQUET_SCHEDULE_CLOCK";

/// `schedule`, and what it tells.
struct Scheduled {
    child: Child,
    told: Receiver<String>,
    reports: Receiver<String>,
}

/// The config file beside the lake of `door`: two streams that take little time, and `more`.
fn config(door: &Door, more: &str) -> PathBuf {
    let path = door.lake().with_file_name("c.toml");
    let to = door.lake().display().to_string();
    let streams = "[streams.customers]\n[streams.transactional_messages]\n";
    fs::write(&path, format!("to = {to:?}\n{more}\n{streams}")).unwrap();
    path
}

impl Scheduled {
    /// With `config`, on a clock that begins at `clock`.
    fn start(door: &Door, config: &PathBuf, clock: &str) -> Self {
        let mut child = binary()
            .env("CIO_TOKEN", door.sandbox.token())
            .env("CIO_API_URL", door.sandbox.url())
            .env(CLOCK, clock)
            .args(["schedule", "--rate", "0", "--report", "json", "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self {
            child,
            told: lines(stderr),
            reports: lines(stdout),
        }
    }

    /// The next line that contains `part`.
    fn told(&self, part: &str) -> String {
        let mut before = Vec::new();
        loop {
            let line = self.told.recv_timeout(PATIENCE);
            assert!(line.is_ok(), "{part:?} was not told, only {before:#?}");
            match line.unwrap() {
                line if line.contains(part) => return line,
                line => before.push(line),
            }
        }
    }

    fn report(&self) -> Value {
        let line = self.reports.recv_timeout(PATIENCE).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The exit code after SIGTERM.
    fn terminate(&mut self) -> i32 {
        kill_process(
            Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(),
            Signal::TERM,
        )
        .unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        // Gone already, where the test has come to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (told, heard) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if told.send(line).is_err() {
                return;
            }
        }
    });
    heard
}

fn at(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn every_trigger_around_a_change_of_the_clock_is_run_once() {
    let door = Door::open(small());
    let times = "trigger = \"30 2,8,14,20 * * *\"\ntimezone = \"Europe/Berlin\"\nfull_sync = \"0 4 * * SUN\"";
    let mut scheduled = Scheduled::start(&door, &config(&door, times), "2026-03-28T12:00:00Z*43200");
    scheduled.told("the first run is at 2026-03-28 14:30+01:00, `cio2parquet export` need not wait for it");
    let expected = [
        ("2026-03-28T13:30:00Z", "full-table"),
        ("2026-03-28T19:30:00Z", "incremental"),
        // The clock is set forward at two: half past two is shifted to half past three.
        ("2026-03-29T01:30:00Z", "incremental"),
        ("2026-03-29T06:30:00Z", "full-table"),
        ("2026-03-29T12:30:00Z", "incremental"),
        ("2026-03-29T18:30:00Z", "incremental"),
        ("2026-03-30T00:30:00Z", "incremental"),
        ("2026-03-30T06:30:00Z", "incremental"),
    ];
    let mut runs = Vec::new();
    for (trigger, sync) in expected {
        let report = scheduled.report();
        assert_eq!(report["exit_code"], 0, "{report}");
        let (now, trigger): (Timestamp, Timestamp) = (at(&report["now"]), trigger.parse().unwrap());
        let late = now.duration_since(trigger);
        assert!(
            !late.is_negative() && late < SignedDuration::from_hours(1),
            "{now} for {trigger}"
        );
        for name in ["customers", "transactional_messages"] {
            assert_eq!(stream(&report, name)["sync"], sync, "{name} at {now}");
        }
        runs.push(report["run"].clone());
    }
    scheduled.told("a run begins, for the trigger at 2026-03-29 03:30+02:00");
    scheduled.told("schedule: complete (exit code 0); the next run is at 2026-03-29 08:30+02:00");
    assert!([0, 130].contains(&scheduled.terminate()));
    for table in ["customers", "transactional_messages"] {
        let state = door.state(table);
        let entered: Vec<&Value> = state["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| &run["run"])
            .collect();
        assert_eq!(entered[..runs.len()], runs.iter().collect::<Vec<_>>(), "{table}");
        assert_eq!(state["claim"], Value::Null);
    }
}

#[test]
fn it_ends_at_once_while_it_waits() {
    let door = Door::open(small());
    let config = config(&door, "trigger = \"0 3 1 1 *\"");
    let mut scheduled = Scheduled::start(&door, &config, "2026-03-28T12:00:00Z*1");
    scheduled
        .told("trigger 0 3 1 1 * (UTC): nothing was exported here yet; the first run is at 2027-01-01 03:00+00:00");
    assert_eq!(scheduled.terminate(), 0);
    assert!(!door.lake().exists() && door.sandbox.requests().log.is_empty());
}

#[test]
fn a_run_under_way_ends_in_good_order_and_it_with_that() {
    let door = Door::open(small());
    let stalled = FaultRule {
        from: Some(2),
        ..FaultRule::at(Endpoint::Customers, [], Fault::Stall { ms: None })
    };
    door.fail([stalled]);
    let config = config(&door, "trigger = \"0 3 * * *\"");
    let mut scheduled = Scheduled::start(&door, &config, "2026-03-28T02:59:59Z*1");
    let began = Instant::now();
    while door.asked("/v1/customers").len() < 2 {
        assert!(began.elapsed() < PATIENCE, "the run does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_ne!(door.state("customers")["claim"], Value::Null);
    assert_eq!(scheduled.terminate(), 130);
    assert_eq!(scheduled.report()["exit_code"], 130);
    let state = door.state("customers");
    assert_eq!(
        (&state["claim"], &state["runs"][0]["outcome"]),
        (&Value::Null, &json!("stopped"))
    );
}

#[test]
fn a_run_that_fails_ends_nothing() {
    let door = Door::open(small());
    let unknown = Fault::Status {
        code: 401,
        retry_after: None,
    };
    door.fail([FaultRule {
        endpoint: None,
        ..FaultRule::always(Endpoint::Customers, unknown)
    }]);
    let path = config(&door, "trigger = \"*/30 * * * *\"");
    let mut scheduled = Scheduled::start(&door, &path, "2026-03-28T12:00:00Z*1800");
    scheduled.told("the key was refused (exit code 3); the next run is at 2026-03-28");
    door.fail([]);
    scheduled.told("complete (exit code 0); the next run is at 2026-03-28");
    fs::write(&path, "to = \n").unwrap();
    scheduled.told("c.toml");
    scheduled.told("the settings cannot be used (exit code 2); the next run is at 2026-03-28");
    // The file is read again for each run, its trigger too.
    config(&door, "trigger = \"15 5 * * *\"");
    scheduled.told("complete (exit code 0); the next run is at 2026-03-29 05:15+00:00");
    assert!([0, 130].contains(&scheduled.terminate()));
}

#[test]
fn what_was_missed_while_it_was_down_is_made_up_for_once() {
    let door = Door::open(small());
    let path = config(&door, "trigger = \"@daily\"");
    let clock = |days: i64| format!("{}*1", Timestamp::now() + SignedDuration::from_hours(24 * days));
    door.export(&["--config", path.to_str().unwrap()]).expect(0);
    let mut scheduled = Scheduled::start(&door, &path, &clock(3));
    scheduled.told("a trigger was missed since the last run; one run makes up for it");
    assert_eq!(scheduled.report()["exit_code"], 0);
    scheduled.told("complete (exit code 0); the next run is at");
    assert_eq!(scheduled.terminate(), 0);
    assert!(scheduled.reports.recv().is_err(), "it caught up twice");
    let path = config(&door, "trigger = \"@yearly\"");
    let mut scheduled = Scheduled::start(&door, &path, &clock(0));
    scheduled.told("trigger @yearly (UTC): the next run is at");
    assert_eq!(scheduled.terminate(), 0);
    assert_eq!(door.state("customers")["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn what_no_run_could_use_is_refused_at_once() {
    let door = Door::open(small());
    let refused = |text: &str, more: &[&str], parts: &[&str]| {
        let path = config(&door, text);
        let args = ["schedule", "--config", path.to_str().unwrap()];
        let ran: Ran = door.run(&[&args, more].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        for part in parts {
            assert!(ran.stderr.contains(part), "{:?} lacks {part:?}", ran.stderr);
        }
    };
    refused("", &[], &["`trigger` is not set", "c.toml", "trigger = \"0 3 * * *\""]);
    let nothing = door.run(&["schedule"]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.stderr.contains("name it with --config"), "{}", nothing.stderr);
    refused(
        "trigger = \"daily\"",
        &[],
        &["c.toml:2:11", "\"trigger\" is no trigger", "\"0 3 * * *\""],
    );
    refused("trigger = \"@daily\"", &["--memory", "1MiB"], &["--memory"]);
    refused(
        "trigger = \"@daily\"",
        &["--max-duration", "0s"],
        &["--max-duration 0s leaves no time"],
    );
    refused(
        "trigger = \"@daily\"",
        &["--token-file", "nowhere.key"],
        &["nowhere.key"],
    );
    let clock = binary().env(CLOCK, "soon").args(["schedule"]).output().unwrap();
    assert_eq!(Ran::from(clock).code, 2);
    assert!(door.sandbox.requests().log.is_empty());
}
