//! Mistakes get one line that names the thing and the remedy, with the right exit code, before anything is touched.

use std::fs;
use std::process::Stdio;

use cio2parquet::sandbox::Endpoint;

use crate::support::{Door, LISTS, Ran, STREAMS, binary, small};

fn run(args: &[&str]) -> Ran {
    binary().env("CIO_TOKEN", "abc").args(args).output().unwrap().into()
}

/// One line on stderr, nothing on stdout.
fn refused(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{:?} lacks {part:?}", ran.stderr);
    }
    assert_eq!(ran.stdout, "");
}

#[test]
fn mistakes_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake").display().to_string();
    let export = |more: &[&str]| run(&[&["export", "--to", &lake][..], more].concat());
    refused(
        &export(&["activites"]),
        2,
        &["activites", "did you mean \"activities\"?"],
    );
    refused(&export(&["--since", "yesterday"]), 2, &["--since", "yesterday", "90d"]);
    refused(
        &export(&["--since", "2026-02-01", "--until", "2026-01-01"]),
        2,
        &["--since", "--until", "not before"],
    );
    refused(&export(&["--sync", "full"]), 2, &["full", "full-table"]);
    refused(&export(&["--memory", "1MiB"]), 2, &["--memory", "64MiB"]);
    refused(&export(&["--rate", "fast"]), 2, &["--rate", "fast"]);
    refused(
        &export(&["--rate", "0.001"]),
        2,
        &["--rate 0.001", "0.01 requests a second"],
    );
    for flag in ["--since", "--until", "--lookback"] {
        refused(&export(&[flag, "-90d"]), 2, &[flag, "\"-90d\"", "s, m, h, d, w and y"]);
    }
    for flag in ["--memory", "--max-duration", "--concurrency"] {
        refused(&export(&[flag, "-1h"]), 2, &[flag, "\"-1h\""]);
    }
    refused(&export(&["--rate", "-1"]), 2, &["--rate \"-1\" is no rate"]);
    refused(&run(&["sandbox", "--rate", "-1"]), 2, &["--rate \"-1\" is no rate"]);
    refused(&export(&["--region", "mars"]), 2, &["mars", "us", "eu"]);
    refused(
        &export(&["--api-url", "http://example.com"]),
        2,
        &["example.com", "https"],
    );
    refused(&export(&["--table", "customers"]), 2, &["--table", "STREAM=NAME"]);
    refused(&export(&["--table", "customers=../x"]), 2, &["../x"]);
    refused(
        &export(&["--table", "customers=activities"]),
        2,
        &["would share the table"],
    );
    refused(&export(&["--lookback", "soon"]), 2, &["--lookback", "30d"]);
    refused(&export(&["--config", "nowhere.toml"]), 2, &["nowhere.toml"]);
    refused(&export(&["--token-file", "nowhere.key"]), 2, &["nowhere.key"]);
    refused(&run(&["export"]), 2, &["--to"]);
    refused(&run(&["export", "--to", "ftp://x/y"]), 2, &["ftp"]);
    assert!(!folder.path().join("lake").exists(), "a mistake touched the lake");
}

#[test]
fn a_flag_that_changes_nothing_is_told() {
    let door = Door::open(small());
    let lake = door.lake().display().to_string();
    let told = |verb: &str, streams: &[&str], flags: &[&str]| {
        let ran = door.run(&[&[verb, "--to", &lake][..], streams, flags].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let lines = ran
            .stderr
            .lines()
            .filter_map(|line| line.split_once(" changes nothing: "));
        lines.map(|(flag, _)| flag.to_owned()).collect::<Vec<_>>()
    };
    let flags = ["--since", "9d", "--until", "2d", "--lookback", "1d"];
    let dates = ["--since", "--until", "--lookback"];
    for verb in ["plan", "export"] {
        assert_eq!(told(verb, &["customers"], &flags), dates);
    }
    assert_eq!(told("plan", &["activities", "customers"], &flags), ["--until"]);
    assert!(told("plan", &[], &flags).is_empty());
    let table = ["--table", "activities=events"];
    assert_eq!(told("plan", &["customers"], &table), ["--table activities=events"]);
    assert!(told("plan", &["activities"], &table).is_empty());
}

#[test]
fn what_is_told_at_the_end_reads_well() {
    let door = Door::open(small());
    let lake = door.lake().display().to_string();
    let told = door.run(&["export", "--to", &lake]).stderr;
    let odd = told
        .lines()
        .skip_while(|line| !line.starts_with("unknown or odd fields"));
    let odd: Vec<&str> = odd.skip(1).take_while(|line| !line.is_empty()).collect();
    assert!(odd.iter().any(|line| line.contains("), ")), "{told}");
    assert!(odd.iter().all(|line| line.chars().count() <= 80), "{told}");
    let cut = odd.iter().any(|line| line.ends_with(" more"));
    assert_eq!(cut, odd.last() == Some(&"  `catalog --json` has the rest"), "{told}");
    assert!(told.contains(" 1 request, "), "{told}");
    let renamed = door.run(&["rename", "customers", "people", "--to", &lake]).stdout;
    assert!(
        renamed.starts_with("customers is people now: 1 partition, "),
        "{renamed}"
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_one_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = run(&["sandbox", "--port", &port]);
    refused(&ran, 2, &[&port, "choose another"]);
    assert_eq!(ran.stderr.matches("another").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_missing_key_is_named() {
    let ran: Ran = binary().args(["export", "--to", "nowhere"]).output().unwrap().into();
    refused(&ran, 2, &["CIO_TOKEN", "--token-file"]);
}

#[test]
fn a_file_where_a_folder_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lake");
    fs::write(&file, "not a folder").unwrap();
    let path = file.display().to_string();
    refused(&run(&["export", "--to", &path]), 6, &[&path, "folder"]);
    let inside = file.join("deeper").display().to_string();
    refused(&run(&["export", "--to", &inside]), 6, &["folder"]);
}

#[test]
fn a_wrong_key_ends_the_run_before_any_table() {
    let door = Door::open(small());
    let lake = door.lake().display().to_string();
    let url = door.sandbox.url();
    let ran = run(&["export", "--to", &lake, "--api-url", &url]);
    refused(&ran, 3, &["401", "CIO_TOKEN"]);
    let report = run(&["export", "--to", &lake, "--api-url", &url, "--report", "json"]).expect(3);
    assert_eq!(report["streams"].as_array().unwrap().len(), 5);
    assert_eq!(report["streams"][0]["status"], "failed");
    assert!(!door.lake().join("_manifest").exists());
}

#[test]
fn a_table_that_differs_from_another_in_capitals_only_is_refused() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    let before = door.manifest("customers");
    let ran = door.export(&["customers", "--table", "customers=Customers"]);
    refused(&ran, 2, &["holds a table customers", "Customers"]);
    assert!(!door.lake().join("Customers").exists() && !door.lake().join("_manifest/Customers").exists());
    assert_eq!(door.manifest("customers"), before);
}

#[test]
fn a_manifest_of_a_newer_format_is_refused_before_any_request_for_rows() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    let folder = door.lake().join("_manifest/customers");
    let newer = folder.join(format!("{:020}.json", 99));
    fs::write(&newer, r#"{"format": 4, "tables": "in some other form"}"#).unwrap();
    door.sandbox.reset_requests();
    let versions = || fs::read_dir(&folder).unwrap().count();
    let before = versions();
    let report = door.export(&["customers"]).expect(6);
    let error = report["error"].as_str().unwrap();
    for part in [newer.to_str().unwrap(), "has format 4", "use a newer one"] {
        assert!(error.contains(part), "{error}");
    }
    let asked = door.asked("/v1/customers");
    assert!(
        asked
            .iter()
            .all(|request| request.query.contains("limit=1&") || request.query.ends_with("limit=1"))
    );
    assert_eq!(versions(), before, "a version was written");
}

#[test]
fn every_stream_forbidden_is_exit_4() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.forbidden.extend(Endpoint::ALL));
    let report = door.export(&[]).expect(4);
    assert!(
        report["streams"]
            .as_array()
            .unwrap()
            .iter()
            .all(|stream| stream["status"] == "forbidden")
    );
    assert!(!door.lake().join("_manifest").exists());
}

#[test]
fn help_teaches() {
    let help = run(&["--help"]);
    for word in ["demo", "export", "plan", "sandbox", "Examples:", "Exit codes:"] {
        assert!(help.stdout.contains(word), "{word}");
    }
    assert_eq!(help.code, 0);
    let export = run(&["export", "--help"]);
    let flags = [
        "--api-url",
        "--region",
        "--token-file",
        "--since",
        "--until",
        "--sync",
        "--lookback",
        "--rate",
        "--concurrency",
        "--memory",
        "--temp-dir",
        "--max-duration",
        "--prefix",
        "--table",
        "--config",
        "--no-config",
        "--now",
        "--take-over",
        "--allow-shrink",
        "--report",
        "--log-format",
        "--quiet",
        "--verbose",
    ];
    for flag in flags {
        assert!(export.stdout.contains(flag), "{flag}");
    }
    assert!(export.stdout.lines().all(|line| line.chars().count() <= 100));
    // What export reads is what plan foretells, so both take the same flags for it.
    let plan = run(&["plan", "--help"]).stdout;
    let writing = [
        "--concurrency",
        "--memory",
        "--temp-dir",
        "--max-duration",
        "--take-over",
        "--allow-shrink",
        "--report",
    ];
    for flag in flags {
        assert_eq!(plan.contains(flag), !writing.contains(&flag), "{flag}");
    }
    // A scheduled run is told what tunes it; what it is about stands in the file.
    let schedule = run(&["schedule", "--help"]).stdout;
    let about = [
        "--since",
        "--until",
        "--sync",
        "--lookback",
        "--prefix",
        "--table",
        "--now",
        "--take-over",
        "--allow-shrink",
    ];
    for flag in flags {
        assert_eq!(schedule.contains(flag), !about.contains(&flag), "{flag}");
    }
    assert!(schedule.lines().all(|line| line.chars().count() <= 100));
    assert!(plan.contains("--json") && plan.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn streams_and_completions_print() {
    let list = run(&["streams"]);
    assert!(list.stdout.contains("transactional_message_details"));
    let columns = run(&["streams", "activities"]);
    assert!(columns.stdout.contains("customer_identifiers.cio_id"));
    let json: serde_json::Value = serde_json::from_str(&run(&["streams", "--json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), STREAMS.len() + LISTS.len());
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).stdout.contains("cio2parquet"));
    }
    refused(&run(&["streams", "customer"]), 2, &["did you mean \"customers\"?"]);
}

#[test]
fn catalog_tells_what_is_there() {
    let door = Door::open(small());
    door.export(&[]).expect(0);
    let lake = door.lake().display().to_string();
    let text = door.run(&["catalog", "--to", &lake]);
    assert!(text.stdout.contains("complete up to"), "{}", text.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&door.run(&["catalog", "--to", &lake, "--json"]).stdout).unwrap();
    let rows = |table: &str| {
        json.as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["table"] == table)
            .unwrap()["rows"]
            .clone()
    };
    assert_eq!(rows("customers"), door.truth("customers").len());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    let lake = door.lake().display().to_string();
    for args in [
        &["catalog", "--to", &lake][..],
        &["verify", "--to", &lake],
        &["streams"],
    ] {
        let mut child = binary()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ran = child.wait_with_output().unwrap();
        assert_eq!(
            (ran.status.code(), String::from_utf8_lossy(&ran.stderr).as_ref()),
            (Some(0), ""),
            "{args:?}"
        );
    }
}

#[test]
fn a_log_that_cannot_be_written_ends_no_export() {
    let door = Door::open(small());
    for more in [&[][..], &["-v"], &["-vv", "--log-format", "json"], &["-q"]] {
        let mut command = door.exporting_eagerly(&door.lake(), &["customers"]);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ran: Ran = command.args(more).stderr(full).output().unwrap().into();
        ran.expect(0);
    }
    let mut command = binary();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = command
        .args(["export", "--to", "/proc/nowhere"])
        .env("CIO_TOKEN", "abc")
        .stderr(full)
        .status();
    assert_eq!(ran.unwrap().code(), Some(6));
}

/// `export` into a store that takes a connection and never says a word.
fn exporting_into(silent: &std::net::TcpListener, door: &Door, more: &[&str]) -> std::process::Child {
    let config = door.lake().with_extension("toml");
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let text = format!("to = \"s3://lake/x\"\n[storage]\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\n");
    fs::write(&config, text).unwrap();
    let mut command = binary();
    command
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .env("AWS_ACCESS_KEY_ID", "nobody")
        .env("AWS_SECRET_ACCESS_KEY", "nothing")
        .args(["export", "--report", "json", "--config"])
        .arg(&config)
        .args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_run_that_waits_for_its_store_can_be_stopped() {
    let silent = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let door = Door::open(small());
    let store = silent();
    let out_of_time = exporting_into(&store, &door, &["--max-duration", "1s"]);
    let ran = Ran::from(out_of_time.wait_with_output().unwrap());
    assert_eq!(ran.expect(9)["exit_code"], 9);
    let store = silent();
    let waiting = exporting_into(&store, &door, &[]);
    // By the time it knocks it listens for signals.
    let _knock = store.accept().unwrap();
    let process = rustix::process::Pid::from_child(&waiting);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let ran = Ran::from(waiting.wait_with_output().unwrap());
    assert_eq!(ran.expect(130)["exit_code"], 130);
}
