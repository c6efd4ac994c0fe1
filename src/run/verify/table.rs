//! One table against its newest version; what a run under way may explain is looked at again against the then newest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::StreamExt;

use super::finding::{Finding, FindingKind, TableReport};
use super::keys;
use super::lake::Lake;
use super::objects::{absent_and_foreign, subjects};
use super::partition::Bench;
use super::sieve::Sieve;
use super::unfinished::Unfinished;
use super::versions;
use crate::error::Result;
use crate::manifest::{Version, newest, numbers};
use crate::storage::layout::version_folder;

/// How often a difference is looked at while a run writes.
const LOOKS: usize = 3;

/// Holds the table against its manifest.
///
/// # Errors
/// Storage, when the table cannot be listed.
pub async fn check(lake: &Lake, table: &str) -> Result<TableReport> {
    let mut report = TableReport::new(table);
    let mut suspects: Option<BTreeSet<String>> = None;
    for _ in 0..LOOKS {
        let version = match versions::newest(lake, table).await? {
            Ok(version) => version,
            Err(finding) => {
                report.findings.push(finding);
                return Ok(report);
            }
        };
        report.against(&version);
        let findings = look(lake, &version, suspects.as_ref()).await?;
        let suspected = |path: &String| suspects.as_ref().is_none_or(|suspects| suspects.contains(path));
        report.findings.retain(|finding| !suspected(&finding.path));
        report.findings.extend(findings);
        if !report.is_damaged() || !moves(lake, &version).await? {
            break;
        }
        suspects = Some(paths_of_damage(&report));
    }
    if let (false, Some(newest)) = (lake.settings.quick, report.version) {
        report.findings.extend(versions::earlier(lake, table, newest).await?);
    }
    Ok(report)
}

/// Whether a run writes the table now, or did since `version` was the newest.
async fn moves(lake: &Lake, version: &Version) -> Result<bool> {
    let is_live = |until, owner: &crate::storage::Owner| (lake.clock)() < until && !owner.is_dead();
    let claim = version.state.claim.as_ref();
    if claim.is_some_and(|claim| is_live(claim.until, &claim.owner)) {
        return Ok(true);
    }
    let newest = numbers(&lake.storage, &version.state.table).await?.pop();
    Ok(newest != Some(version.number))
}

/// Whether the table has another name now.
pub async fn is_gone(lake: &Lake, name: &str) -> Result<bool> {
    let version = newest(&lake.storage, name).await;
    Ok(version.is_ok_and(|version| version.is_some_and(|version| version.state.moved_to.is_some())))
}

fn paths_of_damage(report: &TableReport) -> BTreeSet<String> {
    let damage = report.findings.iter().filter(|finding| finding.damage);
    damage
        .flat_map(|finding| [Some(finding.path.clone()), finding.also.clone()])
        .flatten()
        .collect()
}

/// Everything that is not as `version` says, of the paths among `only`.
async fn look(lake: &Lake, version: &Version, only: Option<&BTreeSet<String>>) -> Result<Vec<Finding>> {
    let state = &version.state;
    let stream = state.stream_of(&lake.catalog);
    let listing = lake.storage.list(&state.table).await?;
    let wanted = |path: &str| only.is_none_or(|only| only.contains(path));
    let mut findings = absent_and_foreign(&listing, state, stream.as_deref());
    if stream.is_none() {
        let folder = version_folder(&state.table);
        let detail = format!(
            "it holds the stream {}, which this binary does not know; use a newer one",
            state.stream
        );
        findings.push(Finding::new(FindingKind::UnknownStream, folder, detail));
    }
    findings.retain(|finding| wanted(&finding.path));
    let mut subjects = subjects(&listing, state, stream.as_deref());
    subjects.retain(|subject| wanted(&subject.info.path));
    let bench = Bench {
        lake,
        stream,
        unfinished: Unfinished::of(state),
    };
    if lake.settings.quick {
        findings.extend(subjects.iter().flat_map(|subject| bench.glance(subject)));
        return Ok(findings);
    }
    let sieve = Sieve::new(lake.keys_at_once(), keys::expected(&subjects));
    let sieve = Arc::new(Mutex::new(sieve));
    let audits = futures::stream::iter(&subjects).map(|subject| bench.audit(subject, &sieve));
    let audited: Vec<Vec<Finding>> = audits.buffered(lake.side_by_side()).collect().await;
    findings.extend(audited.into_iter().flatten());
    let unreadable: BTreeSet<String> = unread(&findings);
    subjects.retain(|subject| !unreadable.contains(&subject.info.path));
    findings.extend(keys::doubled(&bench, &subjects, sieve).await?);
    Ok(findings)
}

/// The partitions whose keys cannot be read again.
fn unread(findings: &[Finding]) -> BTreeSet<String> {
    let kinds = [FindingKind::Unreadable, FindingKind::Schema];
    let unread = findings.iter().filter(|finding| kinds.contains(&finding.kind));
    unread.map(|finding| finding.path.clone()).collect()
}
