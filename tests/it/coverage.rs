//! What counts as read: a window for each transactional message, and nothing that was not asked for.

use std::collections::BTreeSet;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule, Workspace};
use jiff::SignedDuration;

use crate::support::{Door, Ran, small, stream, text, windows};

const DETAILS: &str = "transactional_message_details";

/// Of these messages the first in the list is the busiest, the second about half as busy.
fn messages() -> Workspace {
    Workspace {
        messages: 3,
        deliveries: 200,
        ..small()
    }
}

#[test]
fn a_refused_message_is_a_gap_wherever_it_stands_in_the_list() {
    for place in 0..2 {
        let door = Door::open(messages());
        let id = listed(&door)[place];
        door.fail([refusing(id)]);
        let report = door.export(&[DETAILS]).expect(8);
        assert_eq!(stream(&report, DETAILS)["status"], "gaps", "message {id}");
        let of_others = keys_where(&door, |row| row["transactional_id"] != id);
        assert_eq!(door.keys(DETAILS), of_others);
        assert_eq!(unread(&door), BTreeSet::from([id]));

        door.fail([]);
        door.export(&[DETAILS]).expect(0);
        assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
        assert!(unread(&door).is_empty());
    }
}

#[test]
fn what_is_unread_over_years_is_asked_for_in_windows() {
    let door = Door::open(Workspace {
        days: 700,
        ..messages()
    });
    let id = listed(&door)[1];
    door.fail([refusing(id)]);
    door.export(&[DETAILS, "--since", "2y"]).expect(8);
    door.fail([]);
    door.sandbox.reset_requests();
    door.export(&[DETAILS]).expect(0);
    let asked = windows(&door.asked(&format!("/{id}/messages")));
    assert!(asked.len() >= 3, "{asked:?}");
    for (from, to) in &asked {
        assert!(
            to - from <= 183 * 86_400,
            "{from} to {to} is longer than the API serves at once"
        );
    }
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
}

#[test]
fn an_empty_list_leaves_nothing_covered_for_those_who_were_not_in_it() {
    let door = Door::open(messages());
    door.fail([FaultRule::always(Endpoint::Transactional, Fault::Empty)]);
    door.export(&[DETAILS]).expect(0);
    assert!(door.keys(DETAILS).is_empty());
    door.fail([]);
    door.export(&[DETAILS]).expect(0);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
}

#[test]
fn only_a_newcomer_is_asked_for_in_windows_that_are_covered() {
    let door = Door::open(messages());
    let ids = listed(&door);
    let newcomer = ids[1];
    door.change(|behaviour| _ = behaviour.unlisted.insert(u64::try_from(newcomer).unwrap()));
    door.export(&[DETAILS]).expect(0);
    door.change(|behaviour| behaviour.unlisted.clear());
    door.sandbox.reset_requests();
    door.export(&[DETAILS]).expect(0);
    let before_lookback = door.sandbox.now().as_second() - 40 * 86_400;
    for id in ids {
        let asked = windows(&door.asked(&format!("/{id}/messages")));
        let early = asked.iter().any(|(from, _)| *from < before_lookback);
        assert_eq!(early, id == newcomer, "message {id}: {asked:?}");
    }
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
}

#[test]
fn a_newcomer_that_cannot_be_read_at_first_stays_owed() {
    let door = Door::open(messages());
    let newcomer = listed(&door)[1];
    door.change(|behaviour| _ = behaviour.unlisted.insert(u64::try_from(newcomer).unwrap()));
    door.export(&[DETAILS]).expect(0);
    door.change(|behaviour| behaviour.unlisted.clear());
    door.fail([refusing(newcomer)]);
    door.export(&[DETAILS]).expect(8);
    door.fail([]);
    door.export(&[DETAILS]).expect(0);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
}

#[test]
fn a_message_that_is_made_later_arrives_with_all_it_sent() {
    let door = Door::open(Workspace {
        messages: 6,
        ..messages()
    });
    let known = listed(&door);
    door.export(&[DETAILS]).expect(0);
    door.move_clock(12);
    let new: Vec<i64> = listed(&door).into_iter().filter(|id| !known.contains(id)).collect();
    assert_eq!(new.len(), 1);
    door.export(&[DETAILS, "--lookback", "0s"]).expect(0);
    let of_new = keys_where(&door, |row| row["transactional_id"] == new[0]);
    assert!(!of_new.is_empty() && of_new.is_subset(&door.keys(DETAILS)));
}

#[test]
fn a_refused_message_is_no_reason_to_leave_out_the_metrics_of_others() {
    let name = "transactional_metrics";
    let door = Door::open(small());
    let ids = listed(&door);
    let refused = Fault::Status {
        code: 400,
        retry_after: None,
    };
    door.fail([FaultRule {
        matching: Some(format!("/{}/metrics", ids[0])),
        ..FaultRule::always(Endpoint::Metrics, refused)
    }]);
    let report = door.export(&[name]).expect(8);
    assert_eq!(stream(&report, name)["status"], "gaps");
    let others: BTreeSet<String> = ids[1..].iter().map(i64::to_string).collect();
    assert_eq!(door.keys(name), others);
    door.fail([]);
    door.export(&[name]).expect(0);
    assert_eq!(door.keys(name), door.true_keys(name));
}

#[test]
fn a_message_that_is_never_answered_holds_up_no_other() {
    let cases = [(DETAILS, 0), (DETAILS, 1), ("transactional_metrics", 0)];
    for (name, place) in cases {
        let door = Door::open(messages());
        let id = listed(&door)[place];
        let of_others: BTreeSet<String> = match name {
            DETAILS => keys_where(&door, |row| row["transactional_id"] != id),
            _ => listed(&door)
                .iter()
                .filter(|one| **one != id)
                .map(i64::to_string)
                .collect(),
        };
        door.fail([unavailable(name, &format!("/{id}/"))]);
        // Night after night, also when it is owed before anything else is asked.
        for night in 0..2 {
            let report = impatient(&door, name).expect(8);
            let report = stream(&report, name);
            assert_eq!(report["status"], "gaps", "{name}, {place}, night {night}");
            let error = report["error"].as_str().unwrap();
            assert_eq!(error.matches("503").count(), 1, "{error}");
            assert_eq!(door.keys(name), of_others, "{name}, {place}, night {night}");
        }
        door.fail([]);
        door.export(&[name]).expect(0);
        assert_eq!(door.keys(name), door.true_keys(name));
    }
}

#[test]
fn nobody_answering_is_no_gap_of_one() {
    let door = Door::open(messages());
    let mut first = unavailable(DETAILS, "/messages");
    // The right to the stream is found out before.
    first.matching = Some("start_ts=".to_owned());
    door.fail([first]);
    let report = impatient(&door, DETAILS).expect(5);
    assert_eq!(stream(&report, DETAILS)["status"], "failed");
    door.fail([unavailable(DETAILS, "/messages")]);
    let report = impatient(&door, DETAILS).expect(5);
    assert_eq!(stream(&report, DETAILS)["status"], "failed");
}

/// 503 whenever a path of `stream` holds `part`.
fn unavailable(stream: &str, part: &str) -> FaultRule {
    let endpoint = if stream == DETAILS {
        Endpoint::Details
    } else {
        Endpoint::Metrics
    };
    let broken = Fault::Status {
        code: 503,
        retry_after: None,
    };
    FaultRule {
        matching: Some(part.to_owned()),
        ..FaultRule::always(endpoint, broken)
    }
}

fn impatient(door: &Door, stream: &str) -> Ran {
    let mut command = door.exporting_eagerly(&door.lake(), &[stream]);
    command.env("CIO2PARQUET_PATIENCE_SECONDS", "1");
    command.output().unwrap().into()
}

#[test]
fn a_first_run_whose_clock_was_years_ahead_leaves_nothing_out() {
    let door = Door::open(messages());
    door.export_at(&[DETAILS], "2030-01-01T00:00:00Z").expect(0);
    assert!(door.keys(DETAILS).is_empty());
    let ran = door.export(&[DETAILS]);
    ran.expect(0);
    assert!(ran.stderr.contains("lies after this run's now"), "{}", ran.stderr);
    assert_eq!(door.keys(DETAILS), door.true_keys(DETAILS));
}

#[test]
fn an_older_range_that_was_asked_for_once_does_not_hold_up_the_mark() {
    let door = Door::open(Workspace {
        days: 300,
        ..messages()
    });
    let config = door.lake().with_file_name("c.toml");
    std::fs::write(&config, "[streams.transactional_message_details]\nsince = \"60d\"\n").unwrap();
    let nightly = ["--config", config.to_str().unwrap()];
    let day = |back: i64| {
        let time = door.sandbox.now() - SignedDuration::from_hours(24 * back);
        time.strftime("%F").to_string()
    };
    let mut marks = BTreeSet::new();
    for night in 0..3 {
        if night == 1 {
            door.export(&[DETAILS, "--since", &day(280), "--until", &day(270)])
                .expect(0);
        }
        door.sandbox.reset_requests();
        let report = door.export(&nightly).expect(0);
        marks.insert(stream(&report, DETAILS)["mark"].to_string());
        let oldest = windows(&door.asked("/messages"))
            .into_iter()
            .map(|(from, _)| from)
            .min();
        let lookback = if night == 0 { 61 } else { 32 };
        let now = door.sandbox.now().as_second();
        assert!(
            oldest.unwrap() >= now - lookback * 86_400,
            "night {night} reads from {oldest:?}"
        );
        door.move_clock(1);
    }
    assert_eq!(marks.len(), 3, "{marks:?}");
    // Ten nights without a run, with a beginning that would leave out most of them.
    std::fs::write(&config, "[streams.transactional_message_details]\nsince = \"2d\"\n").unwrap();
    door.move_clock(10);
    door.export(&nightly).expect(0);
    let since = day(70);
    let recent = keys_where(&door, |row| text(&row["created"]) >= since);
    assert!(recent.is_subset(&door.keys(DETAILS)));
    // A run that names no beginning reads what lies between.
    door.export(&[DETAILS]).expect(0);
    let since = day(280);
    let asked_for = keys_where(&door, |row| text(&row["created"]) >= since);
    assert!(asked_for.is_subset(&door.keys(DETAILS)));
}

/// 400 for whatever is asked of the deliveries of one message.
fn refusing(id: i64) -> FaultRule {
    let refused = Fault::Status {
        code: 400,
        retry_after: None,
    };
    FaultRule {
        matching: Some(format!("/{id}/messages")),
        ..FaultRule::always(Endpoint::Details, refused)
    }
}

fn listed(door: &Door) -> Vec<i64> {
    let rows = door.truth("transactional_messages");
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

fn keys_where(door: &Door, wanted: impl Fn(&serde_json::Value) -> bool) -> BTreeSet<String> {
    let rows = door.truth(DETAILS);
    rows.iter()
        .filter(|row| wanted(row))
        .map(|row| text(&row["id"]))
        .collect()
}

/// The messages that the manifest knows as unread in some window.
fn unread(door: &Door) -> BTreeSet<i64> {
    let state = door.state(DETAILS);
    let windows = state["coverage"].as_array().unwrap();
    let ids = windows.iter().flat_map(|window| window["unread"].as_array().unwrap());
    ids.map(|id| id.as_i64().unwrap()).collect()
}
