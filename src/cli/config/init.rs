//! `config init`: a file in which every key is explained.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::find;
use super::schema;
use crate::cli::out;
use crate::error::{Error, Result};

/// All of the file but the line for editors. A commented example has no space before its key.
const BODY: &str = include_str!("init.toml");

/// `config init`.
#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// Where the file goes [default: ./cio2parquet.toml]
    pub file: Option<PathBuf>,
}

/// Writes the file and says what comes next.
///
/// # Errors
/// Input, when there is a file already, or none can be written there.
pub fn run(args: &InitArgs) -> Result<u8> {
    let usual = Path::new(".").join(find::NAME);
    let path = args.file.as_ref().unwrap_or(&usual);
    write(path)?;
    let named = match args.file {
        Some(_) => format!(" --config {}", path.display()),
        None => String::new(),
    };
    out::line(&format!("wrote {}; edit it, then", path.display()))?;
    out::line(&format!(
        "  cio2parquet config check{named}   # what it makes of the next runs"
    ))?;
    out::line(&format!(
        "  CIO_TOKEN=... cio2parquet check{named}   # whether key and lake do"
    ))?;
    Ok(0)
}

fn write(path: &Path) -> Result<()> {
    let shown = path.display();
    let written = File::create_new(path).and_then(|mut file| file.write_all(text().as_bytes()));
    written.map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => Error::input(format!(
            "{shown} is there already, and is left as it is; name another file, or move that one away"
        )),
        _ => Error::input(format!(
            "cannot write {shown}; name a file in a folder that you may write to"
        ))
        .caused_by(cause),
    })
}

fn text() -> String {
    schema::directive() + BODY
}
