//! The versions of a table's manifest: the newest one to hold the table against, and whether the others can be read.

use super::finding::{Finding, FindingKind};
use super::lake::Lake;
use crate::error::{Error, Result};
use crate::manifest::{Reading, Version, look, numbers};
use crate::storage::layout::version_path;

/// How often the newest version may vanish between being listed and being read.
const LOOKS: usize = 5;

/// The newest version, or what is wrong with it.
///
/// # Errors
/// Storage, when the store does not answer.
pub async fn newest(lake: &Lake, table: &str) -> Result<Result<Version, Finding>> {
    for _ in 0..LOOKS {
        let Some(number) = numbers(&lake.storage, table).await?.pop() else {
            break;
        };
        match look(&lake.storage, table, number).await? {
            Reading::Good(version) => return Ok(Ok(*version)),
            Reading::Gone => {}
            bad => return Ok(fault(table, number, &bad).map_or_else(|| Err(gone(table)), Err)),
        }
    }
    Ok(Err(gone(table)))
}

/// The versions before `newest` that cannot be read. They are whom a damaged newest one would be replaced by.
///
/// # Errors
/// Storage, when the store does not answer.
pub async fn earlier(lake: &Lake, table: &str, newest: u64) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let numbers = numbers(&lake.storage, table).await?;
    for number in numbers.into_iter().filter(|number| *number < newest) {
        let reading = look(&lake.storage, table, number).await?;
        findings.extend(fault(table, number, &reading));
    }
    Ok(findings)
}

fn fault(table: &str, number: u64, reading: &Reading) -> Option<Finding> {
    let (kind, error): (_, &Error) = match reading {
        Reading::Newer(error) => (FindingKind::ManifestNewer, error),
        Reading::Damaged(error) => (FindingKind::ManifestDamaged, error),
        Reading::Good(_) | Reading::Gone => return None,
    };
    Some(Finding::new(kind, version_path(table, number), error.chain()))
}

fn gone(table: &str) -> Finding {
    let detail = "its versions vanish while they are read; verify again";
    Finding::new(FindingKind::ManifestDamaged, table, detail)
}
