//! Rows that cannot stand in a table are set aside whole, once each.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::pipeline::Reader;
use crate::columnar::RejectedRow;
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::storage::{Created, Storage, hex, layout};

/// Keeps `rows` under `_rejected/<table>/` and counts those that were not kept before, each as soon as it is.
///
/// # Errors
/// Storage, when one cannot be written: a row must be safe before its window is called complete.
pub async fn keep(reader: &Reader, rows: &[RejectedRow], request: &str) -> Result<()> {
    let (storage, table) = (&reader.run.storage, &reader.job.table);
    for row in rows {
        let name = hex(&Sha256::digest(row.json.as_bytes()));
        let path = layout::rejected_path(table, &name);
        match storage.create(&path, text(row, request)?).await? {
            Created::Done => {
                pass(Step::RowSetAside);
                reader.tally.counts().set_aside();
            }
            Created::Exists => {}
        }
    }
    Ok(())
}

/// How many rows are kept under `_rejected/<table>/`.
///
/// # Errors
/// Storage, when the folder cannot be listed.
pub async fn kept(storage: &Storage, table: &str) -> Result<u64> {
    Ok(storage.list(&layout::rejected_folder(table)).await?.len() as u64)
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
