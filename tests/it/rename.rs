//! A table gets another name, whatever dies in between; and nobody gets a second one by mistake.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// The tables under the names that they have now.
fn tables(door: &Door) -> Vec<String> {
    let entries = fs::read_dir(door.lake().join("_manifest")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| door.state(name)["moved_to"].is_null()).collect();
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
        again.stderr.contains("was renamed to deliveries already"),
        "{}",
        again.stderr
    );
    // Nor does a config that nobody has changed begin a second table.
    let stale = export(&door, OLD);
    assert_eq!(stale.code, 2);
    assert!(stale.stderr.contains("was renamed to deliveries"), "{}", stale.stderr);
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

/// A command that is asleep at a step; it goes on when it is let go.
struct Asleep(std::process::Child);

impl Asleep {
    fn at(step: &str, mut command: Command) -> Self {
        command.env("CIO2PARQUET_CRASH", format!("{step}=stop"));
        let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let state = format!("/proc/{}/stat", child.id());
        let began = Instant::now();
        // The letter behind the name: T is stopped.
        while !fs::read_to_string(&state).unwrap().contains(") T ") {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not stop at {step}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(child)
    }

    fn wake(self) -> Ran {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
        self.0.wait_with_output().unwrap().into()
    }
}

fn renaming(door: &Door, from: &str, to: &str) -> Command {
    let mut command = binary();
    command.args(["rename", from, to, "--to"]).arg(door.lake());
    command
}

#[test]
fn of_two_renames_to_one_name_one_wins_and_the_other_loses_nothing() {
    let door = Door::open(small());
    door.export(&["customers", "--prefix", "us_"]).expect(0);
    door.export(&["customers", "--prefix", "eu_"]).expect(0);
    let rows = rows::stored_in(&door, "customers", "eu_customers");
    let late = Asleep::at("table-seen:2", renaming(&door, "eu_customers", "people"));
    assert_eq!(rename(&door, "us_customers", "people", None).code, 0);
    let late = late.wake();
    assert_eq!(late.code, 2, "{}", late.stderr);
    assert_eq!(tables(&door), ["eu_customers", "people"]);
    assert_eq!(rows::stored_in(&door, "customers", "eu_customers"), rows);
    verify(&door);
    door.export(&["customers", "--prefix", "eu_"]).expect(0);
    // Of two that mean the same table, the later one finds it gone and begins none in its place.
    let late = Asleep::at("table-seen:1", renaming(&door, "eu_customers", "persons"));
    assert_eq!(rename(&door, "eu_customers", "persons", None).code, 0);
    let late = late.wake();
    assert_eq!(late.code, 2, "{}", late.stderr);
    assert!(late.stderr.contains("was renamed to persons"), "{}", late.stderr);
    assert_eq!(tables(&door), ["people", "persons"]);
    verify(&door);
}

#[test]
fn a_run_that_slept_through_a_rename_brings_nothing_back() {
    let door = Door::open(small());
    door.export(&["customers"]).expect(0);
    door.move_clock(30);
    let mut export = door.exporting_eagerly(&door.lake(), &["customers"]);
    export.env("CIO2PARQUET_LEASE_SECONDS", "1");
    let late = Asleep::at("object-finished:1", export);
    std::thread::sleep(Duration::from_millis(1100));
    let ran = rename(&door, "customers", "people", None);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let late = late.wake();
    assert_eq!(late.code, 7, "{}", late.stderr);
    assert_eq!(tables(&door), ["people"]);
    assert!(door.data().keys().all(|path| path.contains("/people/")));
    verify(&door);
    door.export(&["customers", "--table", "customers=people"]).expect(0);
    // The name is free for another table, on purpose.
    door.export(&["customers", "--new-table"]).expect(0);
    assert_eq!(tables(&door), ["customers", "people"]);
    verify(&door);
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
        ("customers", "customers", "is the table's name already"),
        ("customers", "Customers", "one name to many engines"),
        ("customers", "_people", "table name"),
        ("customers", "pe ople", "table name"),
        ("customers", "Transactional_Messages", "many engines do not tell"),
    ] {
        let ran = rename(&door, from, to, None);
        assert_eq!(ran.code, 2, "{from} {to}");
        assert!(ran.stderr.contains(part), "{from} {to}: {}", ran.stderr);
    }
    assert_eq!(tables(&door), ["customers", "transactional_messages"]);
    let stray = door.lake().join("people");
    fs::create_dir(&stray).unwrap();
    fs::write(stray.join("part-0.parquet"), "who knows").unwrap();
    let ran = rename(&door, "customers", "people", None);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("objects that no table knows of"), "{}", ran.stderr);
    // Whatever was refused has left nothing behind.
    door.export(&["customers", "transactional_messages"]).expect(0);
}
