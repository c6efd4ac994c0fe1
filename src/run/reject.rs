//! Rows that cannot stand in a table are set aside whole, once each.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::columnar::RejectedRow;
use crate::crash::{Step, pass};
use crate::error::{Error, Result};
use crate::storage::{Created, Storage, layout};

/// Keeps `rows` under `_rejected/<table>/`; answers how many of them were not kept before.
///
/// # Errors
/// Storage, when one cannot be written: a row must be safe before its window is called complete.
pub async fn keep(storage: &Storage, table: &str, rows: &[RejectedRow], request: &str) -> Result<u64> {
    let mut newly = 0;
    for row in rows {
        let name = hex(&Sha256::digest(row.json.as_bytes()));
        let path = layout::rejected_path(table, &name);
        match storage.create(&path, text(row, request)?).await? {
            Created::Done => {
                pass(Step::RowSetAside);
                newly += 1;
            }
            Created::Exists => {}
        }
    }
    Ok(newly)
}

/// How many rows are kept that no version tells of, because the run that kept them died: `told` are told of.
///
/// # Errors
/// Storage, when the folder cannot be listed.
pub async fn untold(storage: &Storage, table: &str, told: u64) -> Result<u64> {
    let kept = storage.list(&layout::rejected_folder(table)).await?.len() as u64;
    // Less than what was told is kept when somebody has looked at the rows and taken them away.
    Ok(kept.saturating_sub(told))
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

/// Lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
