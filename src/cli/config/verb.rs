//! `config`: one verb for each thing that is done with a config file.

use clap::Subcommand;

use super::check::{self, CheckArgs};
use super::init::{self, InitArgs};
use super::schema;
use crate::cli::out;
use crate::error::Result;

/// What is done with a config file.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// What a config file makes of the next runs; sends no request and opens no store
    Check(CheckArgs),
    /// Write a config file in which every key is explained
    Init(InitArgs),
    /// Print the JSON Schema of the config file, for editors
    Schema,
}

/// Does it.
///
/// # Errors
/// Input, for a file that has mistakes, is not there, or is there already.
pub fn run(verb: &ConfigVerb) -> Result<u8> {
    match verb {
        ConfigVerb::Check(args) => check::run(args),
        ConfigVerb::Init(args) => init::run(args),
        ConfigVerb::Schema => out::print(&schema::text()?).map(|()| 0),
    }
}
