//! `config check`: what a config file makes of the next runs.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use jiff::Timestamp;

use super::explain::Explanation;
use super::file::Config;
use super::find;
use crate::cli::{out, parse};
use crate::error::{Error, Result};

/// `config check`.
#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// The config file [default: the one that a command would go by]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The idea of now, for tests
    #[arg(long, value_name = "INSTANT")]
    pub now: Option<String>,
}

/// Prints what will run, and when.
///
/// # Errors
/// Input, with the place of each mistake, or when there is no file.
pub fn run(args: &CheckArgs) -> Result<u8> {
    let clock = Timestamp::now();
    let now = args.now.as_deref().map(|text| parse::instant("--now", text, clock));
    let path = args.config.clone().or_else(find::found).ok_or_else(nowhere)?;
    let explanation = Explanation::of(&Config::read(&path)?, now.transpose()?.unwrap_or(clock))?;
    if args.json {
        let text = serde_json::to_string_pretty(&explanation);
        out::line(&text.map_err(|e| Error::internal("cannot write JSON").caused_by(e))?)?;
    } else {
        out::print(&explanation.text())?;
    }
    Ok(0)
}

fn nowhere() -> Error {
    let places: Vec<String> = find::places().iter().map(|place| place.display().to_string()).collect();
    Error::input(format!(
        "there is no config file; it was looked for at {}: name one with --config, or write one with `cio2parquet config init`",
        places.join(" and ")
    ))
}
