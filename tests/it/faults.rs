//! A hostile API: every fault on every stream. What can pass is waited for, what cannot is told and asked for again by the
//! next run; no row is lost, doubled or made up.

mod cell;
mod table;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use cio2parquet::sandbox::Fault;

use cell::{After, Cell};
use table::{PATIENT, faults, quirks};

/// So many cells are walked at once; most of their time is spent waiting.
const AT_ONCE: usize = 16;

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn a_fault_that_passes() {
    walk(faults().into_iter().flat_map(|row| {
        let cells = Cell::of(row.name, &row.once, &row.hazard.once(), row.patience.once);
        cells.into_iter().map(|cell| cell.followed_by(&[After::Recovery]))
    }));
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn a_fault_that_stays() {
    walk(faults().into_iter().flat_map(|row| {
        let cells = Cell::of(row.name, &row.lasting, &row.hazard.lasting(), row.patience.lasting);
        cells.into_iter().map(move |cell| cell.followed_by(row.after))
    }));
}

#[test]
#[ignore = "a campaign: scripts/check.sh runs it"]
fn a_quirk() {
    walk(quirks().into_iter().flat_map(|row| {
        let cells = Cell::of(row.name, &row.promises, &row.hazard, PATIENT);
        cells.into_iter().map(|cell| cell.followed_by(&[After::FullTable]))
    }));
}

#[test]
fn every_fault_has_a_row() {
    // An unknown name is refused with the names that are known.
    let refusal = serde_json::from_str::<Fault>("\"?\"").unwrap_err().to_string();
    let (_, known) = refusal.split_once("expected one of").unwrap();
    let known: BTreeSet<&str> = known.split('`').skip(1).step_by(2).collect();
    let name = |fault: &Fault| match serde_json::to_value(fault).unwrap() {
        serde_json::Value::String(name) => name,
        object => object.as_object().unwrap().keys().next().unwrap().clone(),
    };
    let rows: BTreeSet<String> = faults().iter().map(|row| name(row.hazard.fault())).collect();
    assert_eq!(rows, known.into_iter().map(str::to_owned).collect());
}

/// Walks all cells and tells every one that does not hold.
fn walk(cells: impl Iterator<Item = Cell>) {
    let waiting: Mutex<Vec<Cell>> = Mutex::new(cells.collect());
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(cell) = { waiting.lock().unwrap().pop() } {
                    if catch_unwind(AssertUnwindSafe(|| cell.walk())).is_err() {
                        broken.lock().unwrap().push(cell.to_string());
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(
        broken.is_empty(),
        "{} cells do not hold: {}",
        broken.len(),
        broken.join(", ")
    );
}
