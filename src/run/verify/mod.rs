//! A lake held against its manifest: every partition, every row, every key. Reads only, and works beside a run.
//!
//! ```text
//! lake:   folders and tables -> one table after another
//! table:  newest version + listing -> objects, each audited (cpu) -> keys in as many passes as memory demands
//!         a difference that a run under way may explain is looked at again -> findings
//! ```

mod finding;
mod keys;
mod lake;
mod objects;
mod partition;
mod sieve;
mod table;
mod unfinished;
mod versions;

pub use finding::{Finding, FindingKind, TableReport, VerifyReport};
pub use lake::{VerifySettings, verify};
