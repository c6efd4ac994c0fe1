//! The single source of truth: the numbered versions of every table's state, each written once.
//!
//! A [`Version`] holds the whole [`TableState`]; the highest is the truth. A run may write while the newest version bears its
//! [`Claim`]: [`TableWriter::claim`] takes it, every [`TableWriter::commit`] proves and renews it, [`TableWriter::release`] gives it
//! back. Of two runs that create the same version one wins, on every store; the other learns so as a value, not as an error.
//! `docs/format.md` describes the stored form.

mod claim;
mod compare;
mod coverage;
mod prune;
mod refusal;
mod removal;
mod state;
#[cfg(test)]
mod tests;
mod version;
mod writer;

pub use claim::{ClaimOptions, ClaimOutcome};
pub use compare::{Difference, DifferenceKind, bare, compare};
pub use coverage::{Coverage, Covered};
pub use refusal::{SIMULATED, claimable};
pub use removal::Finished;
pub use state::{
    Claim, DriftNote, FullTable, Gap, KnownMessage, PartitionFile, RowCounts, RunRecord, ScanProgress, SchemaRef,
    SyncMode, TableState,
};
pub use version::{FORMAT, Reading, Version, look, newest, numbers, tables};
pub use writer::{CommitOutcome, TableWriter};
