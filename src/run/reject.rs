//! Rows that cannot stand in a table are set aside whole, once each.

use std::collections::HashSet;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::pipeline::Reader;
use super::tally::Tally;
use crate::columnar::RejectedRow;
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::storage::{Created, Storage, hex, layout};

/// Keeps `rows` under `_rejected/<table>/` and counts those that were not kept before, each as soon as it is.
///
/// # Errors
/// Storage, when one cannot be written: a row must be safe before its window is called complete.
pub async fn keep(reader: &Reader, rows: &[RejectedRow], request: &str) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (storage, table, tally) = (&reader.run.storage, &reader.job.table, &reader.tally);
    let mut known = tally.set_aside.lock().await;
    let known = match &mut *known {
        Some(known) => known,
        // No version tells of any, or they would have been counted at the beginning.
        unknown => unknown.insert(list(storage, table, tally, 0).await?),
    };
    for row in rows {
        let name = hex(&Sha256::digest(row.json.as_bytes()));
        let path = layout::rejected_path(table, &name);
        // One that is there although it was not listed is told by nobody else: it may be our own, whose answer was lost.
        if storage.create(&path, text(row, request)?).await? == Created::Done {
            pass(Step::RowSetAside);
        }
        if known.insert(path) {
            tally.counts().set_aside();
        }
    }
    Ok(())
}

/// Counts the rows that lie set aside, of which the newest version knows `told`.
///
/// # Errors
/// Storage, when the folder cannot be listed.
pub async fn count(storage: &Storage, table: &str, tally: &Tally, told: u64) -> Result<()> {
    let listed = list(storage, table, tally, told).await?;
    *tally.set_aside.lock().await = Some(listed);
    Ok(())
}

async fn list(storage: &Storage, table: &str, tally: &Tally, told: u64) -> Result<HashSet<String>> {
    let listed = storage.list(&layout::rejected_folder(table)).await?;
    tally.counts().found_set_aside(listed.len() as u64, told);
    Ok(listed.into_iter().map(|info| info.path).collect())
}

fn text(row: &RejectedRow, request: &str) -> Result<Bytes> {
    let entry = serde_json::json!({
        "reason": row.reason,
        "request": request,
        "pointer": row.pointer,
        "row": row.json,
    });
    let text = serde_json::to_vec_pretty(&entry);
    let text = text.map_err(|e| Error::internal("cannot write down a rejected row").caused_by(e))?;
    Ok(Bytes::from(text))
}
