//! Where the lake is: `--to`, or the config file; and what else its store needs to know.

use clap::Args as ClapArgs;

use super::config::{Config, ConfigArgs};
use super::settings::PATIENCE;
use crate::error::{Error, Result};
use crate::storage::{Destination, Storage};

/// The part of a run's memory that objects on their way into a bucket may take.
const UPLOADS: u64 = 8;

/// The flags of every command that looks at a lake.
#[derive(Debug, Clone, ClapArgs)]
pub struct PlaceArgs {
    /// Where the lake is: a folder, or a file://, s3://, gs:// or az:// URL
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// The config file.
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl PlaceArgs {
    /// The lake, and what the config file says of its store.
    ///
    /// # Errors
    /// Input, when neither names a lake, or the file cannot be used.
    pub fn destination(&self) -> Result<Destination> {
        let config = self.config.read()?;
        destination(self.to.as_deref(), &config)
    }

    /// Opens the lake for reading.
    ///
    /// # Errors
    /// Input and Storage.
    pub async fn open(&self) -> Result<Storage> {
        Storage::open_existing(&self.destination()?).await
    }
}

/// The lake that `to`, else the config file, names; variables of the stores are read here.
///
/// # Errors
/// Input, when neither names one.
pub fn destination(to: Option<&str>, config: &Config) -> Result<Destination> {
    let to = to.or(config.to.as_deref());
    let to = to.ok_or_else(|| {
        Error::input("no lake is named; say --to FOLDER or --to s3://BUCKET/PATH, or `to` in a config file")
    })?;
    let storage = &config.storage;
    Ok(Destination {
        endpoint: storage.endpoint.as_deref().map(str::to_owned),
        region: storage.region.as_deref().map(str::to_owned),
        path_style: storage.path_style,
        profile: storage.profile.as_deref().map(str::to_owned),
        environment: Destination::variables(),
        patience: PATIENCE,
        ..Destination::new(to)
    })
}

/// The part of `memory`, a run's bytes in all, that objects on their way into a bucket may take.
pub fn for_uploads(memory: u64) -> u64 {
    memory / UPLOADS
}
