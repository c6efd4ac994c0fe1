//! Whether a table is one for the rows that are to get into it; what is not is refused before anything is asked for.

use super::version::{Version, newest, tables};
use super::{ClaimOptions, TableState};
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::stream::ColumnRules;

/// The state of the table that `initial` would begin, for who only looks, or `None` when there is no such table; what would be in the
/// way of a claim of it is an error here too, but for another run.
///
/// # Errors
///
/// Input when the table holds another stream, or treats columns in another way; storage.
pub async fn claimable(storage: &Storage, initial: &TableState, options: ClaimOptions) -> Result<Option<TableState>> {
    let newest = newest(storage, &initial.table).await?;
    let Some(version) = newest.filter(|version| !begins_anew(&version.state, options)) else {
        refuse_neighbour(storage, initial, options).await?;
        return Ok(None);
    };
    refuse_other(&version.state, initial, options)?;
    Ok(Some(version.state))
}

/// Whether the name is free again, and to be used for another table.
pub(super) fn begins_anew(state: &TableState, options: ClaimOptions) -> bool {
    state.moved_to.is_some() && options.beside
}

/// Whatever the table holds that is not what `wanted` would begin.
pub(super) fn refuse_other(state: &TableState, wanted: &TableState, options: ClaimOptions) -> Result<()> {
    refuse_moving(state, options)?;
    refuse_mixture(state, wanted)?;
    let (table, stored, wanted_stream) = (&state.table, &state.stream, &wanted.stream);
    if stored != wanted_stream {
        return Err(Error::input(format!(
            "table {table} holds the stream {stored}, not {wanted_stream}: give {wanted_stream} another table or choose another place with --to"
        )));
    }
    let (is, wanted) = (&state.columns, &wanted.columns);
    if is == wanted {
        return Ok(());
    }
    let begun = format!("table {table} was begun with");
    let remedy = "rows that are stored are not treated anew; say the same again, or begin another table with --new-table and --table, or with --prefix";
    Err(Error::input(
        if (&is.exclude, &is.hash) == (&wanted.exclude, &wanted.hash) {
            format!(
                "{begun} another CIO_HASH_KEY, under which the same text has another hash: set the same key again, or begin another table with --new-table and --table, or with --prefix"
            )
        } else if is.is_none() {
            format!("{begun} all columns as they are served, and now some are to be left out or hashed: {remedy}")
        } else {
            format!("{begun} {}, not with {}: {remedy}", told(is), told(wanted))
        },
    ))
}

/// The description of every table that `demo` has made.
pub const SIMULATED: &str = "The simulated workspace of `cio2parquet demo`";

/// Simulated rows do not go among real ones, nor real ones among simulated.
fn refuse_mixture(state: &TableState, wanted: &TableState) -> Result<()> {
    let is_simulated = |state: &TableState| state.description.as_deref() == Some(SIMULATED);
    let table = &state.table;
    match (is_simulated(state), is_simulated(wanted)) {
        (true, false) => Err(Error::input(format!(
            "table {table} holds the simulated workspace of `cio2parquet demo`: choose another place with --to, or take that lake away"
        ))),
        (false, true) => Err(Error::input(format!(
            "table {table} holds a real workspace, which the simulated one must not be mixed with: choose another place with --to"
        ))),
        _ => Ok(()),
    }
}

/// A table of which a part is elsewhere, or all of it.
fn refuse_moving(state: &TableState, options: ClaimOptions) -> Result<()> {
    let table = &state.table;
    if let Some(to) = &state.moved_to {
        return Err(Error::input(format!(
            "table {table} was renamed to {to}: export it under that name, or begin another {table} with --new-table"
        )));
    }
    let (from, to) = match (&state.moving_from, &state.moving_to) {
        (Some(from), _) => (from, table),
        (None, Some(to)) => (table, to),
        (None, None) => return Ok(()),
    };
    if options.moving {
        return Ok(());
    }
    Err(Error::input(format!(
        "table {from} is being renamed to {to}, and that has not finished: give `cio2parquet rename {from} {to}` again"
    )))
}

/// Rules as they stand in a config file.
fn told(rules: &ColumnRules) -> String {
    format!(
        "columns.exclude = {:?} and columns.hash = {:?}",
        rules.exclude, rules.hash
    )
}

/// What of the lake's other tables is in the way of a new one.
pub(super) async fn refuse_neighbour(storage: &Storage, initial: &TableState, options: ClaimOptions) -> Result<()> {
    let known = tables(storage).await?;
    refuse_twin(&known, &initial.table)?;
    if options.beside {
        return Ok(());
    }
    for name in &known {
        let Some(Version { state, .. }) = newest(storage, name).await? else {
            continue;
        };
        // Another prefix is another workspace.
        if state.stream == initial.stream
            && state.moved_to.is_none()
            && state.prefix.is_some()
            && state.prefix == initial.prefix
        {
            return Err(Error::input(format!(
                "the stream {} is in the table {name} of this lake, not in {}: call it {name} again, give the table its new name with \
                 `cio2parquet rename {name} {}`, or begin a second one with --new-table",
                state.stream, initial.table, initial.table
            )));
        }
    }
    Ok(())
}

/// A new table whose name differs from another's in capitals only: engines, and some file systems, take the two for one.
fn refuse_twin(known: &[String], table: &str) -> Result<()> {
    let twin = known
        .iter()
        .find(|known| *known != table && known.eq_ignore_ascii_case(table));
    twin.map_or(Ok(()), |twin| {
        Err(Error::input(format!(
            "the lake holds a table {twin}, which many engines do not tell from {table}: write {twin}, or give it another name"
        )))
    })
}
