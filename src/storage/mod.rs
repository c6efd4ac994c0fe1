//! Bytes at paths: the only room that knows where a lake lies.
//!
//! Everything goes through `object_store`, so that a disk and a bucket share one code path. What only a disk needs (a staging
//! folder, renames, syncing) stands in `disk.rs` and nowhere else; every path of the lake is built and parsed by [`layout`].
//!
//! - An object appears whole or not at all: [`Storage::stage`], write, [`StagedObject::finish`], [`Storage::publish`].
//! - A condition that does not hold is a value ([`Created::Exists`], [`Published::Conflict`], [`Removed::Conflict`]); an error
//!   means that nobody knows what happened.
//! - On disk a run can publish and remove only while its staging folder stands: [`Storage::evict`] is the fence. In a bucket the
//!   fence is the condition of a put, and a last look at the claim before it.

mod address;
mod bucket;
mod destination;
mod disk;
mod failure;
pub mod layout;
mod look;
mod objects;
mod open;
mod owner;
mod probe;
mod publish;
mod remove;
mod run_id;
mod spool;
mod staged;
mod staging;
mod stored;
#[cfg(test)]
#[expect(
    dead_code,
    reason = "the tests from outside include this file too and use the rest of it"
)]
pub(crate) mod unreliable;
mod upload;

pub use address::{Address, AzureAddress, GcsAddress, ProfileName, S3Address};
pub use destination::Destination;
pub use objects::{Created, ObjectInfo};
pub use open::Storage;
pub use owner::Owner;
pub use probe::{Operation, Probe, ProbeReport, Probed, Verdict, probe};
pub use publish::{Expected, Published};
pub use remove::Removed;
pub use run_id::RunId;
pub use spool::Content;
pub use staged::{FinishedObject, StagedObject, hex};
pub use stored::StoredObject;
