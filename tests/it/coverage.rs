//! What counts as read: a window for each transactional message, and nothing that was not asked for.

use std::collections::BTreeSet;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule, Workspace};

use crate::support::{Door, small, stream, text, windows};

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
    door.export(&[DETAILS]);
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
