//! `--log-format json`: every line of stderr is an object with the names of docs/logs.md, and no row is ever told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule};
use serde_json::{Map, Value};

use crate::support::{Door, Ran, binary, small, stream};

/// What stands in every line, `run` in those of a run.
const HEAD: [&str; 4] = ["timestamp", "level", "event", "run"];

/// An event of the page: its level and its fields.
type Documented = BTreeMap<String, (String, BTreeSet<String>)>;

fn lines(ran: &Ran) -> Vec<Map<String, Value>> {
    let lines = ran.stderr.lines();
    let parsed = lines.map(|line| {
        let object = serde_json::from_str::<Map<String, Value>>(line);
        assert!(object.is_ok(), "{line}");
        object.unwrap()
    });
    let parsed: Vec<_> = parsed.collect();
    for line in &parsed {
        for name in ["timestamp", "level", "event"] {
            assert!(line[name].is_string(), "{line:?}");
        }
        line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    parsed
}

fn of(line: &Map<String, Value>, name: &str) -> String {
    line[name].as_str().unwrap().to_owned()
}

/// The rows `| event | level | fields | meaning |`.
fn documented() -> Documented {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logs.md")).unwrap();
    let events = page.split_once("## The events").unwrap().1;
    let rows = events.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let fields = cells[3].split(',').map(|name| name.trim().trim_matches('`').to_owned());
        let name = cells[1].trim_matches('`').to_owned();
        (name, (cells[2].to_owned(), fields.collect()))
    })
    .collect()
}

/// Runs that provoke every event between them.
fn provoked() -> Vec<Ran> {
    let json = ["--log-format", "json"];
    let door = Door::open(small());
    let busy = Fault::Status {
        code: 503,
        retry_after: Some("0".to_owned()),
    };
    door.fail([FaultRule::at(Endpoint::Activities, [2], busy)]);
    door.change(|behaviour| behaviour.unreadable = 30);
    let since = ["--since", "60d", "--take-over"];
    let ran = door.export(&[&json[..], &since, &["-vv"]].concat());
    let report = ran.expect(8);
    for line in lines(&ran) {
        assert_eq!(line.get("run"), Some(&report["run"]), "{line:?}");
    }
    door.change(|behaviour| behaviour.forbidden.extend([Endpoint::Customers]));
    let forbidden = door.export(&[&json[..], &["customers", "transactional_messages"]].concat());
    forbidden.expect(8);
    let mistakes = [
        &["export", "--to", "nowhere"][..],
        &["export", "--nonsense"],
        &["streams", "nothing"],
    ];
    let mistakes = mistakes.map(|args| Ran::from(binary().args(args).args(json).output().unwrap()));
    for mistake in &mistakes {
        assert_eq!((mistake.code, lines(mistake).len()), (2, 1), "{}", mistake.stderr);
    }
    [ran, forbidden].into_iter().chain(mistakes).collect()
}

#[test]
fn the_page_names_every_event_with_its_level_and_fields() {
    let mut found: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for ran in provoked() {
        for line in lines(&ran) {
            let (levels, fields) = found.entry(of(&line, "event")).or_default();
            levels.insert(of(&line, "level"));
            fields.extend(line.keys().filter(|name| !HEAD.contains(&name.as_str())).cloned());
        }
    }
    let documented = documented();
    let names = |events: &mut dyn Iterator<Item = &String>| events.cloned().collect::<Vec<_>>();
    assert_eq!(names(&mut found.keys()), names(&mut documented.keys()));
    for (event, (levels, fields)) in found.iter().filter(|(event, _)| *event != "log") {
        let (level, named) = &documented[event];
        assert_eq!(levels.iter().collect::<Vec<_>>(), [level], "{event}");
        assert_eq!(fields, named, "{event}");
    }
}

#[test]
fn only_what_is_counted_in_days_tells_days() {
    let door = Door::open(small());
    let lines = lines(&door.export(&["--log-format", "json"]));
    for event in ["started", "committed"] {
        let told = lines.iter().filter(|line| of(line, "event") == event);
        let told: Vec<_> = told
            .map(|line| (of(line, "stream"), line.contains_key("days")))
            .collect();
        assert!(
            told.iter().any(|(_, days)| *days) && told.iter().any(|(_, days)| !days),
            "{told:?}"
        );
        for (stream, days) in told {
            assert_eq!(days, stream == "transactional_message_details", "{event} of {stream}");
        }
    }
}

#[test]
fn the_summary_is_the_last_line_and_says_what_the_report_says() {
    let door = Door::open(small());
    let ran = door.export(&["customers", "transactional_messages", "--log-format", "json"]);
    let report = ran.expect(0);
    let lines = lines(&ran);
    let summary = lines.last().unwrap();
    assert_eq!(
        (of(summary, "event").as_str(), &summary["exit_code"]),
        ("summary", &Value::from(0))
    );
    let sum = |name: &str| {
        let streams = report["streams"].as_array().unwrap();
        let counts = streams.iter().map(|stream| stream["rows"][name].as_u64().unwrap());
        counts.sum::<u64>()
    };
    for name in ["fetched", "new", "changed", "unchanged", "removed", "rejected"] {
        assert_eq!(summary[name], sum(name), "{name}");
    }
    let version = door.manifest("customers");
    let record = version["state"]["runs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&record["run"], &summary["run"]), (&report["run"], &report["run"]));
}

#[test]
fn quiet_tells_only_errors() {
    let door = Door::open(small());
    for more in [&["-q"][..], &["-q", "--log-format", "json"]] {
        let ran = door.export(&[&["customers"][..], more].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
    door.change(|behaviour| behaviour.forbidden.extend([Endpoint::Customers]));
    let ran = door.export(&["customers", "transactional_messages", "-q", "--log-format", "json"]);
    ran.expect(8);
    let told: Vec<(String, String)> = lines(&ran)
        .iter()
        .map(|line| (of(line, "level"), of(line, "stream")))
        .collect();
    assert_eq!(told, [("error".to_owned(), "customers".to_owned())]);
}

#[test]
fn the_summary_names_the_run_and_how_long_it_took() {
    let door = Door::open(small());
    let lake = door.lake().display().to_string();
    let ran = door.run(&["export", "customers", "--rate", "0", "--to", &lake]);
    let run = door.state("customers")["runs"][0]["run"].as_str().unwrap().to_owned();
    assert!(ran.stderr.contains(&format!("\nrun {run} took ")), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("complete (exit code 0)\n"), "{}", ran.stderr);
}

#[test]
fn no_line_and_no_error_repeats_a_row() {
    let door = Door::open(small());
    door.change(|behaviour| {
        behaviour.keyless = 30;
        behaviour.unreadable = 20;
    });
    let broken = [Fault::Truncated, Fault::CutInside, Fault::NoEnvelope];
    let broken = broken.into_iter().zip(2..);
    let broken: Vec<_> = broken
        .map(|(fault, number)| FaultRule::at(Endpoint::Customers, [number], fault))
        .collect();
    let person = "@example.com";
    assert!(
        door.truth("customers")
            .iter()
            .any(|row| row.to_string().contains(person))
    );
    for format in ["text", "json"] {
        door.fail(broken.clone());
        let ran = door.export(&["-vv", "--log-format", format, "--since", "60d"]);
        let report = ran.expect(8);
        // A body that cannot be read is asked for twice more.
        assert_eq!(stream(&report, "customers")["retries"], broken.len() + 2);
        assert!(ran.stderr.contains("/v1/customers"), "nothing was told: {}", ran.stderr);
        let told: Vec<&str> = ran
            .stderr
            .lines()
            .chain(ran.stdout.lines())
            .filter(|line| line.contains(person))
            .collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}
