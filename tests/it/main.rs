//! Through the door: the binary against the simulated workspace, compared with what that knows it served.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopt;
mod calls;
mod cli;
mod conflict;
mod coverage;
mod docs;
mod export;
mod faults;
mod full_table;
mod moving;
mod rows;
mod scan;
mod storm;
mod support;
