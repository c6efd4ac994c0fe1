//! `catalog` through the door: a lake of written-down manifests, word for word, and the fields that the page promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cio2parquet::manifest::{
    Claim, Coverage, DriftNote, FORMAT, Gap, PartitionFile, RowCounts, RunRecord, SchemaRef, SyncMode, TableState,
};
use cio2parquet::storage::Owner;
use cio2parquet::stream::{ColumnRules, Window};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::sql::assert_golden;
use crate::support::{Door, Ran, binary, small};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn table(stream: &str) -> TableState {
    let schema = SchemaRef {
        version: 1,
        fingerprint: "9f86d081884c7d65".into(),
    };
    TableState {
        prefix: Some("cio_".into()),
        description: Some("Production workspace, nightly".into()),
        sync: Some(SyncMode::Incremental),
        mark: Some(at("2026-11-23T03:03:00Z")),
        ..TableState::new(stream, format!("cio_{stream}"), schema)
    }
}

fn partition(rows: u64, bytes: u64) -> PartitionFile {
    PartitionFile {
        rows,
        bytes,
        sha256: "ba7816bf".into(),
        etag: None,
        schema: 1,
        least_time: None,
        greatest_time: None,
        least_key: None,
        greatest_key: None,
    }
}

fn run(number: u32, outcome: &str) -> RunRecord {
    let started = at("2026-11-01T03:00:00Z") + SignedDuration::from_hours(24 * i64::from(number));
    RunRecord {
        run: format!("019aae6f-{number:04x}-7cc3-98c4-dc0c0c07398f").parse().unwrap(),
        started,
        ended: started + SignedDuration::from_secs(552),
        sync: SyncMode::Incremental,
        requests: 412,
        retries: 1,
        rows: RowCounts {
            fetched: 31_200,
            ..RowCounts::default()
        },
        outcome: outcome.into(),
    }
}

/// Two years of deliveries with everything that can be told of a table.
fn deliveries() -> TableState {
    let mut state = table("transactional_message_details");
    let window = |from: &str, to: &str| Window::new(at(from), at(to)).unwrap();
    let mut coverage = Coverage::default();
    coverage.add(window("2024-11-23T00:00:00Z", "2025-06-01T00:00:00Z"), &[]);
    coverage.add(window("2025-09-01T00:00:00Z", "2026-11-23T03:03:00Z"), &[]);
    coverage.add(
        window("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        &[7, 8, 9, 10, 11, 12, 13],
    );
    state.coverage = coverage;
    state.gaps = vec![Gap {
        from: at("2025-08-05T00:00:00Z"),
        to: at("2025-08-07T00:00:00Z"),
        reason: "older than what is served, and no run came by in the meantime".into(),
    }];
    for day in ["2026-11-21", "2026-11-22"] {
        let name = format!("date={day}/part-0.parquet");
        state.partitions.insert(name, partition(1_234_567, 5_123_456));
    }
    state.columns = ColumnRules {
        exclude: vec!["subject".into()],
        hash: vec!["identifiers.email".into(), "recipient".into()],
        key: Some("5b1d0a3c9e7f2468".into()),
    };
    state.full_synced = Some(at("2026-11-22T04:00:00Z"));
    state.drift = (1..=10)
        .map(|count| DriftNote {
            path: format!("metrics.odd_{count}"),
            kind: if count % 2 == 0 { "unknown_field" } else { "misfit" }.into(),
            count,
            first_seen: at("2026-11-02T03:00:41Z"),
        })
        .collect();
    state.rejected = 3;
    state.claim = Some(Claim {
        run: "019aae6f-5d00-7cc3-98c4-dc0c0c07398f".parse().unwrap(),
        owner: Owner {
            host: "etl-1".into(),
            boot: String::new(),
            process: "4711:8812345".into(),
        },
        until: at("2026-11-23T03:14:05Z"),
    });
    state.runs = (0..7).map(|number| run(number, "complete")).collect();
    state.runs.push(run(7, "gaps"));
    state
}

fn metrics() -> TableState {
    let mut state = table("transactional_metrics");
    for day in ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-22"] {
        state
            .partitions
            .insert(format!("date={day}/part-0.parquet"), partition(12, 20_480));
    }
    state.runs = vec![run(7, "complete")];
    state
}

fn people() -> TableState {
    let mut state = table("customers");
    state.moving_from = Some("people".into());
    state.partitions.insert("part-0.parquet".into(), partition(482, 61_440));
    state
}

/// A lake that holds these tables and no data.
fn lake(tables: &[TableState]) -> tempfile::TempDir {
    let lake = tempfile::tempdir().unwrap();
    for state in tables {
        let folder = lake.path().join("_manifest").join(&state.table);
        fs::create_dir_all(&folder).unwrap();
        let version = json!({
            "format": FORMAT,
            "version": 42,
            "written_at": "2026-11-23T03:04:05Z",
            "run": "019aae6f-5d00-7cc3-98c4-dc0c0c07398f",
            "state": state,
        });
        fs::write(folder.join(format!("{:020}.json", 42)), version.to_string()).unwrap();
    }
    lake
}

fn catalog(lake: &Path, more: &[&str]) -> Ran {
    let mut command = binary();
    command.arg("catalog").args(more).arg("--to").arg(lake);
    command.output().unwrap().into()
}

#[test]
fn the_catalog_is_as_written_down_and_keeps_to_eighty_columns() {
    let lake = lake(&[deliveries(), metrics(), people()]);
    let ran = catalog(lake.path(), &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let wide: Vec<&str> = ran.stdout.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(!ran.stdout.contains('\u{1b}'));
    assert_golden("catalog.txt", &ran.stdout, &[]);
}

#[test]
fn some_tables_or_none_of_that_name() {
    let lake = lake(&[deliveries(), metrics(), people()]);
    let ran = catalog(lake.path(), &["cio_customers", "--json"]);
    let tables: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(tables.as_array().unwrap().len(), 1);
    assert_eq!(tables[0]["table"], "cio_customers");
    let ran = catalog(lake.path(), &["cio_customers", "cio_customer"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr
            .contains("no table \"cio_customer\"; did you mean \"cio_customers\"?"),
        "{}",
        ran.stderr
    );
    let ran = catalog(lake.path(), &["zzz"]);
    assert!(ran.stderr.contains("its tables are cio_customers, "), "{}", ran.stderr);
}

/// The first cell of each row of the table under `heading` in docs/format.md.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format.md")).unwrap();
    let section = page.split_once(heading).unwrap().1;
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| ---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    cells
        .flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

#[test]
fn the_page_names_the_fields_that_are_printed() {
    let lake = lake(&[deliveries(), people()]);
    let tables: Value = serde_json::from_str(&catalog(lake.path(), &["--json"]).stdout).unwrap();
    let documented = documented("\n# The catalog\n");
    for table in tables.as_array().unwrap() {
        let printed: BTreeSet<String> = table.as_object().unwrap().keys().cloned().collect();
        assert_eq!(printed, documented);
    }
}

#[test]
fn a_config_file_with_a_trigger_tells_the_next_run_of_its_lake() {
    let lake = lake(&[people()]);
    let config = lake.path().join("nightly.toml");
    let told = |to: &Path| {
        let text = format!("to = {:?}\ntrigger = \"0 3 * * *\"\n", to.to_str().unwrap());
        fs::write(&config, text).unwrap();
        let more = ["--json", "--config", config.to_str().unwrap()];
        let tables: Value = serde_json::from_str(&catalog(lake.path(), &more).stdout).unwrap();
        tables[0]["next_trigger"].clone()
    };
    assert_eq!(told(Path::new("/another/lake")), Value::Null);
    let next = told(lake.path());
    // The lake is the same however the file spells it.
    let url = format!("file://{}", lake.path().display());
    for spelled in [&lake.path().join("."), Path::new(&url)] {
        assert_eq!(told(spelled), next, "{spelled:?}");
    }
    let next = next.as_str().unwrap();
    assert!(next.ends_with("T03:00:00Z") && at(next) > Timestamp::now(), "{next}");
    let text = catalog(lake.path(), &["--config", config.to_str().unwrap()]).stdout;
    assert!(text.contains(&format!("\nthe next run is due at {next}\n")), "{text}");
}

#[test]
fn an_export_shows_its_months_days_and_run() {
    let door = Door::open(small());
    let report = door.export(&["--since", "60d"]).expect(0);
    let text = catalog(&door.lake(), &[]).stdout;
    let run = &report["run"].as_str().unwrap()[..13];
    assert_eq!(text.matches(run).count(), 5, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // Activities and deliveries are covered by month, metrics have a partition a day, the rest is one object.
    assert_eq!(text.matches("█ whole").count(), 2, "{text}");
    assert_eq!(text.matches("  days ").count(), 1, "{text}");
}

#[test]
fn one_damaged_table_hides_no_other() {
    let door = Door::open(small());
    door.export(&["customers", "transactional_messages"]).expect(0);
    let folder = door.lake().join("_manifest/customers");
    fs::write(folder.join("00000000000000000099.json"), "{").unwrap();
    let lake = door.lake().display().to_string();
    for more in [&[][..], &["--json"]] {
        let ran = door.run(&[&["catalog", "--to", &lake], more].concat());
        assert_eq!(ran.code, 6);
        assert!(ran.stdout.contains("transactional_messages"), "{}", ran.stdout);
        assert!(
            ran.stderr.contains("00000000000000000099.json is damaged"),
            "{}",
            ran.stderr
        );
    }
}
