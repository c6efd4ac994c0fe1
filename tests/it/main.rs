//! Through the door: the binary against the simulated workspace, compared with what that knows it served.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopt;
mod calls;
mod cli;
mod conflict;
mod corpus;
mod coverage;
mod docs;
mod export;
mod failing_store;
mod faults;
mod full_table;
mod properties;
mod rows;
mod scan;
mod secrets;
mod set_aside;
mod storm;
mod support;
#[path = "../../src/storage/unreliable.rs"]
mod unreliable;
mod verify;
