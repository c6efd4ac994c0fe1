//! Where the file is: named by a flag, else where it would be looked for.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use etcetera::BaseStrategy;

use super::file::Config;
use crate::cli::out;
use crate::error::Result;

/// The file's name, in the working folder and in a folder of ours below the user's config folder.
pub const NAME: &str = "cio2parquet.toml";

const FOLDER: &str = "cio2parquet";

/// The flags of every command that goes by a config file.
#[derive(Debug, Default, Clone, ClapArgs)]
pub struct ConfigArgs {
    /// The config file [default: ./cio2parquet.toml, else cio2parquet/cio2parquet.toml in your
    /// config folder, where there is one]
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    pub config: Option<PathBuf>,
    /// Go by no config file, even where there is one
    #[arg(long)]
    pub no_config: bool,
}

impl ConfigArgs {
    /// The file that is named, else the one that is found, else one that says nothing.
    ///
    /// # Errors
    /// Input, for a file that cannot be read or has mistakes.
    pub fn read(&self) -> Result<Config> {
        if self.no_config {
            return Ok(Config::default());
        }
        if let Some(path) = &self.config {
            return Config::read(path);
        }
        let Some(path) = found() else {
            return Ok(Config::default());
        };
        tell(&path);
        Config::read(&path)
    }
}

/// The places where a file is looked for, the first one first.
pub fn places() -> Vec<PathBuf> {
    let own = etcetera::choose_base_strategy().map(|folders| folders.config_dir().join(FOLDER).join(NAME));
    [Path::new(".").join(NAME)].into_iter().chain(own).collect()
}

/// The first place that holds a file.
pub fn found() -> Option<PathBuf> {
    places().into_iter().find(|path| path.is_file())
}

/// Settings that nobody named on the command line must not be a surprise: an event where those are shown, else a line, and nothing
/// with `-q`, which leaves no warnings enabled either.
fn tell(path: &Path) {
    let path = path.display();
    if tracing::enabled!(tracing::Level::INFO) {
        tracing::info!("settings from {path}");
    } else if tracing::enabled!(tracing::Level::WARN) {
        out::tell(&format!("settings from {path}\n"));
    }
}
