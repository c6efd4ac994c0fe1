//! Probes of a folder, of a good store, and of stores that are bad in one way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use object_store::memory::InMemory;

use super::{Operation, Probe, ProbeReport, Verdict, probe};
use crate::storage::unreliable::{Fault, Kind, Unreliable};
use crate::storage::{Destination, Owner, Storage};

fn settings() -> Probe<fn() -> bool> {
    Probe {
        run: "check-1".parse().unwrap(),
        owner: Owner::current(),
        clock: Timestamp::now,
        stopped: || false,
    }
}

/// What came of each operation that did not do what it should.
fn bad(report: &ProbeReport) -> Vec<(Operation, &'static str)> {
    let bad = report.operations.iter().filter_map(|probed| {
        let word = match probed.verdict {
            Verdict::Good => return None,
            Verdict::Warning(_) => "warning",
            Verdict::Failed(_) => "failed",
            Verdict::Skipped(_) => "skipped",
        };
        Some((probed.operation, word))
    });
    bad.collect()
}

fn text(report: &ProbeReport, operation: Operation) -> String {
    let probed = report.operations.iter().find(|probed| probed.operation == operation);
    match &probed.unwrap().verdict {
        Verdict::Good => String::new(),
        Verdict::Warning(text) | Verdict::Failed(text) | Verdict::Skipped(text) => text.clone(),
    }
}

async fn probed(plan: impl FnMut(u64, Kind) -> Option<Fault> + Send + 'static) -> (ProbeReport, Vec<String>) {
    let store = Unreliable::over(InMemory::new());
    let lake = Storage::over(Arc::new(store.clone()), "s3://bucket/lake");
    store.plan(plan);
    let report = lake.probe(&settings()).await;
    store.plan(|_, _| None);
    let there = lake.list("_check").await.unwrap();
    (report, there.into_iter().map(|info| info.path).collect())
}

#[tokio::test]
async fn a_good_store_does_everything_and_nothing_stays() {
    let (report, there) = probed(|_, _| None).await;
    assert_eq!(bad(&report), []);
    assert_eq!(
        report.operations.len(),
        Operation::ALL.len() - 1,
        "memory lists no uploads"
    );
    assert!(there.is_empty() && report.left.is_empty());
}

#[tokio::test]
async fn a_folder_is_left_as_it_was_whether_it_was_there_or_not() {
    let home = tempfile::tempdir().unwrap();
    let lake = home.path().join("new/lake");
    let destination = Destination::new(lake.to_str().unwrap());
    let report = probe(&destination, &settings()).await.unwrap();
    assert_eq!(bad(&report), []);
    assert_eq!(report.operations.len(), Operation::ALL.len() - 2);
    assert_eq!(home.path().read_dir().unwrap().count(), 0);

    std::fs::create_dir_all(lake.join("_staging")).unwrap();
    std::fs::create_dir_all(lake.join("_check/other")).unwrap();
    let report = probe(&destination, &settings()).await.unwrap();
    assert_eq!(bad(&report), []);
    let mut left: Vec<_> = lake
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["_check", "_staging"]);
    assert_eq!(lake.join("_staging").read_dir().unwrap().count(), 0);
    assert_eq!(lake.join("_check").read_dir().unwrap().count(), 1);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_one_failure() {
    let report = probe(&Destination::new("/proc/lake"), &settings()).await.unwrap();
    assert_eq!(bad(&report)[0], (Operation::Open, "failed"));
    assert!(bad(&report)[1..].iter().all(|(_, word)| *word == "skipped"));
    assert!(text(&report, Operation::Open).contains("/proc/lake"));
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_found_out() {
    let (report, there) =
        probed(|_, kind| matches!(kind, Kind::Create | Kind::Put).then_some(Fault::Unconditional)).await;
    let found = [Operation::CreateAgain, Operation::ReplaceOutdated];
    assert_eq!(bad(&report), found.map(|operation| (operation, "failed")));
    assert!(
        found
            .iter()
            .all(|operation| text(&report, *operation).contains("keeps two runs apart"))
    );
    assert!(there.is_empty(), "{there:?}");
}

#[tokio::test]
async fn a_refused_delete_is_a_warning_that_names_the_right_and_what_was_left() {
    let (report, there) = probed(|_, kind| (kind == Kind::Delete).then_some(Fault::Denied)).await;
    assert_eq!(bad(&report), [(Operation::Delete, "warning")]);
    assert!(text(&report, Operation::Delete).contains("the key lacks s3:DeleteObject"));
    assert_eq!(there, ["_check/check-1/object"]);
    assert_eq!(report.left, ["s3://bucket/lake/_check/check-1/object"]);
}

#[tokio::test]
async fn a_right_that_is_missing_hides_no_other() {
    let (report, there) = probed(|_, kind| (kind == Kind::List).then_some(Fault::Denied)).await;
    assert_eq!(
        bad(&report),
        [Operation::Open, Operation::List].map(|operation| (operation, "failed"))
    );
    assert!(there.is_empty());

    let (report, there) = probed(|_, kind| (kind == Kind::Get).then_some(Fault::Denied)).await;
    let expected = [
        (Operation::Read, "failed"),
        (Operation::ReadRange, "failed"),
        (Operation::Replace, "skipped"),
        (Operation::ReplaceOutdated, "skipped"),
    ];
    assert_eq!(bad(&report), expected);
    assert!(text(&report, Operation::Read).contains("the key lacks s3:GetObject"));
    assert!(there.is_empty(), "{there:?}");

    let (report, there) = probed(|_, kind| matches!(kind, Kind::Create | Kind::Put).then_some(Fault::Denied)).await;
    assert!(bad(&report).contains(&(Operation::Create, "failed")));
    assert!(!bad(&report).contains(&(Operation::List, "failed")));
    assert!(there.is_empty() && report.left.is_empty());
}

#[tokio::test]
async fn whatever_operation_breaks_or_loses_its_answer_nothing_stays() {
    for fault in [Fault::Fails, Fault::Lost, Fault::Repeated] {
        for strike in 1..40 {
            let (report, there) = probed(move |number, _| (number == strike).then_some(fault)).await;
            assert!(there.is_empty(), "{fault:?} at {strike}: {there:?}");
            assert!(report.left.is_empty(), "{fault:?} at {strike}: {:?}", report.left);
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let store = Storage::in_memory();
    for (clock, word) in [
        (
            (|| Timestamp::now() + SignedDuration::from_mins(2)) as fn() -> Timestamp,
            "warning",
        ),
        (|| Timestamp::now() - SignedDuration::from_mins(10), "failed"),
    ] {
        let report = store.probe(&Probe { clock, ..settings() }).await;
        assert_eq!(bad(&report), [(Operation::Clock, word)]);
    }
}

#[tokio::test]
async fn whenever_it_is_stopped_nothing_stays() {
    let lake = Storage::in_memory();
    for asked in 0..12 {
        let count = AtomicUsize::new(0);
        let stopped = || count.fetch_add(1, Ordering::Relaxed) >= asked;
        let Probe { run, owner, clock, .. } = settings();
        let report = lake
            .probe(&Probe {
                run,
                owner,
                clock,
                stopped,
            })
            .await;
        assert_eq!(bad(&report).len(), 11 - asked.min(11), "{asked}");
        assert_eq!(lake.list("_check").await.unwrap(), []);
        assert!(report.left.is_empty());
    }
}
