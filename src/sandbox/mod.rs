//! A simulated Customer.io workspace, served over HTTP.
//!
//! Everything that is served is a function of the [`Workspace`] settings, the clock and the [`Behaviour`]; no row is
//! stored. The workspace therefore knows the truth it serves, grows when its clock is moved, and costs no memory however
//! large it is.
//!
//! ```text
//! workspace   what there is: settings, World (all times), View (one instant through one behaviour)
//!   timeline, chance         when things happen, and luck without memory
//!   people, messages         who there is, what is sent
//!   deliveries, lifecycle    what was sent to whom and what became of it
//!   activities               what was done, newest first
//!   metrics                  deliveries counted by period
//!   listing, item            lists of few rows, and the life of one of them
//! strange     rows that are hard to read, and rows that nobody can read
//! json        an object in two forms, as served and as a lake must hold it; the *_row files write the rows
//! endpoints   the App API as a function; page and cursor: its envelopes; filter: its one grammar
//! truth       the same rows as canonical NDJSON
//! server      the handle and the socket; api: key, rate and faults; control: clock and truth over HTTP
//! wire        an answer on its way, whole or broken; line: the connection it goes over, byte by byte where it must
//! behaviour   every quirk as a switch; fault and faults: failures by plan; limit: the rate; journal: what was asked for
//! ```
//!
//! This room imports nothing of the exporter: it is the oracle of its tests and must not share its mistakes.

mod activities;
mod activity_row;
mod api;
mod behaviour;
mod chance;
mod control;
mod cursor;
mod deliveries;
mod delivery_row;
mod endpoints;
mod fault;
mod faults;
mod filter;
mod item;
mod journal;
mod json;
mod lifecycle;
mod limit;
mod line;
mod list_row;
mod listing;
mod message_row;
mod messages;
mod metrics;
mod page;
mod people;
mod server;
mod strange;
#[cfg(test)]
mod tests;
mod timeline;
mod truth;
mod wire;
mod workspace;

pub use behaviour::{Behaviour, Endpoint, ErrorStatus, LastNext, OverLimit, Parents, PersonKey};
pub use fault::Fault;
pub use faults::{FaultRule, Faults};
pub use journal::{RequestRecord, Requests};
pub use server::{Sandbox, SandboxError};
pub use workspace::Workspace;
