//! Columns that are left out or hashed: nothing that a rule is about gets into a lake, and everything else is as it would be.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::rows::{self, stored};
use crate::support::{Door, Ran, STREAMS, small, stream};

const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

const CONFIG: &str = r#"
[columns]
exclude = ["subject", "tracked_responses"]
hash = ["email", "identifiers.email", "customer_identifiers.email", "recipient", "_extra.email"]
"#;

/// The door with a config file of these contents.
struct Ruled {
    door: Door,
    config: PathBuf,
}

impl Ruled {
    fn open(config: &str) -> Self {
        let door = Door::open(small());
        let path = door.lake().with_extension("toml");
        fs::write(&path, config).unwrap();
        Self { door, config: path }
    }

    fn export(&self, key: Option<&str>, more: &[&str]) -> Ran {
        let config = ["--config", self.config.to_str().unwrap()];
        let mut command = self
            .door
            .exporting_eagerly(&self.door.lake(), &[&config, more].concat());
        command
            .env_remove("CIO_HASH_KEY")
            .envs(key.map(|key| ("CIO_HASH_KEY", key)));
        command.output().unwrap().into()
    }

    /// Every file below the lake, whatever it is, as text.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let mut folders = vec![self.door.lake()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
                }
            }
        }
        found
    }
}

fn hash(text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    let bytes = mac.chain_update(text).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every text that looks like an address in what the sandbox serves, rows that no table can take included.
fn addresses(door: &Door) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.contains('@') => {
                // `_extra` is JSON in a text.
                match serde_json::from_str::<Value>(text) {
                    Ok(inner) if !inner.is_string() => collect(&inner, found),
                    _ => found.extend(Some(text.clone())),
                }
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::from(["no.key@example.com".to_owned(), "null.key@example.com".to_owned()]);
    for stream in STREAMS {
        door.truth(stream).iter().for_each(|row| collect(row, &mut found));
    }
    found
}

/// What must be stored of a true row under [`CONFIG`], told apart by the names of columns alone.
fn treated(stream: &str, row: &Value) -> Value {
    let hashed: &[&[&str]] = match stream {
        "activities" => &[&["customer_identifiers", "email"]],
        "customers" => &[&["email"]],
        "transactional_message_details" => &[&["identifiers", "email"], &["recipient"]],
        _ => &[],
    };
    let mut row = row.as_object().unwrap().clone();
    if let Some(extra) = row.get("_extra").and_then(Value::as_str) {
        let mut extra: Map<String, Value> = serde_json::from_str(extra).unwrap();
        // An alias that contradicts is kept under the name that it was served by.
        if let Some(alias) = extra.get_mut("customer_identifiers") {
            hash_at(alias, &["email"]);
        }
        treat(&mut extra, hashed);
        let text = (!extra.is_empty()).then(|| serde_json::to_string(&extra).unwrap());
        row.insert("_extra".to_owned(), text.into());
    }
    treat(&mut row, hashed);
    row.into()
}

fn treat(row: &mut Map<String, Value>, hashed: &[&[&str]]) {
    for name in ["subject", "tracked_responses"] {
        row.remove(name);
    }
    let mut whole = Value::Object(std::mem::take(row));
    hashed.iter().for_each(|path| hash_at(&mut whole, path));
    if let Value::Object(fields) = whole {
        *row = fields;
    }
}

fn hash_at(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Object(fields), [name, rest @ ..]) => {
            if let Some(field) = fields.get_mut(*name) {
                hash_at(field, rest);
            }
        }
        (Value::Object(fields), []) => fields.values_mut().for_each(|field| hash_at(field, &[])),
        (Value::Array(values), path) => values.iter_mut().for_each(|value| hash_at(value, path)),
        (value, []) if value.is_string() || value.is_number() => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            *value = hash(&text).into();
        }
        _ => {}
    }
}

/// `_extra` as what it says: in which order is another test's matter.
fn comparable(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(extra) = row["_extra"].as_str() {
        row["_extra"] = serde_json::from_str(extra).unwrap();
    }
    row
}

#[test]
fn every_row_is_as_served_but_for_what_the_rules_are_about() {
    let ruled = Ruled::open(CONFIG);
    for (days, mode) in [(0, "incremental"), (3, "incremental"), (3, "full-table")] {
        ruled.door.move_clock(days);
        let report = ruled.export(Some(KEY), &["--sync", mode]).expect(0);
        assert_eq!(stream(&report, "customers")["status"], "complete");
    }
    for stream in STREAMS {
        let (stored, truth) = (stored(&ruled.door, stream), rows::truth(&ruled.door, stream));
        // Activities older than what is served stay.
        assert!(stored.len() == truth.len() || stream == "activities", "{stream}");
        for (key, row) in &truth {
            assert_eq!(
                comparable(&stored[key]),
                comparable(&treated(stream, row)),
                "{stream} {key}"
            );
        }
    }
    let lake = ruled.door.lake();
    let verified = ruled.door.run(&["verify", "--to", lake.to_str().unwrap()]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}

#[test]
fn no_address_is_anywhere_in_a_hashed_lake_nor_in_what_was_said() {
    let ruled = Ruled::open(CONFIG);
    // Rows without a key, and bodies that go down the careful path because of rows that cannot be read.
    ruled.door.change(|behaviour| {
        behaviour.keyless = 40;
        behaviour.unreadable = 60;
    });
    let ran = ruled.export(Some(KEY), &["-vv", "--log-format", "json"]);
    ran.expect(8);
    let addresses = addresses(&ruled.door);
    assert!(addresses.len() > 50, "{}", addresses.len());
    let (mut rejected, mut withheld) = (0, 0);
    let told = [
        (PathBuf::from("stdout"), ran.stdout),
        (PathBuf::from("stderr"), ran.stderr),
    ];
    for (path, text) in ruled.files().into_iter().chain(told) {
        rejected += usize::from(path.components().any(|part| part.as_os_str() == "_rejected"));
        withheld += usize::from(text.contains("withheld"));
        let found = addresses.iter().find(|address| text.contains(*address));
        assert_eq!(found, None, "{}", path.display());
        assert!(!text.contains("@example"), "{}", path.display());
        assert!(!text.contains(KEY), "{}", path.display());
    }
    assert!(withheld > 5 && rejected > withheld, "{withheld} of {rejected}");
    for stream in STREAMS {
        for row in stored(&ruled.door, stream).values() {
            assert!(!row.to_string().contains('@'), "{stream}: {row}");
        }
    }
}

#[test]
fn the_same_person_has_the_same_hash_in_every_table() {
    let ruled = Ruled::open(CONFIG);
    ruled.export(Some(KEY), &[]).expect(0);
    let all = |stream: &str, path: &[&str]| -> BTreeSet<String> {
        let rows = stored(&ruled.door, stream);
        let values = rows.values().filter_map(|row| {
            let value = path.iter().fold(row, |value, name| &value[*name]);
            Some(value.as_str()?.to_owned())
        });
        values.collect()
    };
    let people = all("customers", &["email"]);
    let actors = all("activities", &["customer_identifiers", "email"]);
    let addressees = all("transactional_message_details", &["identifiers", "email"]);
    let recipients = all("transactional_message_details", &["recipient"]);
    for (what, others) in [
        ("activities", &actors),
        ("details", &addressees),
        ("recipients", &recipients),
    ] {
        let shared = people.intersection(others).count();
        assert!(
            shared > 10,
            "{what}: {shared} of {} are among {} people",
            others.len(),
            people.len()
        );
    }
}

#[test]
fn another_key_or_other_rules_are_refused_before_anything_is_asked() {
    let ruled = Ruled::open(CONFIG);
    ruled.export(Some(KEY), &[]).expect(0);
    let state = ruled.door.state("customers");
    assert_eq!(state["columns"]["hash"], serde_json::json!(["email"]));
    assert_eq!(state["columns"]["key"], hash("cio2parquet")[..16]);
    let before = ruled.door.data();
    let refused = |key: Option<&str>, part: &str| {
        ruled.door.sandbox.reset_requests();
        let ran = ruled.export(key, &[]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
        assert!(!ran.stderr.contains(KEY), "{}", ran.stderr);
        assert_eq!(ruled.door.asked("").len(), 0);
    };
    refused(Some("another key that is long enough"), "another CIO_HASH_KEY");
    refused(None, "set CIO_HASH_KEY");
    fs::write(&ruled.config, CONFIG.replace("\"subject\", ", "")).unwrap();
    refused(
        Some(KEY),
        "was begun with columns.exclude = [\"subject\", \"tracked_responses\"]",
    );
    fs::write(&ruled.config, "").unwrap();
    refused(None, "was begun with");
    assert_eq!(ruled.door.data(), before);
    fs::write(&ruled.config, CONFIG.replace("recipient", "recipent")).unwrap();
    refused(Some(KEY), "did you mean \"recipient\"?");
    fs::write(
        &ruled.config,
        CONFIG.replace("\"email\"", "\"email\", \"metrics.sent\""),
    )
    .unwrap();
    refused(
        Some(KEY),
        "\"metrics.sent\" of transactional_message_details cannot be hashed",
    );
}

#[test]
fn what_goes_to_extra_as_a_whole_is_hashed_or_left_out_of_rows_set_aside_too() {
    for rule in ["hash", "exclude"] {
        let ruled = Ruled::open(&format!(
            "[columns]\n{rule} = [\"_extra\", \"email\", \"identifiers.email\", \"customer_identifiers.email\", \"recipient\"]\n"
        ));
        ruled.door.change(|behaviour| {
            behaviour.keyless = 30;
            behaviour.odd = 10;
        });
        ruled.export(Some(KEY), &[]).expect(8);
        let mut rejected = 0;
        for (path, text) in ruled.files() {
            rejected += usize::from(path.components().any(|part| part.as_os_str() == "_rejected"));
            assert!(!text.contains("@example"), "{rule}: {}", path.display());
        }
        assert!(rejected > 0);
        for stream in STREAMS {
            for row in stored(&ruled.door, stream).values() {
                assert!(!row.to_string().contains("@example"), "{rule} {stream}: {row}");
                assert!(rule == "hash" || row["_extra"].is_null(), "{stream}: {row}");
            }
        }
    }
}

#[test]
fn rows_of_other_rules_do_not_get_in_by_the_back_door() {
    let ruled = Ruled::open("");
    ruled.export(None, &["customers"]).expect(0);
    fs::remove_dir_all(ruled.door.lake().join("_manifest")).unwrap();
    fs::write(&ruled.config, "[columns]\nhash = [\"email\"]\n").unwrap();
    let report = ruled.export(Some(KEY), &["customers"]).expect(6);
    let error = stream(&report, "customers")["error"].to_string();
    assert!(error.contains("other columns left out or hashed"), "{error}");
    let lake = ruled.door.lake();
    let verified = ruled.door.run(&["verify", "--to", lake.to_str().unwrap()]);
    assert_eq!(verified.code, 6, "{}", verified.stdout);
    fs::remove_file(lake.join("customers/part-0.parquet")).unwrap();
    ruled.export(Some(KEY), &["customers"]).expect(0);
    assert_eq!(ruled.door.run(&["verify", "--to", lake.to_str().unwrap()]).code, 0);
}
