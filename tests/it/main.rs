//! Through the door: the binary against the simulated workspace, compared with what that knows it served.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopt;
mod calls;
mod catalog;
mod check;
mod cli;
mod columns;
mod config;
mod conflict;
mod corpus;
mod coverage;
mod docs;
mod exit_codes;
mod export;
mod failing_store;
mod faults;
mod full_sync;
mod full_table;
mod lists;
mod logs;
mod man;
mod moving;
mod packaging;
mod parts;
mod places;
mod plan;
mod properties;
mod rename;
mod rows;
mod scan;
mod schedule;
mod secrets;
mod set_aside;
mod sql;
mod storm;
mod support;
mod terminal;
#[path = "../../src/storage/unreliable.rs"]
#[expect(dead_code, reason = "the unit tests use the rest of it")]
mod unreliable;
mod verify;
