//! What to do now: from marks, coverage and the range asked for to the windows that a run reads. Pure; asks no clock and no store.
//!
//! ```text
//!  asked_since                                   mark        now
//!      |==== covered ====|....hole....|== covered ==|           |
//!                        ^^^^^^^^^^^^^^          ^^^^^^^^^^^^^^^^
//!                        never covered      lookback and what is new
//! ```

mod ask;
pub mod forecast;
mod full_sync;
mod history;
mod months;
mod scan;
mod schedule;
mod survey;
#[cfg(test)]
mod testing;
mod trigger;
mod windows;

pub use ask::{Ask, ceil_day};
pub use full_sync::full_sync_due;
pub use months::Months;
pub use scan::{ScanPlan, scan, top};
pub use schedule::{Schedule, Turn};
pub use survey::{Parts, Rest, Scarce, Stretch};
pub use trigger::{Trigger, time_zone};
pub use windows::{SETTLING, WindowPlan, WindowTask, same_range, windows};
