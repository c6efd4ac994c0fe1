//! Whether a run would get along: the key, its region, the right to each stream, the store of the lake, and its tables.

mod api;
mod report;
mod tables;

use jiff::Timestamp;

use self::api::Found;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::manifest::TableState;
use crate::source::{Region, Source};
use crate::storage::{Destination, Owner, Probe, ProbeReport, Probed, RunId, Verdict, probe};
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
    /// Their tables, as a run would begin them.
    pub tables: Vec<TableState>,
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
    let lake = async {
        let stored = probe(&settings.destination, &trial).await?;
        let tables = look(settings, &stored, stop).await;
        Ok::<_, Error>((stored, tables))
    };
    let (lake, api) = tokio::join!(lake, stop.race(api));
    let api = api.unwrap_or_else(|_| Found::nothing(&settings.streams, "interrupted"));
    let (stored, tables) = lake?;
    Ok(CheckReport::of(
        &settings.destination.to,
        stored,
        api,
        tables,
        stop.check().is_err(),
    ))
}

/// The tables, once it is known that the lake can be opened.
async fn look(settings: &CheckSettings, stored: &ProbeReport, stop: &Stop) -> Vec<Check> {
    let opened = stored.operations.first().map(|Probed { verdict, .. }| verdict);
    if matches!(opened, Some(Verdict::Failed(_))) {
        return tables::unseen(&settings.tables, "the lake cannot be opened");
    }
    let look = tables::check(&settings.destination, &settings.tables, (settings.clock)());
    let looked = stop.race(look).await;
    looked.unwrap_or_else(|_| tables::unseen(&settings.tables, "interrupted"))
}
