//! Whether a run would get along: the key, its region, the right to each stream, and the store of the lake.

mod api;
mod report;

use jiff::Timestamp;

use self::api::Found;
use super::stop::Stop;
use crate::error::Result;
use crate::source::{Region, Source};
use crate::storage::{Destination, Owner, Probe, RunId, probe};
use crate::stream::Stream;
use std::sync::Arc;

pub use report::{Check, CheckReport, CheckStatus, Subject};

/// What is checked, and by whom.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// Names the folder of what is put into the lake.
    pub run: RunId,
    /// Who checks.
    pub owner: Owner,
    /// Which lake.
    pub destination: Destination,
    /// The streams whose rights are asked for.
    pub streams: Vec<Arc<Stream>>,
    /// This machine's clock.
    pub clock: fn() -> Timestamp,
}

/// How Customer.io is asked.
#[derive(Debug, Clone)]
pub struct Access {
    /// As a run would.
    pub source: Source,
    /// The region that was not named, with the same key: asked when the named one refuses it.
    pub other: Option<(Region, Source)>,
}

/// Checks both ends side by side; what is wrong with one hides nothing of the other.
///
/// # Errors
/// Input, for settings of the store that cannot be used. Everything else is in the report.
pub async fn check(settings: &CheckSettings, access: &Access, stop: &Stop) -> Result<CheckReport> {
    let trial = Probe {
        run: settings.run.clone(),
        owner: settings.owner.clone(),
        clock: settings.clock,
        stopped: || stop.check().is_err(),
    };
    let api = api::check(access, &settings.streams, (settings.clock)());
    let (stored, api) = tokio::join!(probe(&settings.destination, &trial), stop.race(api));
    let api = api.unwrap_or_else(|_| Found::nothing(&settings.streams, "interrupted"));
    Ok(CheckReport::of(
        &settings.destination.to,
        stored?,
        api,
        stop.check().is_err(),
    ))
}
