//! A lake, table by table.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::finding::{Finding, FindingKind, TableReport, VerifyReport};
use super::objects::Subject;
use super::table;
use crate::error::{Error, Result};
use crate::manifest::tables;
use crate::run::cpu::Cpu;
use crate::storage::layout::{parse_partition_path, validate_table_name};
use crate::storage::{Storage, StoredObject};
use crate::stream::Catalog;

/// How a lake is verified.
#[derive(Debug, Clone, Copy)]
pub struct VerifySettings {
    /// The memory budget in bytes.
    pub memory: u64,
    /// Hold the listing against the manifest and read no data.
    pub quick: bool,
}

/// What a verification needs everywhere.
pub struct Lake {
    /// The lake itself.
    pub storage: Storage,
    /// Threads for decoding.
    pub cpu: Cpu,
    /// The streams that are known.
    pub catalog: Catalog,
    /// What was asked for.
    pub settings: VerifySettings,
    /// The real clock, by which claims end.
    pub clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake")
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

/// What an audit may take of decoders, pages and an object that is read whole.
const AUDIT: u64 = 16 << 20;

impl Lake {
    /// Reads a partition that was listed.
    pub async fn fetch(&self, subject: &Subject) -> Result<StoredObject> {
        let path = &subject.info.path;
        let object = self.storage.fetch(path).await?;
        object.ok_or_else(|| Error::storage(format!("{} is gone", self.storage.place(path))))
    }

    /// How many partitions are read at once: one a thread, fewer when memory is short.
    pub fn side_by_side(&self) -> usize {
        let fit = usize::try_from(self.settings.memory / 4 / AUDIT).unwrap_or(usize::MAX);
        fit.clamp(1, self.cpu.threads().max(1))
    }

    /// How many stand-ins of keys are held at once: half of the memory.
    pub fn keys_at_once(&self) -> usize {
        let size = size_of::<u128>() as u64;
        usize::try_from(self.settings.memory / 2 / size).unwrap_or(usize::MAX)
    }
}

/// Holds every table of the lake against its manifest; creates and changes nothing. `clock` is the real one.
///
/// # Errors
/// Storage, when the lake cannot be listed. What cannot be read in a table is a finding.
pub async fn verify(
    storage: Storage,
    settings: VerifySettings,
    clock: impl Fn() -> Timestamp + Send + Sync + 'static,
) -> Result<VerifyReport> {
    let lake = Lake {
        storage,
        cpu: Cpu::start()?,
        catalog: Catalog::load()?,
        settings,
        clock: Box::new(clock),
    };
    // Folders first: a table that is begun meanwhile has its manifest before its folder.
    let folders = lake.storage.folders().await?;
    let names = tables(&lake.storage).await?;
    let mut reports = orphans(&lake, folders, &names.iter().cloned().collect()).await?;
    for name in &names {
        let report = table::check(&lake, name).await?;
        // A name that a table had is worth a line only where something lies under it.
        if !report.findings.is_empty() || !table::is_gone(&lake, name).await? {
            reports.push(report);
        }
    }
    Ok(VerifyReport::of(reports))
}

/// Folders with partitions in them that no manifest describes. Folders of anything else are none of our business.
async fn orphans(lake: &Lake, folders: Vec<String>, tables: &BTreeSet<String>) -> Result<Vec<TableReport>> {
    let mut reports = Vec::new();
    for folder in folders {
        if tables.contains(&folder) || validate_table_name(&folder).is_err() {
            continue;
        }
        let listing = lake.storage.list(&folder).await?;
        let partitions = listing
            .iter()
            .filter(|info| parse_partition_path(&info.path).is_some())
            .count();
        if partitions > 0 {
            let detail = format!(
                "no manifest describes its {partitions} partitions; `export` into this table adopts them, otherwise move the folder away"
            );
            let mut report = TableReport::new(&folder);
            report
                .findings
                .push(Finding::new(FindingKind::ManifestMissing, &folder, detail));
            reports.push(report);
        }
    }
    Ok(reports)
}
