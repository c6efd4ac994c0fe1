//! Where things are put: a place that was misspelt, one that cannot be used, what is left in it, a store on this machine, one that nobody
//! reaches.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use cio2parquet::sandbox::Workspace;
use serde_json::Value;

use crate::support::{Door, Ran, binary, serve, small};

/// Long enough not to be met by chance.
const SECRET: &str = "s3cret-0b85e634f1d9a7c2";

#[test]
fn a_misspelt_lake_is_a_mistake_and_a_file_in_its_place_a_failure() {
    let door = Door::open(small());
    let (file, typo) = (door.lake(), door.lake().with_file_name("typo"));
    fs::write(&file, "not a folder").unwrap();
    let refused = |command: &[&str], to: &str, code: i32, part: &str| {
        let ran = door.run(&[command, &["--to", to]].concat());
        assert_eq!(ran.code, code, "{command:?} {to}: {}", ran.stderr);
        let told = ran.stdout + &ran.stderr;
        assert!(told.contains(to) && told.contains(part), "{told}");
    };
    let reading: [&[&str]; 5] = [
        &["verify"],
        &["catalog"],
        &["sql", "duckdb"],
        &["rename", "a", "b"],
        &["plan"],
    ];
    for command in &reading[..4] {
        refused(command, typo.to_str().unwrap(), 2, "there is no such place");
    }
    for command in reading.into_iter().chain([&["export"][..], &["check"]]) {
        refused(
            command,
            file.to_str().unwrap(),
            6,
            "a file stands where a folder is needed",
        );
    }
    for to in ["s3:/bucket/lake", "~/lake"] {
        refused(&["export"], to, 2, "write ");
    }
    assert!(!typo.exists());
}

#[test]
fn a_folder_for_temporary_files_is_tried_before_anything_is_asked() {
    let door = Door::open(small());
    let file = door.lake().with_file_name("file");
    fs::write(&file, "not a folder").unwrap();
    for wrong in [file.to_str().unwrap(), "/sys/cio2parquet"] {
        let ran = door.export(&["customers", "--temp-dir", wrong]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let named = format!("--temp-dir {wrong}");
        assert!(
            ran.stderr.contains(&named) && ran.stderr.contains("can write into"),
            "{}",
            ran.stderr
        );
    }
    assert!(door.sandbox.requests().log.is_empty());
    let temp = door.lake().with_file_name("made/temp");
    door.export(&["customers", "--temp-dir", temp.to_str().unwrap()])
        .expect(0);
    assert_eq!(fs::read_dir(temp).unwrap().count(), 0);
}

#[test]
fn what_is_spilled_goes_with_the_run_however_that_ends() {
    let many = Workspace {
        people: 180_000,
        ..small()
    };
    let door = Door::open(many);
    let temp = door.lake().with_file_name("temp");
    let more = ["customers", "--memory", "64MiB", "--temp-dir", temp.to_str().unwrap()];
    let mut command = door.exporting_eagerly(&door.lake(), &more);
    let killed = command.env("CIO2PARQUET_CRASH", "run-spilled:1=kill").status().unwrap();
    assert_eq!(killed.code(), None, "nothing was spilled");
    assert_eq!(fs::read_dir(&temp).unwrap().count(), 0);
}

/// Answers `answer` to everything; the first lines of what was sent to it.
fn server(answer: fn(&str) -> (&'static str, &'static str)) -> (String, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let url = serve(move |request| {
        let line = request.lines().next().unwrap_or_default().to_owned();
        let (status, body) = answer(&line);
        seeing.lock().unwrap().push(line);
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    });
    (url, seen)
}

/// The binary with `arguments`, for a bucket at `url`.
fn at(door: &Door, url: &str, arguments: &[&str]) -> Command {
    let mut command = binary();
    command
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .env("CIO2PARQUET_PATIENCE_SECONDS", "1")
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .args(arguments)
        .args(["--to", "s3://bucket/lake"]);
    command
}

#[test]
fn what_is_for_this_machine_goes_through_no_proxy() {
    let door = Door::open(small());
    // Lists are answered, so that everything is tried.
    let (store, asked) = server(|line| match line.contains("list-type=2") {
        true => (
            "200 OK",
            "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
        ),
        false => ("403 Forbidden", ""),
    });
    let (proxy, met) = server(|_| ("502 Bad Gateway", ""));
    let mut command = at(&door, &store, &["check", "--json"]);
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(variable, &proxy);
    }
    command.env_remove("no_proxy").env_remove("NO_PROXY");
    Ran::from(command.output().unwrap()).expect(6);
    let asked = asked.lock().unwrap();
    for part in ["list-type=2", "PUT /bucket/lake/", "uploads="] {
        assert!(asked.iter().any(|line| line.contains(part)), "{part}: {asked:?}");
    }
    assert!(met.lock().unwrap().is_empty(), "{met:?}");
}

#[test]
fn a_store_that_nobody_reaches_is_told_of_while_it_is_waited_for() {
    let door = Door::open(small());
    let told = |command: &mut Command| {
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        assert!(
            !ran.stderr.contains(SECRET) && !ran.stderr.contains("Signature"),
            "{}",
            ran.stderr
        );
        let told = ran.stderr.lines().filter(|line| line.contains("asking again"));
        told.map(str::to_owned).collect::<Vec<_>>()
    };
    let nobody = "http://127.0.0.1:9";
    let lines = told(&mut at(&door, nobody, &["export", "customers", "--log-format", "json"]));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["event"]), (&"warn".into(), &"log".into()));
    let message = line["message"].as_str().unwrap();
    assert!(
        message.starts_with("s3://bucket/lake is not reached at 127.0.0.1, asking again: "),
        "{message}"
    );
    assert!(message.contains("refused"), "{message}");
    assert_eq!(told(&mut at(&door, nobody, &["check"])).len(), 1);
}
