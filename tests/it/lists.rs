//! Lists beyond the core: exported when they are named, each as served, and left alone otherwise.

use std::fs;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule};

use crate::rows::{Rows, assert_true, assert_whole, stored, truth};
use crate::support::{Door, LISTS, Ran, STREAMS, binary, small, stream};

/// The paths that were asked for, each once, in the order of the first request.
fn paths(door: &Door) -> Vec<String> {
    let mut paths = Vec::new();
    for request in door.sandbox.requests().log {
        if !paths.contains(&request.path) {
            paths.push(request.path);
        }
    }
    paths
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn each_list_is_stored_as_served_and_a_second_run_writes_nothing() {
    let door = Door::open(small());
    // Every other row is odd in some way, and some are hard to read.
    door.change(|behaviour| (behaviour.odd, behaviour.strange) = (80, 4));
    let report = door.export(&LISTS).expect(0);
    for name in LISTS {
        assert_whole(&door, name);
        let told = stream(&report, name);
        let rows = truth(&door, name).len();
        assert!(rows > 3, "{name}");
        assert_eq!(
            (&told["status"], &told["rows"]["new"]),
            (&"complete".into(), &rows.into()),
            "{name}"
        );
    }
    let before = door.data();
    assert_eq!(before.len(), LISTS.len());
    let report = door.export(&LISTS).expect(0);
    for name in LISTS {
        let rows = &stream(&report, name)["rows"];
        assert_eq!((&rows["new"], &rows["changed"]), (&0.into(), &0.into()), "{name}");
    }
    assert!(before == door.data());
}

/// The rows of `before` that are in `after` no more.
fn gone(before: &Rows, after: &Rows) -> Vec<String> {
    before.keys().filter(|key| !after.contains_key(*key)).cloned().collect()
}

#[test]
fn incremental_runs_keep_what_is_gone_and_full_table_runs_do_not() {
    let door = Door::open(small());
    door.export(&LISTS).expect(0);
    let first = LISTS.map(|name| truth(&door, name));
    door.move_clock(40);
    let report = door.export(&LISTS).expect(0);
    for (name, first) in LISTS.into_iter().zip(&first) {
        let second = truth(&door, name);
        let mut kept = first.clone();
        kept.extend(second.clone());
        let stored = stored(&door, name);
        assert_true(&stored, &kept);
        assert_eq!(stored.len(), kept.len(), "{name}");
        assert!(
            !gone(first, &second).is_empty(),
            "no row of {name} is gone: this proves little"
        );
        let rows = &stream(&report, name)["rows"];
        for count in ["new", "changed"] {
            assert!(rows[count].as_u64() > Some(0), "{name}: {rows}");
        }
        assert_eq!(rows["removed"], 0, "{name}");
    }
    let report = door.export(&[&LISTS[..], &["--sync", "full-table"]].concat()).expect(0);
    for (name, first) in LISTS.into_iter().zip(&first) {
        assert_whole(&door, name);
        let gone = gone(first, &truth(&door, name)).len();
        assert_eq!(stream(&report, name)["rows"]["removed"], gone, "{name}");
    }
}

#[test]
fn newsletters_are_followed_from_page_to_page() {
    let door = Door::open(small());
    door.change(|behaviour| (behaviour.largest_page, behaviour.empty_pages) = (5, 3));
    door.export(&["newsletters"]).expect(0);
    assert_whole(&door, "newsletters");
    let asked = door.asked("/v1/newsletters");
    let rows = truth(&door, "newsletters").len();
    // One for the right to it, then at least as many as hold the rows.
    assert!(rows > 30 && asked.len() > rows / 5 + 1, "{rows} {}", asked.len());
    assert!(asked[1].query.contains("limit=100") && !asked[1].query.contains("start="));
    assert!(asked[2..].iter().all(|request| request.query.contains("start=")));
}

#[test]
fn the_cursor_behind_the_last_sender_leads_to_nothing_and_ends() {
    let door = Door::open(small());
    door.export(&["sender_identities"]).expect(0);
    assert_whole(&door, "sender_identities");
    let asked = door.asked("/v1/sender_identities");
    let cursors = asked.iter().filter(|request| request.query.contains("start=")).count();
    assert_eq!((asked.len(), cursors), (3, 1), "{asked:?}");
    assert!(asked.iter().all(|request| !request.query.contains("hidden")));
}

#[test]
fn who_names_no_stream_asks_for_no_list() {
    let door = Door::open(small());
    let lake = door.lake().display().to_string();
    let report = door.export(&[]).expect(0);
    let names: Vec<&str> = report["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| stream["stream"].as_str().unwrap())
        .collect();
    assert_eq!(names, STREAMS);
    let more = ["plan", "check"].map(|verb| door.run(&[verb, "--to", &lake]));
    assert!(more.iter().all(|ran| ran.code == 0));
    let asked = paths(&door);
    for name in LISTS {
        assert!(!asked.contains(&format!("/v1/{name}")), "{name}");
        assert!(!door.lake().join(name).exists(), "{name}");
        assert!(more.iter().all(|ran| !ran.stdout.contains(name)), "{name}");
    }
}

/// `export` by a config file of these contents, next to the door's lake.
fn export_by(door: &Door, config: &str, more: &[&str]) -> Ran {
    let path = door.lake().with_extension("toml");
    fs::write(&path, config).unwrap();
    door.export(&[&["--config", path.to_str().unwrap()], more].concat())
}

#[test]
fn a_section_of_the_config_file_names_a_list() {
    let door = Door::open(small());
    let report = export_by(&door, "[streams.segments]\ntable = \"audiences\"\n", &[]).expect(0);
    assert_eq!(report["streams"].as_array().unwrap().len(), 1);
    assert_eq!(stream(&report, "segments")["table"], "audiences");
    assert_eq!(paths(&door), ["/v1/segments"]);
    assert!(door.lake().join("audiences/part-0.parquet").is_file());

    // Core streams and lists stand side by side, in the catalog's order.
    let config = "[streams.workspaces]\n[streams.customers]\n";
    let report = export_by(&door, config, &[]).expect(0);
    let streams = report["streams"].as_array().unwrap();
    let names: Vec<&str> = streams
        .iter()
        .map(|stream| stream["stream"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["customers", "workspaces"]);
}

#[test]
fn every_command_knows_the_lists() {
    let door = Door::open(small());
    let lake = door.lake().display().to_string();
    let on_lake = |verb: &[&str], more: &[&str]| {
        let ran = door.run(&[verb, &["--to", &lake], more].concat());
        assert_eq!(ran.code, 0, "{verb:?}: {}", ran.stderr);
        ran.stdout
    };
    let checked = on_lake(&["check"], &LISTS);
    let planned = on_lake(
        &["plan"],
        &[&LISTS[..], &["--now", &door.sandbox.now().to_string()]].concat(),
    );
    door.export(&LISTS).expect(0);
    let shown = [
        checked,
        planned,
        on_lake(&["catalog"], &[]),
        on_lake(&["verify", "--json"], &[]),
        on_lake(&["sql", "duckdb"], &[]),
        on_lake(&["sql", "spark"], &[]),
    ];
    for name in LISTS {
        assert!(shown.iter().all(|text| text.contains(name)), "{name}: {shown:?}");
    }
}

#[test]
fn streams_tell_which_are_exported_only_when_named() {
    let shown = |args: &[&str]| Ran::from(binary().args(args).output().unwrap()).stdout;
    let list = shown(&["streams"]);
    let (core, named) = list.split_once("\nExported only when named").unwrap();
    let begins = |text: &str, name: &str| text.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(STREAMS.iter().all(|name| begins(core, name) && !begins(named, name)));
    assert!(LISTS.iter().all(|name| begins(named, name) && !begins(core, name)));
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");

    let json: Vec<serde_json::Value> = serde_json::from_str(&shown(&["streams", "--json"])).unwrap();
    for entry in &json {
        let name = entry["stream"].as_str().unwrap();
        assert_eq!(entry["core"], STREAMS.contains(&name), "{name}");
    }
    let names: Vec<&str> = json.iter().map(|entry| entry["stream"].as_str().unwrap()).collect();
    assert_eq!(names, [&STREAMS[..], &LISTS].concat());

    assert!(shown(&["streams", "segments"]).contains("exported   only when named"));
    assert!(!shown(&["streams", "customers"]).contains("exported"));
    let misspelt = Ran::from(binary().args(["streams", "segmnets"]).output().unwrap());
    assert!(
        misspelt.code == 2 && misspelt.stderr.contains("did you mean \"segments\"?"),
        "{}",
        misspelt.stderr
    );
}

#[test]
fn credentials_of_a_webhook_can_be_kept_out_of_the_lake() {
    let door = Door::open(small());
    let config = "[streams.reporting_webhooks]\ncolumns.exclude = [\"endpoint\"]\n";
    export_by(&door, config, &[]).expect(0);
    let rows = stored(&door, "reporting_webhooks");
    assert!(rows.len() > 3 && rows.values().all(|row| row.get("endpoint").is_none()));
    assert!(truth(&door, "reporting_webhooks").values().all(|row| {
        let endpoint = row["endpoint"].as_str().unwrap();
        endpoint.contains("s3cret")
    }));
    assert!(rows.values().all(|row| !row.to_string().contains("s3cret")));
}

#[test]
fn a_rule_about_a_column_that_only_a_list_has_is_for_runs_that_export_it() {
    let door = Door::open(small());
    let rule = "[columns]\nexclude = [\"phone\"]\n";
    let refused = export_by(&door, rule, &[]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("no stream that is exported has such a column, though sender_identities has"),
        "{}",
        refused.stderr
    );
    export_by(&door, rule, &["sender_identities"]).expect(0);
    export_by(&door, &format!("{rule}[streams.sender_identities]\n"), &["customers"]).expect(0);
    assert!(
        stored(&door, "sender_identities")
            .values()
            .all(|row| row.get("phone").is_none())
    );
}

#[test]
fn what_goes_wrong_with_one_list_does_not_stop_the_others() {
    let door = Door::open(small());
    let envelope = FaultRule::always(Endpoint::ObjectTypes, Fault::NoEnvelope);
    let passing = Fault::Status {
        code: 503,
        retry_after: None,
    };
    door.change(|behaviour| {
        behaviour.forbidden.insert(Endpoint::Workspaces);
        behaviour.unreadable = 3;
        behaviour.faults.0 = vec![
            envelope,
            FaultRule::at(Endpoint::Campaigns, [2], passing),
            FaultRule::at(Endpoint::Newsletters, [3], Fault::CutInside),
        ];
    });
    let report = door.export(&LISTS).expect(8);
    let others: Vec<&str> = LISTS
        .into_iter()
        .filter(|name| !["workspaces", "object_types"].contains(name))
        .collect();
    for name in &others {
        assert_whole(&door, name);
    }
    assert_eq!(stream(&report, "workspaces")["status"], "forbidden");
    let failed = stream(&report, "object_types");
    assert_eq!(failed["status"], "failed");
    assert!(
        failed["error"].as_str().unwrap().contains("/v1/object_types"),
        "{failed}"
    );
    let aside: u64 = others
        .iter()
        .map(|name| stream(&report, name)["rows"]["rejected"].as_u64().unwrap())
        .sum();
    assert!(aside > 20, "{aside}");
    assert_eq!(
        sorted(
            LISTS
                .into_iter()
                .filter(|name| door.lake().join(name).is_dir())
                .map(str::to_owned)
                .collect()
        ),
        sorted(others.into_iter().map(str::to_owned).collect())
    );
}
