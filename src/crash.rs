//! Crash points: the named steps of a run at which a test can end the process, or put it to sleep.
//!
//! A promise that holds "whatever dies in between" is only as good as the number of places at which something did die. Each step
//! is passed with [`pass`], which does nothing unless [`arm`] was told to strike there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::{Signal, getpid, kill_process};

use crate::error::{Error, Result};

/// The environment variable that arms a process: `STEP:N=kill` or `STEP:N=stop`, at the N-th time that the step is passed.
pub const VARIABLE: &str = "CIO2PARQUET_CRASH";

/// What has just happened; in the order of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// The run's staging folder stands; no table is claimed.
    StagingOpened,
    /// The newest version of a table was read in order to claim it.
    TableSeen,
    /// Another run's staging folder was taken away; its claim still stands.
    RunEvicted,
    /// A partition that no version describes was read; it is not entered.
    PartitionAdopted,
    /// A page came and was decoded; its rows are nowhere.
    PageRead,
    /// A row lies under `_rejected`; it is not counted.
    RowSetAside,
    /// A page's rows are in memory.
    PageKept,
    /// A sorted run is on disk.
    RunSpilled,
    /// The rows of a window are whole and sorted.
    RowsSorted,
    /// What is stored of a partition was found; it is not read.
    PartitionFound,
    /// An object on its way is there, and empty.
    ObjectStaged,
    /// An object on its way holds every row; it is not synced.
    ObjectEncoded,
    /// An object on its way is whole and durable.
    ObjectFinished,
    /// What stands in an object's place is what was expected.
    ObjectChecked,
    /// An upload in parts was begun; the bucket holds none of them.
    UploadBegun,
    /// Every part of an upload is in the bucket; it is not completed, and nobody sees it.
    UploadSent,
    /// A partition was replaced; no version says so.
    ObjectPublished,
    /// Every partition of a commit was replaced; no version says so.
    PartitionsMerged,
    /// A version is about to be created.
    VersionDue,
    /// The store has answered whether it created a version; nobody has looked whether that is the highest.
    VersionStored,
    /// Paths are listed for removal; they are still there.
    RemovalListed,
    /// An object that is to be removed was moved out of its table.
    ObjectParked,
    /// An object was removed; it is still listed.
    ObjectRemoved,
    /// A version that nobody needs any more was deleted.
    VersionPruned,
    /// Every claim was given back; the staging folder still stands.
    ClaimsGivenBack,
}

/// Longer than a signal needs to stop every thread.
const LANDING: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Plan {
    step: Step,
    at: u64,
    signal: Signal,
    passed: AtomicU64,
}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Tells the process where to end or to sleep; the first call counts.
///
/// # Errors
/// Input, naming every step, when `text` is no plan.
pub fn arm(text: &str) -> Result<()> {
    let plan = parse(text).ok_or_else(|| {
        let names = Step::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
        Error::input(format!(
            "{VARIABLE}={text:?} is no plan; write STEP:N=kill or STEP:N=stop with a step of: {}",
            names.join(", ")
        ))
    })?;
    PLAN.get_or_init(|| plan);
    Ok(())
}

/// The process ends or falls asleep here if it was told to.
pub fn pass(step: Step) {
    let Some(plan) = PLAN.get().filter(|plan| plan.step == step) else {
        return;
    };
    if plan.passed.fetch_add(1, Ordering::Relaxed) + 1 == plan.at {
        // Nothing can be done about a signal that the system does not deliver; the test that waits for it fails.
        kill_process(getpid(), plan.signal).ok();
        if plan.signal == Signal::STOP {
            // It stops the process, and this thread would run on for a moment: it is stopped while it sleeps here.
            std::thread::sleep(LANDING);
        }
    }
}

fn parse(text: &str) -> Option<Plan> {
    let (place, how) = text.split_once('=')?;
    let (step, at) = place.split_once(':')?;
    Some(Plan {
        step: Step::from_str(step, false).ok()?,
        at: at.parse().ok().filter(|at| *at > 0)?,
        signal: match how {
            "kill" => Signal::KILL,
            "stop" => Signal::STOP,
            _ => return None,
        },
        passed: AtomicU64::new(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_a_step_a_number_and_a_way() {
        let plan = parse("object-published:3=stop").unwrap();
        assert_eq!(
            (plan.step, plan.at, plan.signal),
            (Step::ObjectPublished, 3, Signal::STOP)
        );
        for wrong in [
            "",
            "object-published",
            "object-published:0=kill",
            "page-read:1=sleep",
            "nowhere:1=kill",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn who_arms_it_wrongly_is_told_every_step() {
        let text = arm("help").unwrap_err().chain();
        assert!(text.contains("staging-opened, table-seen"), "{text}");
        assert!(text.ends_with("claims-given-back"), "{text}");
    }
}
