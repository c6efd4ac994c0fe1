//! A table gets another name, whatever dies in between; and nobody gets a second one by mistake.

use std::fs;

use crate::rows::{self, stored};
use crate::support::{Door, Ran, binary, small, stream};

const OLD: &str = "transactional_message_details";
const NEW: &str = "deliveries";

fn rename(door: &Door, from: &str, to: &str, crash: Option<&str>) -> Ran {
    let mut command = binary();
    command.args(["rename", from, to, "--to"]).arg(door.lake());
    command.envs(crash.map(|plan| ("CIO2PARQUET_CRASH", plan)));
    command.output().unwrap().into()
}

fn export(door: &Door, table: &str) -> Ran {
    door.export(&[OLD, "--since", "15d", "--table", &format!("{OLD}={table}")])
}

fn tables(door: &Door) -> Vec<String> {
    let entries = fs::read_dir(door.lake().join("_manifest")).unwrap();
    let with_versions = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let has_any = fs::read_dir(&path).unwrap().next().is_some();
        has_any.then(|| path.file_name().unwrap().to_str().unwrap().to_owned())
    });
    let mut names: Vec<String> = with_versions.collect();
    names.sort();
    names
}

fn verify(door: &Door) {
    let ran = door.run(&["verify", "--to", door.lake().to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_renamed_table_goes_on_where_it_was() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.keyless = 30);
    export(&door, OLD).expect(8);
    let before = door.state(OLD);
    let rows = stored(&door, OLD);
    let ran = rename(&door, OLD, NEW, None);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("deliveries now") && ran.stdout.contains("[streams.transactional_message_details]"));
    assert_eq!(tables(&door), [NEW]);
    assert_eq!(rows::stored_in(&door, OLD, NEW), rows);
    let after = door.state(NEW);
    for field in [
        "stream",
        "mark",
        "coverage",
        "runs",
        "drift",
        "rejected",
        "transactional_messages",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(door.data().keys().all(|path| path.contains("/deliveries/")));
    assert!(door.lake().join("_rejected/deliveries").is_dir());
    verify(&door);
    // The same command again has nothing to do, and says so.
    let again = rename(&door, OLD, NEW, None);
    assert_eq!(again.code, 2);
    assert!(
        again
            .stderr
            .contains("holds no table \"transactional_message_details\""),
        "{}",
        again.stderr
    );
    // What was covered is not asked for again, what was set aside is not told again.
    let report = export(&door, NEW).expect(0);
    assert_eq!(stream(&report, OLD)["rows"]["new"], 0);
}

#[test]
fn whatever_dies_in_between_the_same_command_goes_on() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.keyless = 30);
    let mut killed = 0;
    let (mut from, mut to) = (OLD, NEW);
    export(&door, OLD).expect(8);
    let rows = stored(&door, OLD);
    let steps = [
        "version-due:1",
        "version-stored:1",
        "version-due:2",
        "version-due:3",
        "version-stored:3",
        "object-staged:2",
        "object-published:1",
        "object-published:9",
        "version-due:4",
        "version-stored:4",
        "removal-listed:1",
        "object-removed:1",
        "object-removed:9",
        "version-due:5",
        "version-due:6",
        "version-due:7",
        "version-due:8",
        "version-due:9",
        "version-stored:9",
        "version-due:10",
        "version-due:11",
    ];
    for step in steps {
        let ran = rename(&door, from, to, Some(&format!("{step}=kill")));
        if ran.code != 0 {
            killed += 1;
            assert_eq!(ran.code, -1, "{step}: {}", ran.stderr);
            // Nobody writes into a half of it.
            let halves: Vec<String> = tables(&door)
                .into_iter()
                .filter(|table| is_moving(&door, table))
                .collect();
            for table in &halves {
                let refused = export(&door, table);
                assert_eq!(refused.code, 2, "{step} {table}: {}", refused.stderr);
                assert!(
                    refused
                        .stderr
                        .contains(&format!("give `cio2parquet rename {from} {to}` again")),
                    "{}",
                    refused.stderr
                );
            }
            if tables(&door) != [to] || !halves.is_empty() {
                let ran = rename(&door, from, to, None);
                assert_eq!(ran.code, 0, "{step}: {}", ran.stderr);
            }
        }
        assert_eq!(tables(&door), [to], "{step}");
        assert_eq!(rows::stored_in(&door, OLD, to), rows, "{step}");
        verify(&door);
        std::mem::swap(&mut from, &mut to);
    }
    assert!(killed >= 15, "{killed}");
}

fn is_moving(door: &Door, table: &str) -> bool {
    let state = door.state(table);
    !state["moving_from"].is_null() || !state["moving_to"].is_null()
}

#[test]
fn a_second_table_of_a_stream_is_begun_on_purpose_only() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    door.sandbox.reset_requests();
    let refused = door.export(&["customers", "--table", "customers=people"]);
    assert_eq!(refused.code, 2);
    for part in ["is in the table customers", "rename customers people", "--new-table"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert_eq!(door.asked("").len(), 0, "told before anything was asked");
    // Another prefix is another workspace.
    door.export(&["customers", "--prefix", "eu_"]).expect(0);
    door.export(&["customers", "--table", "customers=people", "--new-table"])
        .expect(0);
    door.export(&["customers", "--table", "customers=people"]).expect(0);
    assert_eq!(tables(&door), ["customers", "eu_customers", "people"]);
}

#[test]
fn what_cannot_be_renamed_is_told() {
    let door = Door::open(small());
    door.export(&["customers", "transactional_messages"]).expect(0);
    for (from, to, part) in [
        ("people", "persons", "its tables are: customers, transactional_messages"),
        (
            "customers",
            "transactional_messages",
            "holds a table transactional_messages already",
        ),
        ("customers", "Customers", "one name to many engines"),
        ("customers", "_people", "table name"),
        ("customers", "pe ople", "table name"),
    ] {
        let ran = rename(&door, from, to, None);
        assert_eq!(ran.code, 2, "{from} {to}");
        assert!(ran.stderr.contains(part), "{from} {to}: {}", ran.stderr);
    }
    assert_eq!(tables(&door), ["customers", "transactional_messages"]);
}
