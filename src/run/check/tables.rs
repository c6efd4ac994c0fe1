//! The lake's tables: what of their newest versions a run would refuse before it asks for a row.

use std::time::Instant;

use futures::future::join_all;
use jiff::Timestamp;

use super::report::{Check, CheckStatus, Subject};
use crate::error::{Error, Result};
use crate::manifest::{ClaimOptions, TableState, claimable};
use crate::run::table::held;
use crate::storage::{Destination, Storage};

/// None of them was looked at, because of `why`.
pub fn unseen(tables: &[TableState], why: &str) -> Vec<Check> {
    let unseen = |table: &TableState| of(table, CheckStatus::Skipped).saying(why);
    tables.iter().map(unseen).collect()
}

/// Looks at the tables that `initial` would begin, as a run does before it claims them; writes nothing. `now` is the real clock.
pub async fn check(destination: &Destination, initial: &[TableState], now: Timestamp) -> Vec<Check> {
    match Storage::open_if_there(destination).await {
        Ok(lake) => join_all(initial.iter().map(|table| look(lake.as_ref(), table, now))).await,
        Err(error) => initial.iter().map(|table| refused(table, &error)).collect(),
    }
}

async fn look(lake: Option<&Storage>, initial: &TableState, now: Timestamp) -> Check {
    let began = Instant::now();
    let found = match lake {
        Some(lake) => claimable(lake, initial, ClaimOptions::default()).await,
        None => Ok(None),
    };
    judge(initial, found, now).taking(Some(began.elapsed()))
}

fn judge(initial: &TableState, found: Result<Option<TableState>>, now: Timestamp) -> Check {
    let state = match found {
        Ok(state) => state,
        Err(error) => return refused(initial, &error),
    };
    let claim = state.and_then(|state| state.claim);
    match claim.filter(|claim| now < claim.until && !claim.owner.is_dead()) {
        Some(claim) => of(initial, CheckStatus::Warning).saying(held(&initial.table, &claim).to_string()),
        None => of(initial, CheckStatus::Ok),
    }
}

fn of(table: &TableState, status: CheckStatus) -> Check {
    Check::new(Subject::Table, &name(table), status)
}

fn refused(table: &TableState, error: &Error) -> Check {
    Check::failed(Subject::Table, &name(table), error)
}

/// A table may be called like a stream, or like anything else that is checked.
fn name(table: &TableState) -> String {
    format!("table {}", table.table)
}
