//! What the config file says of columns: which are left out, which are hashed.

use std::collections::BTreeSet;
use std::sync::Arc;

use toml::Spanned;

use super::config::{ColumnsConfig, Config};
use super::settings::{Environment, HASH_KEY};
use crate::error::{Error, Result, nearest};
use crate::stream::{Catalog, ColumnRules, KeyedHash, Stream};

/// A key of fewer characters is found by trying.
const SHORT: usize = 16;

/// The rules of a config file, and the key of the hashes.
pub struct Rules<'a> {
    config: &'a Config,
    key: Option<KeyedHash>,
}

impl<'a> Rules<'a> {
    /// The rules of `config` for a run that exports `exported`; the key is in the environment.
    ///
    /// # Errors
    /// Input, when a path leads nowhere, or something is to be hashed and there is no key.
    pub fn new(config: &'a Config, environment: &Environment, exported: &[Arc<Stream>]) -> Result<Self> {
        lead_somewhere(config, &Catalog::load()?, exported)?;
        let hashes = |columns: &ColumnsConfig| !columns.hash.is_empty();
        let wanted = hashes(&config.columns) || config.streams.values().any(|said| hashes(&said.columns));
        let key = match environment.get(HASH_KEY).filter(|_| wanted) {
            Some(key) => Some(KeyedHash::new(key)?),
            None if wanted => {
                return Err(Error::input(format!(
                    "columns are to be hashed, and there is no key; set {HASH_KEY} to a long secret that never changes \
                     (`openssl rand -hex 32` makes one)"
                )));
            }
            None => None,
        };
        if environment
            .get(HASH_KEY)
            .is_some_and(|key| wanted && key.chars().count() < SHORT)
        {
            tracing::warn!(
                "{HASH_KEY} has fewer than {SHORT} characters; who tries keys may find it, `openssl rand -hex 32` makes a better one"
            );
        }
        Ok(Self { config, key })
    }

    /// `stream` under the rules that are for it.
    ///
    /// # Errors
    /// Input, for a column that it has not, or that cannot be left out or hashed.
    pub fn apply(&self, stream: &Arc<Stream>) -> Result<(Arc<Stream>, ColumnRules)> {
        let own = self.config.streams.get(&stream.stream).map(|said| &said.columns);
        let all = &self.config.columns;
        let rules = ColumnRules {
            exclude: paths(stream, &all.exclude, own.map(|own| &own.exclude)),
            hash: paths(stream, &all.hash, own.map(|own| &own.hash)),
            key: None,
        };
        self.warn_of_addresses(stream, &rules);
        if rules.is_none() {
            return Ok((Arc::clone(stream), rules));
        }
        let key = self.key.as_ref().filter(|_| !rules.hash.is_empty());
        let rules = ColumnRules {
            key: key.map(KeyedHash::fingerprint),
            ..rules
        };
        let treated = stream.under(&rules, key).map_err(|error| self.placed(error, own))?;
        Ok((Arc::new(treated), rules))
    }

    /// `error` at the place of the path that it names.
    fn placed(&self, error: Error, own: Option<&ColumnsConfig>) -> Error {
        let message = error.to_string();
        let named = own
            .into_iter()
            .chain([&self.config.columns])
            .flat_map(ColumnsConfig::paths);
        let mut named = named.filter(|path| message.contains(&format!("{:?}", path.get_ref())));
        match named.next() {
            Some(path) => self.config.fault(path.span(), &message),
            None => error,
        }
    }

    /// Who has rules wants a lake without addresses, most likely, and each stream has them under another name.
    fn warn_of_addresses(&self, stream: &Stream, rules: &ColumnRules) {
        let left = stream.personal(rules);
        let own = self.config.streams.values().map(|said| &said.columns);
        let any = own
            .chain([&self.config.columns])
            .any(|columns| columns.paths().next().is_some());
        if any && !left.is_empty() {
            let left = left.join(", ");
            tracing::warn!(
                "{} has addresses in {left}, which no rule of `columns` is about",
                stream.stream
            );
        }
    }
}

/// Those of the paths for `all` streams that this one has, and its `own`; sorted, each once.
fn paths(stream: &Stream, all: &[Spanned<String>], own: Option<&Vec<Spanned<String>>>) -> Vec<String> {
    let had = all.iter().filter(|path| stream.has_path(path.get_ref()));
    let paths: BTreeSet<&String> = had.chain(own.into_iter().flatten()).map(Spanned::get_ref).collect();
    paths.into_iter().cloned().collect()
}

/// Refuses a path that leads nowhere. It may be no path at all but the key of the hashes, so it is not repeated.
///
/// A column that only a list has which nobody asked for leads nowhere: `phone` is then meant for what `_extra.phone` says.
fn lead_somewhere(config: &Config, catalog: &Catalog, exported: &[Arc<Stream>]) -> Result<()> {
    let is_meant = |stream: &&Arc<Stream>| {
        let name = &stream.stream;
        stream.core || config.streams.contains_key(name) || exported.iter().any(|other| other.stream == *name)
    };
    let meant: Vec<Arc<Stream>> = catalog.streams().iter().filter(is_meant).cloned().collect();
    check_paths(config, &config.columns, &meant, |path| {
        let mut streams = catalog.streams().iter();
        match streams.find(|stream| stream.has_path(path)) {
            Some(other) => format!(
                "no stream that is exported has such a column, though {} has",
                other.stream
            ),
            None => "no stream has such a column".to_owned(),
        }
    })?;
    for (name, said) in &config.streams {
        let stream = [catalog.get(name)?];
        check_paths(config, &said.columns, &stream, |_| format!("{name} has no such column"))?;
    }
    Ok(())
}

fn check_paths(
    config: &Config,
    columns: &ColumnsConfig,
    streams: &[Arc<Stream>],
    what: impl Fn(&str) -> String,
) -> Result<()> {
    let lost = |path: &&Spanned<String>| !streams.iter().any(|stream| stream.has_path(path.get_ref()));
    let Some(lost) = columns.paths().find(lost) else {
        return Ok(());
    };
    let (what, remedy) = (what(lost.get_ref()), remedy(lost.get_ref(), streams));
    Err(config.fault(lost.span(), &format!("{what}; {remedy}")))
}

fn remedy(path: &str, streams: &[Arc<Stream>]) -> String {
    match nearest(path, streams.iter().flat_map(|stream| stream.paths())) {
        Some(known) => format!("did you mean {known:?}?"),
        None => {
            "`cio2parquet streams STREAM` shows the columns, and what has none is written \"_extra.NAME\"".to_owned()
        }
    }
}
