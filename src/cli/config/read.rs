//! From text to settings, or to everything that is wrong with it.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::file::Config;
use super::mistake::{Mistake, Written};
use super::{schema, shape, values};
use crate::error::{Error, Result};

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Input, with the place of each mistake and its remedy.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|e| Error::input(format!("cannot read the config file {name}")).caused_by(e))?;
        Self::parse(&text, &name)
    }

    /// Reads `text`, which stands in the file `name`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let written = Written::new(name, text);
        let told = |mistakes: Vec<Mistake>| written.error(mistakes).map_or(Ok(()), Err);
        let mut table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(fault) => return Err(syntax(&written, &fault)),
        };
        let mut mistakes = shape::fit(table.get_mut(), &schema::schema()?);
        let config = fitting(table).map_err(|fault| syntax(&written, &fault))?;
        mistakes.extend(values::mistakes(&config));
        told(mistakes)?;
        Ok(Self { written, ..config })
    }
}

fn fitting(table: Spanned<DeTable<'_>>) -> Result<Config, toml::de::Error> {
    Config::deserialize(Deserializer::from(table))
}

/// The library's own messages about syntax name what it expected; those about values would repeat them, and [`shape`] tells of these.
fn syntax(written: &Written, fault: &toml::de::Error) -> Error {
    let at = fault.span().unwrap_or(0..0);
    if written.is_in_bare_value(at.start) {
        return Error::input(format!("{}: this is no value; put text in quotes", written.place(at)));
    }
    let what = fault.message().replace('\n', " ");
    Error::input(format!("{}: {what}", written.place(at)))
}
