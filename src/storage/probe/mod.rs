//! Whether a lake does what a run relies on: every operation once, on objects of its own that are deleted again.
//!
//! Nothing is claimed and no table is touched, so a run may go on beside it.

mod bench;
mod clean;
mod clock;
mod report;
#[cfg(test)]
mod tests;
mod walk;

pub use report::{Operation, ProbeReport, Probed, Verdict};
pub use walk::{Probe, probe};
