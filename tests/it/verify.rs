//! Every planted damage is found and named, and a sound lake is called sound.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use cio2parquet::columnar::{ParquetEncoder, inspect, read_parquet};
use cio2parquet::sandbox::Workspace;
use cio2parquet::stream::{Catalog, ColumnRules, Stream, arrow_schema};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Door, Ran, binary, kill, small, wait_until};

const DETAILS: &str = "transactional_message_details";

fn workspace() -> Workspace {
    Workspace {
        people: 20,
        messages: 3,
        deliveries: 300,
        activities: 300,
        days: 40,
        ..small()
    }
}

/// A copy of a lake that a test may damage.
struct Lake {
    folder: tempfile::TempDir,
}

impl Lake {
    fn copy(from: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(from, folder.path());
        Self { folder }
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let mut command = binary();
        command.args(["verify", "--to"]).arg(self.folder.path()).args(more);
        command.output().unwrap().into()
    }

    /// The exit code, and the path and kind of everything that is found.
    fn findings(&self, more: &[&str]) -> (i32, BTreeSet<(String, String)>) {
        let ran = self.verify(&[&["--json"], more].concat());
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["exit_code"], ran.code);
        let tables = report["tables"].as_array().unwrap();
        let findings = tables.iter().flat_map(|table| table["findings"].as_array().unwrap());
        let named = findings.map(|finding| {
            assert_ne!(finding["detail"], "");
            let word = |name: &str| finding[name].as_str().unwrap().to_owned();
            (word("path"), word("kind"))
        });
        (ran.code, named.collect())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The partitions of a table, oldest first, relative to the lake.
    fn partitions(&self, table: &str) -> Vec<String> {
        let days = fs::read_dir(self.path(table)).unwrap();
        let mut days: Vec<String> = days
            .map(|day| day.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("date="))
            .map(|day| format!("{table}/{day}/part-0.parquet"))
            .collect();
        days.sort();
        days
    }

    fn newest(&self, table: &str) -> PathBuf {
        let versions = fs::read_dir(self.path("_manifest").join(table)).unwrap();
        versions.map(|version| version.unwrap().path()).max().unwrap()
    }

    /// Changes the newest version of a table's manifest where it lies.
    fn edit(&self, table: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.newest(table);
        let mut version: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut version);
        fs::write(path, serde_json::to_vec_pretty(&version).unwrap()).unwrap();
    }

    fn rows(&self, path: &str) -> RecordBatch {
        let stream = stream(path);
        let bytes = bytes::Bytes::from(fs::read(self.path(path)).unwrap());
        let batches: Vec<RecordBatch> = read_parquet(&stream, bytes).unwrap().map(Result::unwrap).collect();
        concat_batches(&arrow_schema(&stream), &batches).unwrap()
    }

    /// Stores rows as the exporter would, and enters them, so that only the rows themselves can give the damage away.
    fn store(&self, stream: &Stream, path: &str, rows: &RecordBatch) {
        let mut encoder = ParquetEncoder::new(Arc::new(stream.clone()), Vec::new());
        encoder.push(rows).unwrap();
        fs::write(self.path(path), encoder.finish().unwrap()).unwrap();
        self.enter(path);
    }

    /// Makes the manifest say of a partition what is stored.
    fn enter(&self, path: &str) {
        let stored = fs::read(self.path(path)).unwrap();
        let sha256: String = Sha256::digest(&stored)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let stats = read_parquet(&stream(path), bytes::Bytes::from(stored.clone()))
            .and_then(|rows| inspect(&stream(path), rows))
            .unwrap_or_default();
        let (table, name) = path.split_once('/').unwrap();
        self.edit(table, |version| {
            let entry = &mut version["state"]["partitions"][name];
            let is_new = entry.is_null();
            *entry = json!({
                "rows": stats.rows, "bytes": stored.len(), "sha256": sha256, "etag": null,
                "schema": if is_new { json!(1) } else { entry["schema"].clone() },
                "least_time": stats.least_time, "greatest_time": stats.greatest_time,
                "least_key": stats.least_key, "greatest_key": stats.greatest_key,
            });
        });
    }
}

fn stream(path: &str) -> Arc<Stream> {
    let (table, _) = path.split_once('/').unwrap();
    Catalog::load().unwrap().get(table).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn pick(rows: &RecordBatch, order: impl IntoIterator<Item = usize>) -> RecordBatch {
    let order: UInt32Array = order.into_iter().map(|row| u32::try_from(row).unwrap()).collect();
    take_record_batch(rows, &order).unwrap()
}

/// What a damage is called, how it is done, and what must be found: by `verify`, and by `--quick`.
struct Planted {
    name: &'static str,
    plant: fn(&Lake, &[String]),
    found: &'static [(usize, &'static str)],
    quickly: &'static [(usize, &'static str)],
}

/// Paths stand for themselves by their number among a table's partitions; the damages are done to the third and fourth.
const PLANTED: [Planted; 17] = [
    Planted {
        name: "a bit of a data page flips",
        plant: |lake, days| flip(&lake.path(&days[2]), |_| 40),
        found: &[(2, "checksum"), (2, "unreadable")],
        quickly: &[],
    },
    Planted {
        name: "a bit of the footer flips",
        plant: |lake, days| flip(&lake.path(&days[2]), |length| length - 5),
        found: &[(2, "checksum"), (2, "unreadable")],
        quickly: &[],
    },
    Planted {
        name: "a file is cut short",
        plant: |lake, days| {
            let bytes = fs::read(lake.path(&days[2])).unwrap();
            fs::write(lake.path(&days[2]), &bytes[..bytes.len() / 2]).unwrap();
        },
        found: &[(2, "size"), (2, "unreadable")],
        quickly: &[(2, "size")],
    },
    Planted {
        name: "a file is empty, and the manifest says so",
        plant: |lake, days| {
            fs::write(lake.path(&days[2]), b"").unwrap();
            lake.enter(&days[2]);
        },
        found: &[(2, "unreadable")],
        quickly: &[],
    },
    Planted {
        name: "a file is gone",
        plant: |lake, days| fs::remove_file(lake.path(&days[2])).unwrap(),
        found: &[(2, "missing")],
        quickly: &[(2, "missing")],
    },
    Planted {
        name: "a file too many",
        plant: |lake, days| {
            let (table, name) = days[2].split_once('/').unwrap();
            let forget =
                |version: &mut Value| drop(version["state"]["partitions"].as_object_mut().unwrap().remove(name));
            lake.edit(table, forget);
        },
        found: &[(2, "unlisted")],
        quickly: &[(2, "unlisted")],
    },
    Planted {
        name: "two days are exchanged",
        plant: |lake, days| {
            let [a, b] = [&days[2], &days[3]].map(|day| lake.path(day));
            let bytes = fs::read(&a).unwrap();
            fs::copy(&b, &a).unwrap();
            fs::write(&b, bytes).unwrap();
            lake.enter(&days[2]);
            lake.enter(&days[3]);
        },
        found: &[(2, "day"), (3, "day")],
        quickly: &[],
    },
    Planted {
        name: "a key twice in a partition, at two times",
        plant: |lake, days| {
            let rows = lake.rows(&days[2]);
            let last = rows.num_rows() - 1;
            // The key of the first row, with the time and all the rest of the last one.
            let key = stream(&days[2]).position("id").unwrap();
            let mut columns = pick(&rows, [last]).columns().to_vec();
            columns[key] = pick(&rows, [0]).column(key).clone();
            let double = RecordBatch::try_new(rows.schema(), columns).unwrap();
            let order = if first_is_less(&double, &pick(&rows, [last]), key) {
                [0, 1]
            } else {
                [1, 0]
            };
            let tail = concat_batches(&rows.schema(), &[double, pick(&rows, [last])]).unwrap();
            let rows = concat_batches(&rows.schema(), &[rows.slice(0, last), pick(&tail, order)]).unwrap();
            lake.store(&stream(&days[2]), &days[2], &rows);
        },
        found: &[(2, "doubled_in_partition")],
        quickly: &[],
    },
    Planted {
        name: "a row twice",
        plant: |lake, days| {
            let rows = lake.rows(&days[2]);
            let order = [0].into_iter().chain(0..rows.num_rows());
            lake.store(&stream(&days[2]), &days[2], &pick(&rows, order));
        },
        found: &[(2, "doubled_in_partition")],
        quickly: &[],
    },
    Planted {
        name: "a row of the next day, which has it too",
        plant: |lake, days| {
            let next = lake.rows(&days[3]);
            let rows = concat_batches(&next.schema(), &[lake.rows(&days[2]), pick(&next, [0])]).unwrap();
            lake.store(&stream(&days[2]), &days[2], &rows);
        },
        found: &[(2, "day"), (3, "doubled_in_table")],
        quickly: &[],
    },
    Planted {
        name: "rows out of order",
        plant: |lake, days| {
            let rows = lake.rows(&days[2]);
            lake.store(&stream(&days[2]), &days[2], &pick(&rows, (0..rows.num_rows()).rev()));
        },
        found: &[(2, "order")],
        quickly: &[],
    },
    Planted {
        name: "another schema version",
        plant: |lake, days| {
            let newer = Stream {
                version: 2,
                ..(*stream(&days[2])).clone()
            };
            lake.store(&newer, &days[2], &lake.rows(&days[2]));
        },
        found: &[(2, "schema")],
        quickly: &[],
    },
    Planted {
        name: "a column fewer",
        plant: |lake, days| {
            let mut narrow = (*stream(&days[2])).clone();
            let rows = lake.rows(&days[2]);
            let kept: Vec<usize> = (0..rows.num_columns()).filter(|column| *column != 3).collect();
            narrow.columns.remove(3);
            lake.store(&narrow, &days[2], &rows.project(&kept).unwrap());
        },
        found: &[(2, "schema")],
        quickly: &[],
    },
    Planted {
        name: "a file of another stream's name",
        plant: |lake, days| {
            let other = Stream {
                stream: "others".to_owned(),
                ..(*stream(&days[2])).clone()
            };
            lake.store(&other, &days[2], &lake.rows(&days[2]));
        },
        found: &[(2, "stream")],
        quickly: &[],
    },
    Planted {
        name: "a manifest that counts wrongly",
        plant: |lake, days| {
            let (table, name) = days[2].split_once('/').unwrap();
            lake.edit(table, |version| {
                let entry = &mut version["state"]["partitions"][name];
                entry["rows"] = json!(entry["rows"].as_u64().unwrap() + 1);
                entry["least_key"] = json!("");
            });
        },
        found: &[(2, "rows"), (2, "ends")],
        quickly: &[],
    },
    Planted {
        name: "a file listed as going",
        plant: |lake, days| {
            let (table, name) = days[2].split_once('/').unwrap();
            lake.edit(table, |version| {
                version["state"]["partitions"].as_object_mut().unwrap().remove(name);
                version["state"]["removing"] = json!([name]);
            });
        },
        found: &[(2, "removing")],
        quickly: &[(2, "removing")],
    },
    Planted {
        name: "the bytes of another file of the same size",
        plant: |lake, days| {
            let bytes = fs::metadata(lake.path(&days[2])).unwrap().len();
            fs::write(lake.path(&days[2]), vec![0; usize::try_from(bytes).unwrap()]).unwrap();
        },
        found: &[(2, "checksum"), (2, "unreadable")],
        // Nothing of it was read.
        quickly: &[],
    },
];

fn first_is_less(a: &RecordBatch, b: &RecordBatch, key: usize) -> bool {
    use arrow::array::AsArray;
    a.column(key).as_string::<i32>().value(0) < b.column(key).as_string::<i32>().value(0)
}

#[test]
fn every_planted_damage_is_found_and_named() {
    let door = Door::open(workspace());
    door.export(&["activities", DETAILS]).expect(0);
    for (table, planted) in ["activities", DETAILS].into_iter().cycle().zip(&PLANTED) {
        let lake = Lake::copy(&door.lake());
        let days = lake.partitions(table);
        (planted.plant)(&lake, &days);
        for (more, expected) in [(&[][..], planted.found), (&["--quick"], planted.quickly)] {
            let expected: BTreeSet<(String, String)> = expected
                .iter()
                .map(|(day, kind)| (days[*day].clone(), (*kind).to_owned()))
                .collect();
            let is_damage = expected.iter().any(|(_, kind)| kind != "removing");
            let (code, found) = lake.findings(more);
            assert_eq!(found, expected, "{} {more:?}", planted.name);
            assert_eq!(code, if is_damage { 6 } else { 0 }, "{} {more:?}", planted.name);
        }
    }
}

#[test]
fn what_does_not_belong_is_found_while_the_rest_is_checked() {
    let door = Door::open(workspace());
    door.export(&[
        "activities",
        "customers",
        "transactional_messages",
        "transactional_metrics",
    ])
    .expect(0);
    let lake = Lake::copy(&door.lake());
    let metrics = lake.partitions("transactional_metrics").remove(0);
    // Foreign to the table: anything, and a partition of the wrong shape.
    fs::write(lake.path("activities/notes.txt"), "mine").unwrap();
    let day = lake.partitions("activities").remove(1);
    fs::copy(lake.path(&day), lake.path("activities/part-0.parquet")).unwrap();
    // A damaged newest version, a newer one, and an older one that is damaged.
    fs::write(lake.newest("customers"), "{").unwrap();
    lake.edit("transactional_messages", |version| version["format"] = json!(99));
    fs::write(lake.path("_manifest/activities/00000000000000000001.json"), "{}").unwrap();
    // A table without a manifest; a folder that is none of a lake's business; a snapshot under another day.
    copy(&lake.path("customers"), &lake.path("forgotten"));
    fs::create_dir(lake.path("mine")).unwrap();
    fs::write(lake.path("mine/a.csv"), "1").unwrap();
    let moved = "transactional_metrics/date=2020-01-01/part-0.parquet";
    fs::create_dir_all(lake.path(moved).parent().unwrap()).unwrap();
    fs::rename(lake.path(&metrics), lake.path(moved)).unwrap();
    lake.edit("transactional_metrics", |version| {
        version["state"]["partitions"] = json!({})
    });
    lake.enter(moved);

    let name = |path: &Path| path.strip_prefix(lake.folder.path()).unwrap().display().to_string();
    let at = |path: &str, kind: &str| (path.to_owned(), kind.to_owned());
    let quickly = BTreeSet::from([
        at("activities/notes.txt", "foreign"),
        at("activities/part-0.parquet", "foreign"),
        at(&name(&lake.newest("customers")), "manifest_damaged"),
        at(&name(&lake.newest("transactional_messages")), "manifest_newer"),
        at("forgotten", "manifest_missing"),
    ]);
    let data = [
        at("_manifest/activities/00000000000000000001.json", "manifest_damaged"),
        at(moved, "day"),
    ];
    let fully: BTreeSet<_> = quickly.iter().cloned().chain(data).collect();
    assert_eq!(lake.findings(&["--quick"]), (6, quickly));
    assert_eq!(lake.findings(&[]), (6, fully));
    let ran = lake.verify(&[]);
    assert_eq!(ran.code, 6);
    let line = ran.stdout.lines().find(|line| line.contains("notes.txt")).unwrap();
    assert!(
        line.starts_with("damage: activities/notes.txt: ") && line.contains("move it"),
        "{line}"
    );
    assert!(
        ran.stdout.ends_with(
            "3 tables have no manifest that can be read; every partition of the others was read and held against the manifest (exit code 6)\n"
        ),
        "{}",
        ran.stdout
    );
    for (table, word) in [("customers", "damage"), ("transactional_messages", "newer")] {
        let version = name(&lake.newest(table));
        let line = ran.stdout.lines().find(|line| line.contains(&version)).unwrap();
        assert!(line.starts_with(&format!("{word}: ")), "{line}");
        assert_eq!(line.matches(&version).count(), 1, "{line}");
    }
    let table = ran.stdout.lines().take_while(|line| !line.is_empty());
    assert!(
        table.into_iter().all(|line| line.chars().count() <= 80),
        "{}",
        ran.stdout
    );
}

#[test]
fn of_a_stream_that_is_not_known_only_bytes_are_compared() {
    let door = Door::open(workspace());
    door.export(&["customers"]).expect(0);
    let lake = Lake::copy(&door.lake());
    lake.edit("customers", |version| version["state"]["stream"] = json!("others"));
    let unknown = ("_manifest/customers".to_owned(), "unknown_stream".to_owned());
    assert_eq!(lake.findings(&["--quick"]), (6, BTreeSet::from([unknown.clone()])));
    assert_eq!(lake.findings(&[]), (6, BTreeSet::from([unknown.clone()])));
    let path = "customers/part-0.parquet";
    let mut bytes = fs::read(lake.path(path)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(lake.path(path), bytes).unwrap();
    let changed = (path.to_owned(), "checksum".to_owned());
    assert_eq!(lake.findings(&[]), (6, BTreeSet::from([unknown, changed])));
}

#[test]
fn a_sound_lake_is_called_sound_and_left_as_it_is() {
    let door = Door::open(workspace());
    door.export(&[]).expect(0);
    let sound = |what: &str| {
        let before = everything(&door.lake());
        for more in [&[][..], &["--quick"], &["--memory", "64MiB"]] {
            let lake = door.lake().display().to_string();
            let ran = door.run(&[&["verify", "--json", "--to", &lake], more].concat());
            let report = ran.expect(0);
            for table in report["tables"].as_array().unwrap() {
                assert_eq!(table["findings"], json!([]), "{what}");
                let name = table["table"].as_str().unwrap();
                assert_eq!(table["rows"], door.keys(name).len(), "{what}");
            }
            assert_eq!(report["tables"].as_array().unwrap().len(), 5);
        }
        assert!(before == everything(&door.lake()), "{what}: something was written");
    };
    sound("the first run");
    door.move_clock(2);
    door.export(&["--sync", "full-table"]).expect(0);
    sound("a full-table run");
}

#[test]
fn what_a_killed_run_leaves_is_no_damage() {
    let door = Door::open(workspace());
    door.export(&[]).expect(0);
    door.move_clock(3);
    for request in [4, 9] {
        door.change(|behaviour| behaviour.latency_ms = 250);
        door.sandbox.reset_requests();
        let mut run = door.exporting_eagerly(&door.lake(), &[]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("requests are sent", || {
            // While it writes it can be verified as well.
            let (code, found) = Lake::findings_of(&door.lake(), &[]);
            assert_eq!(code, 0, "{found:?}");
            door.asked("").len() >= request
        });
        kill(run);
        let (code, found) = Lake::findings_of(&door.lake(), &[]);
        assert_eq!(code, 0, "{found:?}");
    }
    door.change(|behaviour| behaviour.latency_ms = 0);
    door.export(&[]).expect(0);
    let lake = Lake::copy(&door.lake());
    assert_eq!(lake.findings(&[]), (0, BTreeSet::new()));

    // A run that stored a day, replaced another one, and has not said so: it lives elsewhere, or seems to.
    let days = lake.partitions(DETAILS);
    let whole = lake.rows(&days[3]);
    lake.store(&stream(&days[3]), &days[3], &whole.slice(0, whole.num_rows() - 1));
    let honest = fs::read(lake.path(&days[3])).unwrap();
    lake.store(&stream(&days[3]), &days[3], &whole);
    fs::write(lake.path(&days[3]), honest).unwrap();
    lake.edit(DETAILS, |version| {
        let name = days[2].split_once('/').unwrap().1;
        version["state"]["partitions"].as_object_mut().unwrap().remove(name);
        version["state"]["claim"] = json!({
            "run": "gone", "until": "2099-01-01T00:00:00Z", "owner": {"host": "h", "boot": "", "process": "1:1"}
        });
    });
    let notes = BTreeSet::from([&days[2], &days[3]].map(|day| (day.clone(), "not_entered".to_owned())));
    assert_eq!(lake.findings(&[]), (0, notes.clone()));
    assert_eq!(lake.findings(&["--quick"]), (0, notes));
    let noted = |more: &[&str]| {
        let text = lake.verify(more).stdout;
        let lines = text.lines().filter(|line| line.starts_with("note: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let day = |path: &str| path.split(['=', '/']).nth(2).unwrap().to_owned();
    let all = format!(
        "note: {DETAILS}: 2 partitions of {} to {} stored and not entered",
        day(&days[2]),
        day(&days[3])
    );
    let told = noted(&[]);
    assert!(told.len() == 1 && told[0].starts_with(&all), "{told:#?}");
    assert_eq!(noted(&["-v"]).len(), 2);
    // No run leaves half a file.
    let bytes = fs::read(lake.path(&days[2])).unwrap();
    fs::write(lake.path(&days[2]), &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(lake.findings(&[]).0, 6);
}

impl Lake {
    /// As [`Lake::findings`], of a lake where it lies.
    fn findings_of(lake: &Path, more: &[&str]) -> (i32, Value) {
        let mut command = binary();
        let ran: Ran = command
            .args(["verify", "--json", "--to"])
            .arg(lake)
            .args(more)
            .output()
            .unwrap()
            .into();
        let report = serde_json::from_str(&ran.stdout).unwrap();
        (ran.code, report)
    }
}

#[test]
fn a_place_without_tables_is_not_called_sound() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake { folder };
    let ran = lake.verify(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("nothing to verify"), "{}", ran.stderr);
    let ran: Ran = binary()
        .args(["verify", "--to", "/nowhere/at/all"])
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert_eq!(lake.verify(&["--memory", "1MiB"]).code, 2);
    assert_eq!(fs::read_dir(lake.folder.path()).unwrap().count(), 0);
}

/// Every file with its bytes and when it was written.
fn everything(folder: &Path) -> BTreeSet<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else {
            let written = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert((path.clone(), fs::read(&path).unwrap(), written));
        }
    }
    found
}

/// The long form of what the sieve's own test shows; `CIO2PARQUET_LARGE` says how many million rows.
#[test]
#[ignore = "a campaign"]
fn a_table_of_any_size_is_verified_in_little_memory() {
    let millions = std::env::var("CIO2PARQUET_LARGE").map_or(1, |millions| millions.parse().unwrap());
    let rows: i64 = millions * 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake { folder };
    large(&lake, rows);
    let mut command = binary();
    command
        .args(["verify", "--json", "--memory", "64MiB", "--to"])
        .arg(lake.folder.path());
    let began = Instant::now();
    let mut run = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while run.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.map_or(peak, |line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    let report = Ran::from(run.wait_with_output().unwrap()).expect(6);
    eprintln!(
        "{rows} rows: {} MiB at most, {:.1} s",
        peak >> 10,
        began.elapsed().as_secs_f64()
    );
    let table = &report["tables"][0];
    assert_eq!(table["rows"], rows + 1);
    let findings = table["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["kind"], "doubled_in_table");
    assert!(
        findings[0]["detail"]
            .as_str()
            .unwrap()
            .contains("the first is k000000000005;"),
        "{findings:?}"
    );
    assert!(peak < 64 << 10, "{peak} KiB");
}

/// Activities over eight days, a key of the first day once more in the last.
fn large(lake: &Lake, rows: i64) {
    use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray, new_null_array};
    let stream = stream("activities/");
    let schema = arrow_schema(&stream);
    let batch = |range: std::ops::Range<i64>, day: i64, keys: &dyn Fn(i64) -> String| {
        let ids: ArrayRef = Arc::new(range.clone().map(|row| Some(keys(row))).collect::<StringArray>());
        let times = range.clone().map(|row| day * 86_400_000_000 + row % 10_000_000);
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"));
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "id" => Arc::clone(&ids),
            "timestamp" => Arc::clone(&times),
            _ => new_null_array(field.data_type(), ids.len()),
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
    };
    let a_day = rows / 8;
    let mut partitions = serde_json::Map::new();
    for day in 0..8 {
        let mut encoder = ParquetEncoder::new(Arc::clone(&stream), Vec::new());
        let range = day * a_day..(day + 1) * a_day;
        for start in range.clone().step_by(8192) {
            let some = start..(start + 8192).min(range.end);
            let first = |row| row - range.start;
            encoder
                .push(&batch(first(some.start)..first(some.end), day, &|row| {
                    format!("k{:012}", row + range.start)
                }))
                .unwrap();
        }
        if day == 7 {
            encoder
                .push(&batch(9_999_999..10_000_000, day, &|_| "k000000000005".to_owned()))
                .unwrap();
        }
        let bytes = encoder.finish().unwrap();
        let name = format!("date=1970-01-{:02}/part-0.parquet", day + 1);
        let path = lake.path("activities").join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let stats = inspect(
            &stream,
            read_parquet(&stream, bytes::Bytes::from(bytes.clone())).unwrap(),
        )
        .unwrap();
        let sha256: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        partitions.insert(
            name,
            json!({
                "rows": stats.rows, "bytes": bytes.len(), "sha256": sha256, "etag": null, "schema": 1,
                "least_time": stats.least_time, "greatest_time": stats.greatest_time,
                "least_key": stats.least_key, "greatest_key": stats.greatest_key,
            }),
        );
        fs::write(path, bytes).unwrap();
    }
    let page = include_str!("../../docs/format.md").split_once("```json\n").unwrap().1;
    let mut version: Value = serde_json::from_str(page.split_once("```").unwrap().0).unwrap();
    version["version"] = json!(1);
    version["state"]["stream"] = json!("activities");
    version["state"]["table"] = json!("activities");
    version["state"]["partitions"] = Value::Object(partitions);
    version["state"]["removing"] = json!([]);
    version["state"]["columns"] = json!(ColumnRules::default());
    version["state"]["claim"] = Value::Null;
    let folder = lake.path("_manifest/activities");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("00000000000000000001.json"), version.to_string()).unwrap();
}
