//! Where the siblings meet: a run from the first request to the last manifest version.
//!
//! ```text
//! engine:  newest versions -> one cheap request a stream -> claim every table -> the streams side by side -> give the claims back
//! stream:  plan -> pages (tokio) -> record batches (cpu) -> sorted runs -> merge with the stored partition (cpu) -> publish -> version
//! ```
//!
//! The four shapes of traffic are `list`, `scan`, `snapshot` and `windows`; everything else is shared by all of them.

mod adopt;
mod budget;
mod check;
mod committer;
mod context;
mod counts;
mod cpu;
mod engine;
mod event;
mod forecast;
mod knock;
mod lane;
mod list;
mod lists;
mod newest;
mod parents;
mod pipeline;
mod reject;
mod removal;
mod rename;
mod report;
mod scan;
mod settings;
mod silence;
mod snapshot;
mod stop;
mod stored;
mod table;
mod tally;
mod verify;
mod windows;

pub use budget::Budget;
pub use check::{Access, Check, CheckReport, CheckSettings, CheckStatus, Subject, check};
pub use engine::run;
pub use event::{Listener, RunEvent};
pub use forecast::{ForecastReport, ForecastSettings, StreamForecast, forecast};
pub use newest::newest_states;
pub use rename::{RenameSettings, Renamed, rename};
pub use report::{DriftCount, RunReport, SetAside, Status, StreamReport};
pub use settings::{Job, RunSettings};
pub use stop::{Stop, StopReason};
pub use verify::{Finding, FindingKind, TableReport, VerifyReport, VerifySettings, verify};
