//! From what was typed, set and written down to settings that a run can rely on: flag, then environment, then file, then default.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::args::ExportArgs;
use super::parse;
use super::place;
use super::what::What;
use crate::error::{Error, Result};
use crate::plan::Trigger;
use crate::run::{Budget, RunSettings};
use crate::source::SourceSettings;
use crate::storage::{Destination, Owner, RunId};

/// How long one request may go without progress.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// How long a claim stands without being renewed.
pub(super) const LEASE: Duration = Duration::from_secs(600);

/// How often a scan commits at least.
pub(super) const COMMIT_EVERY: Duration = Duration::from_secs(60);

/// Holds the key of the hashes of `columns.hash`.
pub(super) const HASH_KEY: &str = "CIO_HASH_KEY";

/// The wall clock of `schedule`, where a test does not wait for the real one.
pub(super) const CLOCK: &str = "CIO2PARQUET_SCHEDULE_CLOCK";

/// What only tests change, mostly in seconds; `CONTRIBUTING.md` tells what each does.
const FOR_TESTS: [&str; 5] = [
    "CIO2PARQUET_COMMIT_SECONDS",
    "CIO2PARQUET_LEASE_SECONDS",
    "CIO2PARQUET_ONE_PUT_BYTES",
    "CIO2PARQUET_PATIENCE_SECONDS",
    CLOCK,
];

/// What the environment says; read once.
#[derive(Default, Clone)]
pub struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    /// The values are not printed: keys are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The process's own; empty values count as unset.
    ///
    /// # Errors
    /// Input, naming a variable that holds no text.
    pub fn read() -> Result<Self> {
        let mut read = BTreeMap::new();
        for name in ["CIO_TOKEN", "CIO_REGION", "CIO_API_URL", HASH_KEY]
            .into_iter()
            .chain(FOR_TESTS)
        {
            let value = std::env::var_os(name).unwrap_or_default().into_string();
            // The value may be a key, so it is not told.
            let value =
                value.map_err(|_| Error::input(format!("{name} holds bytes that are no UTF-8 text; set it anew")))?;
            if !value.trim().is_empty() {
                read.insert(name.to_owned(), value);
            }
        }
        Ok(Self(read))
    }

    /// The same, with `value` where `name` is not set.
    pub(super) fn or(mut self, name: &str, value: &str) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn seconds(&self, name: &str, default: Duration) -> Result<Duration> {
        let seconds = self.number(name, "seconds")?;
        Ok(seconds.map_or(default, Duration::from_secs))
    }

    fn bytes(&self, name: &str) -> Result<Option<u64>> {
        self.number(name, "bytes")
    }

    fn number(&self, name: &str, of: &str) -> Result<Option<u64>> {
        let number = self.get(name).map(|text| {
            let number = text.parse::<u64>();
            number.map_err(|e| Error::input(format!("{name} is {text:?}, not a number of {of}")).caused_by(e))
        });
        number.transpose()
    }
}

/// Everything that `export` needs.
#[derive(Debug)]
pub struct Settings {
    /// For the engine.
    pub run: RunSettings,
    /// For the HTTP side.
    pub source: SourceSettings,
    /// The lake.
    pub destination: Destination,
    /// When incremental runs are to be full-table runs instead.
    pub full_sync: Option<Trigger>,
    /// When to stop by itself.
    pub max_duration: Option<Duration>,
}

impl Settings {
    /// Validates everything that can be validated without asking anybody.
    ///
    /// # Errors
    /// Input, naming the flag, variable or file and the remedy.
    pub fn resolve(args: &ExportArgs, environment: &Environment, run: RunId, clock: Timestamp) -> Result<Self> {
        let what = What::resolve(&args.what, environment, clock)?;
        let memory = parse::size("--memory", &args.tune.memory, Budget::LEAST)?;
        Ok(Self {
            run: RunSettings {
                run,
                owner: Owner::current(),
                now: what.now,
                jobs: what.jobs,
                concurrency: parse::count("--concurrency", &args.tune.concurrency, 1, 256)?,
                memory,
                temp_dir: args.tune.temp_dir.clone(),
                take_over: args.take_over,
                new_table: args.new_table,
                allow_shrink: args.allow_shrink,
                whole_range: args.what.until.is_none() && args.what.since.is_none(),
                description: what.config.description.as_deref().map(str::to_owned),
                commit_every: environment.seconds("CIO2PARQUET_COMMIT_SECONDS", COMMIT_EVERY)?,
                lease: environment.seconds("CIO2PARQUET_LEASE_SECONDS", LEASE)?,
            },
            destination: Destination {
                memory: place::for_uploads(memory),
                one_put: environment.bytes("CIO2PARQUET_ONE_PUT_BYTES")?,
                temp_dir: args.tune.temp_dir.clone(),
                patience: what.source.patience,
                ..what.destination
            },
            source: what.source,
            full_sync: what.full_sync,
            max_duration: args
                .tune
                .max_duration
                .as_deref()
                .map(|text| parse::longer_than_nothing("--max-duration", text))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_the_environment_is_printed() {
        let environment = Environment::default().or(HASH_KEY, "geheim");
        assert_eq!(format!("{environment:?}"), "{\"CIO_HASH_KEY\"}");
    }
}
