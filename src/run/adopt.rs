//! What lies in a table's folder and is not what the manifest says: read, counted, entered, and asked for again.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::reject::hex;
use super::stored::StoredObject;
use super::table::Table;
use crate::columnar::inspect;
use crate::error::{Error, Result};
use crate::manifest::{DifferenceKind, PartitionFile, compare};
use crate::storage::{ObjectInfo, layout};
use crate::stream::whole_day;

/// Bytes of an object that are hashed at a time.
const CHUNK: u64 = 4 << 20;

/// One correction to the manifest.
struct Correction {
    path: String,
    file: Option<PartitionFile>,
    /// Whether the object holds other bytes than the entry says, so that its day must be asked for again.
    differs: bool,
}

/// Finishes what earlier runs left: removals that are listed, and partitions that no version describes.
///
/// Answers one sentence for everything that was mended.
///
/// # Errors
/// Storage, when a stored partition cannot be read; Held.
pub async fn settle(table: &Arc<Table>) -> Result<Vec<String>> {
    let mut writer = table.writer().await;
    if !writer.state().removing.is_empty() {
        let outcome = writer.finish_removals().await?;
        table.won(outcome)?;
    }
    let state = writer.state().clone();
    drop(writer);
    let name = &table.job.table;
    let listing = table.run.storage.list(name).await?;
    let mut corrections = Vec::new();
    let mut told = Vec::new();
    for difference in compare(&listing, name, &state) {
        let path = difference.path.clone();
        match (difference.kind, &difference.info) {
            (DifferenceKind::Foreign, _) => {
                told.push(format!(
                    "{name}/{path} is not an object of this table; readers of the folder will trip over it"
                ));
            }
            (DifferenceKind::Missing, _) | (_, None) => {
                told.push(format!(
                    "{name}/{path} is gone from the lake; its rows are asked for again"
                ));
                corrections.push(Correction {
                    path,
                    file: None,
                    differs: true,
                });
            }
            (_, Some(info)) => {
                let file = read(table, info).await?;
                let known = difference.entry.as_ref();
                let differs = known.is_none_or(|entry| entry.sha256 != file.sha256);
                if differs {
                    told.push(format!("adopted {name}/{path} with {} rows", file.rows));
                }
                corrections.push(Correction {
                    path,
                    file: Some(file),
                    differs,
                });
            }
        }
    }
    if corrections.is_empty() {
        return Ok(told);
    }
    let commit = table.commit(|state| {
        for correction in corrections {
            let day = layout::partition_date(&correction.path);
            if let (true, Some(window)) = (correction.differs, day.and_then(whole_day)) {
                state.coverage.uncover(window);
            }
            match correction.file {
                Some(file) => state.partitions.insert(correction.path, file),
                None => state.partitions.remove(&correction.path),
            };
        }
    });
    commit.await?;
    Ok(told)
}

async fn read(table: &Arc<Table>, info: &ObjectInfo) -> Result<PartitionFile> {
    let run = &table.run;
    let stream = Arc::clone(&table.job.stream);
    let object = StoredObject::open(&run.storage, info).await?;
    let sha256 = checksum(table, info).await?;
    let (bytes, etag) = (info.bytes, info.etag.clone());
    let work = move || {
        let stats = inspect(&stream, object.rows(&stream)?)?;
        Ok(PartitionFile {
            rows: stats.rows,
            bytes,
            sha256,
            etag,
            schema: stream.version,
            least_time: stats.least_time,
            greatest_time: stats.greatest_time,
            least_key: stats.least_key,
            greatest_key: stats.greatest_key,
        })
    };
    run.cpu.run(work).await
}

async fn checksum(table: &Arc<Table>, info: &ObjectInfo) -> Result<String> {
    let mut hash = Sha256::new();
    let mut at = 0;
    while at < info.bytes {
        let end = (at + CHUNK).min(info.bytes);
        let chunk = table.run.storage.get_range(&info.path, at..end).await?;
        if chunk.is_empty() {
            return Err(Error::storage(format!(
                "{} ended before its {} bytes were read",
                info.path, info.bytes
            )));
        }
        at += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok(hex(&hash.finalize()))
}
