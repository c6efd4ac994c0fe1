//! `man`: the commands as manual pages, and as the page `docs/commands.md`.

mod markdown;

use std::fs;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::args::ManArgs;
use super::out;
use crate::error::{Error, Result};

/// Prints the main page, or writes all of them.
///
/// # Errors
/// Input, when the folder cannot be written.
pub fn run(args: &ManArgs, command: Command) -> Result<u8> {
    match &args.dir {
        Some(folder) => write(folder, command)?,
        None if args.markdown => out::print(&markdown::page(command))?,
        None => out::print(&page(command)?)?,
    }
    Ok(0)
}

fn page(command: Command) -> Result<String> {
    let mut page = Vec::new();
    let rendered = Man::new(command.disable_help_subcommand(true)).render(&mut page);
    rendered.map_err(|e| Error::internal("cannot render the manual page").caused_by(e))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write(folder: &Path, command: Command) -> Result<()> {
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|e| {
        Error::input(format!(
            "cannot write manual pages into {}; name another folder with --dir",
            folder.display()
        ))
        .caused_by(e)
    })
}
