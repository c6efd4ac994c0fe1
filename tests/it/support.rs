//! A workspace, a lake, and the binary between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use arrow::util::display::array_value_to_string;
use cio2parquet::sandbox::{Behaviour, Endpoint, Fault, FaultRule, RequestRecord, Sandbox, Workspace};
use jiff::SignedDuration;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub const STREAMS: [&str; 5] = [
    "activities",
    "customers",
    "transactional_messages",
    "transactional_metrics",
    "transactional_message_details",
];

/// The streams that are exported only when they are named.
pub const LISTS: [&str; 11] = [
    "campaigns",
    "broadcasts",
    "newsletters",
    "segments",
    "sender_identities",
    "snippets",
    "collections",
    "subscription_topics",
    "object_types",
    "reporting_webhooks",
    "workspaces",
];

/// A small workspace, so that a test takes no longer than it must.
pub fn small() -> Workspace {
    Workspace {
        people: 60,
        messages: 6,
        deliveries: 800,
        activities: 600,
        days: 120,
        ..Workspace::default()
    }
}

/// A running sandbox and a lake that belongs to the test.
pub struct Door {
    pub sandbox: Sandbox,
    /// Serves the sandbox as long as the door is open.
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

/// What a run of the binary came to.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Door {
    /// A workspace that behaves in every odd way it usually does, without a rate limit.
    pub fn open(workspace: Workspace) -> Self {
        let unlimited = Behaviour {
            rate: 0.0,
            ..Behaviour::default()
        };
        Self::with(workspace, unlimited)
    }

    pub fn with(workspace: Workspace, behaviour: Behaviour) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let sandbox = runtime.block_on(Sandbox::start(workspace, behaviour, address)).unwrap();
        Self {
            sandbox,
            _runtime: runtime,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// `export` of everything at the sandbox's present clock, with more arguments.
    pub fn export(&self, more: &[&str]) -> Ran {
        self.exporting(&self.lake(), more).output().unwrap().into()
    }

    /// `export` that commits whenever it can, so that it leaves behind all it has read when it ends early.
    pub fn export_eagerly(&self, more: &[&str]) -> Ran {
        self.exporting_eagerly(&self.lake(), more).output().unwrap().into()
    }

    /// The command of [`Self::export_eagerly`], into any lake.
    pub fn exporting_eagerly(&self, lake: &Path, more: &[&str]) -> Command {
        let mut command = self.exporting(lake, more);
        command.env("CIO2PARQUET_COMMIT_SECONDS", "0");
        command
    }

    /// The command of [`Self::export`], into any lake.
    pub fn exporting(&self, lake: &Path, more: &[&str]) -> Command {
        self.exporting_at(lake, more, &self.sandbox.now().to_string())
    }

    /// `export` at another instant than the sandbox's.
    pub fn export_at(&self, more: &[&str], now: &str) -> Ran {
        self.exporting_at(&self.lake(), more, now).output().unwrap().into()
    }

    fn exporting_at(&self, lake: &Path, more: &[&str], now: &str) -> Command {
        let mut command = self.command();
        command.args(["export", "--report", "json"]);
        if !more.contains(&"--rate") {
            command.args(["--rate", "0"]);
        }
        command.arg("--to").arg(lake).args(["--now", now]);
        command.args(more);
        command
    }

    /// The binary with `args`, told where the sandbox is.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.command().args(args).output().unwrap().into()
    }

    fn command(&self) -> Command {
        let mut command = binary();
        command
            .env("CIO_TOKEN", self.sandbox.token())
            .env("CIO_API_URL", self.sandbox.url());
        command
    }

    pub fn move_clock(&self, days: i64) {
        let later = self.sandbox.now() + SignedDuration::from_hours(24 * days);
        self.sandbox.set_now(later);
    }

    pub fn change(&self, edit: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = self.sandbox.behaviour();
        edit(&mut behaviour);
        self.sandbox.set_behaviour(behaviour);
    }

    /// Only these faults from now on, counting from the beginning.
    pub fn fail(&self, rules: impl IntoIterator<Item = FaultRule>) {
        self.change(|behaviour| behaviour.faults.0 = rules.into_iter().collect());
    }

    /// What was asked for since the last reset, of paths that contain `path`.
    pub fn asked(&self, path: &str) -> Vec<RequestRecord> {
        let log = self.sandbox.requests().log;
        log.into_iter().filter(|request| request.path.contains(path)).collect()
    }

    pub fn truth(&self, stream: &str) -> Vec<Value> {
        let lines = self.sandbox.truth(stream).unwrap();
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// Every data file of the lake by its path, with its bytes.
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        files(&self.lake(), &mut found);
        found.retain(|path, _| path.ends_with(".parquet"));
        found
    }

    /// The keys that must be stored of a stream.
    pub fn true_keys(&self, stream: &str) -> BTreeSet<String> {
        let rows = self.truth(stream);
        rows.iter().map(|row| text(&row[key_of(stream)])).collect()
    }

    /// The keys that are stored in a table of the same name as its stream, none of them twice.
    pub fn keys(&self, table: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for path in self.data().keys().filter(|path| path.contains(&format!("/{table}/"))) {
            for key in keys_in(table, File::open(path).unwrap()) {
                assert!(!keys.contains(&key), "{key} is stored twice in {table}");
                keys.insert(key);
            }
        }
        keys
    }

    /// What the manifest says of a table now.
    pub fn state(&self, table: &str) -> Value {
        self.manifest(table)["state"].take()
    }

    /// The newest version of a table's manifest.
    pub fn manifest(&self, table: &str) -> Value {
        let folder = self.lake().join("_manifest").join(table);
        let mut names: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        serde_json::from_slice(&fs::read(names.last().unwrap()).unwrap()).unwrap()
    }
}

/// What begins the names of variables that the binary, or a library in it, reads.
const READ: [&str; 7] = ["CIO_", "CIO2PARQUET_", "AWS_", "AZURE_", "GOOGLE_", "STORAGE_", "RUST_"];

/// The binary without the settings of whoever runs the tests, and in folders where no config file and no account lies.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cio2parquet"));
    let folder = env!("CARGO_TARGET_TMPDIR");
    command
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("HOME", folder);
    let set = std::env::vars_os().map(|(name, _)| name);
    for name in set.filter(|name| READ.iter().any(|read| name.to_string_lossy().starts_with(read))) {
        command.env_remove(name);
    }
    command
}

/// A server that reads each request in one go and sends back what `answer` makes of it, on a connection of its own.
pub fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 8192];
            let read = stream.read(&mut request).unwrap_or(0);
            // The client may have hung up.
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&request[..read])).as_bytes());
        }
    });
    format!("http://{address}")
}

/// Waits until something `is` so.
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// From now on every answer comes by half.
pub fn stall(door: &Door) {
    let half = |endpoint| FaultRule::always(endpoint, Fault::Stall { ms: None });
    door.fail(Endpoint::ALL.map(half));
}

/// Ctrl-C, to a process that has asked for something by now: it listens for signals before it asks.
pub fn interrupt(door: &Door, child: &Child) {
    wait_until("something is asked for", || !door.sandbox.requests().log.is_empty());
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// kill -9, to a process that must not have ended by itself.
pub fn kill(mut child: Child) {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "it had ended before it was killed: {status}");
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// The report, after the exit code was as expected.
    pub fn expect(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The column that tells the rows of a stream apart.
pub fn key_of(stream: &str) -> &'static str {
    match stream {
        "customers" => "cio_id",
        "transactional_metrics" => "transactional_id",
        "snippets" => "name",
        _ => "id",
    }
}

/// The keys in one data file of a table of the same name as its stream.
pub fn keys_in(table: &str, file: impl ChunkReader + 'static) -> Vec<String> {
    let file = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mask = ProjectionMask::columns(file.parquet_schema(), [key_of(table)]);
    let mut keys = Vec::new();
    for batch in file.with_projection(mask).build().unwrap() {
        let column = batch.unwrap().remove_column(0);
        keys.extend((0..column.len()).map(|row| array_value_to_string(&column, row).unwrap()));
    }
    keys
}

/// A JSON value as a cell shows it.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The time ranges that were asked for, in seconds; requests without one are left out.
pub fn windows(requests: &[RequestRecord]) -> Vec<(i64, i64)> {
    let bound = |query: &str, name: &str| -> Option<i64> {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse().ok()
    };
    let range = |query: &str| Some((bound(query, "start_ts")?, bound(query, "end_ts")?));
    requests.iter().filter_map(|request| range(&request.query)).collect()
}

/// One stream's part of a report.
pub fn stream<'a>(report: &'a Value, name: &str) -> &'a Value {
    let streams = report["streams"].as_array().unwrap();
    streams.iter().find(|stream| stream["stream"] == name).unwrap()
}

fn files(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            // A run under way may have moved it since the folder was listed.
            let Ok(bytes) = fs::read(&path) else { continue };
            found.insert(path.display().to_string(), bytes);
        }
    }
}
