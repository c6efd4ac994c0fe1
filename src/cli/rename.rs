//! `rename`: a table of the lake gets another name.

use super::args::RenameArgs;
use super::settings::{Environment, LEASE};
use super::span::counted;
use super::{logging, out};
use crate::error::{Error, Result};
use crate::manifest::ClaimOptions;
use crate::run::{RenameSettings, rename};
use crate::storage::{Owner, RunId, layout};

/// Renames and says what to change in the config file.
///
/// # Errors
/// Input, when there is nothing of the old name or something of the new one; Held; Storage.
pub async fn run(args: RenameArgs) -> Result<u8> {
    let (from, to) = (&args.table, &args.name);
    for name in [from, to] {
        layout::validate_table_name(name)?;
    }
    if from == to {
        return Err(Error::input(format!(
            "{from} is the table's name already; give another one"
        )));
    }
    if from.eq_ignore_ascii_case(to) {
        return Err(Error::input(format!(
            "{from} and {to} are one name to many engines and file systems; go by a third one"
        )));
    }
    let settings = RenameSettings {
        run: uuid::Uuid::now_v7().to_string().parse::<RunId>()?,
        owner: Owner::current(),
        claiming: ClaimOptions {
            take_over: args.take_over,
            lease: Environment::read()?.seconds("CIO2PARQUET_LEASE_SECONDS", LEASE)?,
            ..ClaimOptions::default()
        },
    };
    let _of_run = logging::of_run(&settings.run);
    let storage = args.place.open().await?;
    let renamed = rename(&storage, from, to, &settings).await?;
    out::print(&format!(
        "{from} is {to} now: {}, {}\n\
         export it under this name from now on: `table` of [streams.{}] in a config file, or --table {}=NAME,\n\
         where NAME is what comes after the prefix\n",
        counted(renamed.partitions as u64, "partition"),
        counted(renamed.rows, "row"),
        renamed.stream,
        renamed.stream
    ))?;
    Ok(0)
}
