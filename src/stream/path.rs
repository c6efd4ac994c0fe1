//! Paths of columns, as rules name them: `recipient`, `identifiers.email`, into JSON text `data.address`, and `_extra.phone` for what has no column.

use super::{Column, ColumnType, Stream};
use crate::error::{Error, Result, nearest};

/// The column that holds what no other could.
pub(super) const EXTRA: &str = "_extra";

/// What a path leads to.
pub(super) struct Target<'a> {
    /// The columns on the way, the outermost first; empty for what has no column of its own.
    pub(super) columns: Vec<&'a Column>,
    /// The names under which it may be served, from the row on.
    pub(super) served: Vec<Vec<&'a str>>,
    /// Names that are no columns follow: of JSON text, or in `_extra`.
    pub(super) is_inside_json: bool,
}

impl Stream {
    /// Whether `path` leads to a column of this stream, or into one.
    pub fn has_path(&self, path: &str) -> bool {
        self.target(path).is_ok()
    }

    /// Follows `path`.
    ///
    /// # Errors
    /// Input, with the nearest path that leads somewhere.
    pub(super) fn target<'a>(&'a self, path: &'a str) -> Result<Target<'a>> {
        let names: Vec<&str> = path.split('.').collect();
        let nowhere = || self.nowhere(path);
        let (first, rest) = names.split_first().ok_or_else(nowhere)?;
        if names.iter().any(|name| name.is_empty()) {
            return Err(nowhere());
        }
        let column = self.column(first).ok_or_else(nowhere)?;
        match (column.kind, rest) {
            (ColumnType::Extra, []) => Ok(Target::of(&[column], Vec::new(), false)),
            (ColumnType::Extra, rest) => self.target_in_extra(rest).ok_or_else(|| self.has_column(path)),
            (_, []) => Ok(Target::of(&[column], served(&[column], &[]), false)),
            (ColumnType::Json, rest) => Ok(Target::of(&[column], served(&[column], rest), true)),
            (ColumnType::Struct, [name, rest @ ..]) => {
                let field = column
                    .fields
                    .iter()
                    .find(|field| field.name == *name)
                    .ok_or_else(nowhere)?;
                let is_inside_json = match (field.kind, rest) {
                    (_, []) => false,
                    (ColumnType::Json, _) => true,
                    _ => return Err(nowhere()),
                };
                let columns = [column, field];
                Ok(Target::of(&columns, served(&columns, rest), is_inside_json))
            }
            _ => Err(nowhere()),
        }
    }

    /// What `_extra` mirrors: fields that the schema does not know, of the row or of a struct; `None` for what has a column.
    fn target_in_extra<'a>(&'a self, names: &[&'a str]) -> Option<Target<'a>> {
        let (first, rest) = names.split_first()?;
        let of_row = self.columns.iter().find(|column| column.goes_by(first));
        let served = match (of_row, rest) {
            (None, rest) => vec![[&[*first], rest].concat()],
            (Some(column), [name, rest @ ..]) if column.kind == ColumnType::Struct => {
                if column.fields.iter().any(|field| field.goes_by(name)) {
                    return None;
                }
                served(&[column], &[&[*name], rest].concat())
            }
            (Some(_), _) => return None,
        };
        Some(Target::of(&[], served, true))
    }

    fn has_column(&self, path: &str) -> Error {
        let name = path.split('.').nth(1).unwrap_or_default();
        Error::input(format!(
            "{path:?} of {} has a column of its own; write {name:?}, which holds for what does not fit into it too",
            self.stream
        ))
    }

    fn nowhere(&self, path: &str) -> Error {
        let remedy = match nearest(path, self.paths()) {
            Some(known) => format!("did you mean {known:?}?"),
            None => format!(
                "`cio2parquet streams {}` shows its columns; what has none is written \"_extra.NAME\"",
                self.stream
            ),
        };
        Error::input(format!("{} has no column {path:?}; {remedy}", self.stream))
    }

    /// Every column, and every field of a struct, as a path.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for column in &self.columns {
            paths.push(column.name.clone());
            paths.extend(
                column
                    .fields
                    .iter()
                    .map(|field| format!("{}.{}", column.name, field.name)),
            );
        }
        paths
    }
}

impl<'a> Target<'a> {
    fn of(columns: &[&'a Column], served: Vec<Vec<&'a str>>, is_inside_json: bool) -> Self {
        Self {
            columns: columns.to_vec(),
            served,
            is_inside_json,
        }
    }
}

/// Every way in which the value of the last of `columns`, and `rest` in it, may be served.
fn served<'a>(columns: &[&'a Column], rest: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut ways: Vec<Vec<&str>> = vec![Vec::new()];
    for column in columns {
        let names: Vec<&str> = column.json_names().collect();
        let longer = ways
            .iter()
            .flat_map(|way| names.iter().map(|name| [way.as_slice(), &[*name]].concat()));
        ways = longer.collect();
    }
    for way in &mut ways {
        way.extend(rest);
    }
    ways
}
