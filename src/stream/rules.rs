//! Columns that a table is made without, and columns that stand in it as hashes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::path::EXTRA;
use super::{Column, ColumnType, KeyedHash, Stream, Treatment};
use crate::error::{Error, Result};

/// What is left out of a table, and what stands in it as a keyed hash only. Rows are treated when they are read, so a table is
/// treated in one way from its first row on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRules {
    /// The paths that are left out, sorted.
    pub exclude: Vec<String>,
    /// The paths that are hashed, sorted.
    pub hash: Vec<String>,
    /// Tells two keys of the hash apart without giving either away; none when nothing is hashed.
    pub key: Option<String>,
}

impl ColumnRules {
    /// Whether every value is stored as served.
    pub fn is_none(&self) -> bool {
        self.exclude.is_empty() && self.hash.is_empty()
    }
}

impl Stream {
    /// The stream as its table is made under `rules`: without the columns that are left out, and with a note on every value of a row
    /// that must not be stored as served.
    ///
    /// # Errors
    /// Input, for a path that leads nowhere or to what cannot be left out or hashed; Internal, when something is to be hashed without `hash`.
    pub fn under(&self, rules: &ColumnRules, hash: Option<&KeyedHash>) -> Result<Self> {
        let mut stream = self.without(&rules.exclude)?;
        for path in &rules.exclude {
            self.treat(&mut stream, path, &Treatment::Drop)?;
        }
        for path in &rules.hash {
            self.check_hashed(path)?;
            if let Some(excluded) = rules
                .exclude
                .iter()
                .find(|other| encloses(other, path) || (encloses(path, other) && path != EXTRA))
            {
                return Err(Error::input(format!(
                    "{path:?} of {} cannot be hashed while {excluded:?} is left out; name what is left of it, or one of the two",
                    self.stream
                )));
            }
            let hash = hash.ok_or_else(|| Error::internal("there is no key to hash columns with"))?;
            self.treat(&mut stream, path, &Treatment::Hash(hash.clone()))?;
        }
        stream.kept = match hash.filter(|_| rules.hash.iter().any(|path| path == EXTRA)) {
            Some(hash) => stream.row.or_hash(hash),
            None => stream.row.clone(),
        };
        stream.drops_extra = rules.exclude.iter().any(|path| path == EXTRA);
        stream.rules = rules.clone();
        Ok(stream)
    }

    /// The stream as the table of `rules` has it: enough to read the table, not to write it.
    ///
    /// # Errors
    /// Input, for a path that leads nowhere or to what cannot be left out.
    pub fn read_under(&self, rules: &ColumnRules) -> Result<Self> {
        let stream = self.without(&rules.exclude)?;
        Ok(Self {
            rules: rules.clone(),
            ..stream
        })
    }

    /// The stream without the columns of `exclude`. A path into `_extra` takes no column away, whatever has got a column since.
    ///
    /// # Errors
    /// Input, for a path that leads nowhere or to what cannot be left out.
    fn without(&self, exclude: &[String]) -> Result<Self> {
        let mut stream = self.clone();
        let columns = exclude.iter().filter(|path| path.split('.').next() != Some(EXTRA));
        for path in columns {
            self.check_excluded(path)?;
            if !self.target(path)?.is_inside_json {
                remove(&mut stream.columns, &path.split('.').collect::<Vec<_>>());
            }
        }
        Ok(stream)
    }

    /// Whether rows are stored as they are served.
    pub fn is_as_served(&self) -> bool {
        self.kept.is_none() && !self.drops_extra
    }

    /// A digest of `bytes` that gives nothing away, as far as there is a key.
    pub fn digest(&self, bytes: &[u8]) -> String {
        match self.kept.key() {
            Some(hash) => hash.of_bytes(bytes),
            None => Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// The columns that hold whom a row is about, such as e-mail addresses, and that `rules` let through as served; as paths.
    pub fn personal(&self, rules: &ColumnRules) -> Vec<String> {
        let ruled = |path: &String| {
            let mut paths = rules.exclude.iter().chain(&rules.hash);
            paths.any(|rule| encloses(rule, path))
        };
        let mut found = Vec::new();
        for column in &self.columns {
            let own = column.personal.then(|| column.name.clone());
            let fields = column.fields.iter().filter(|field| field.personal);
            found.extend(
                own.into_iter()
                    .chain(fields.map(|field| format!("{}.{}", column.name, field.name))),
            );
        }
        found.retain(|path| !ruled(path));
        found
    }

    fn treat(&self, stream: &mut Self, path: &str, treatment: &Treatment) -> Result<()> {
        for served in self.target(path)?.served {
            stream.row.set(&served, treatment);
        }
        Ok(())
    }

    fn check_excluded(&self, path: &str) -> Result<()> {
        let target = self.target(path)?;
        let Some(column) = target.columns.first().filter(|_| !target.is_inside_json) else {
            return Ok(());
        };
        let needed = column.name == self.key || self.order.contains(&column.name) || column.context.is_some();
        if needed && target.columns.len() == 1 {
            return Err(Error::input(format!(
                "{path:?} of {} cannot be left out: rows are told apart, sorted or counted by it",
                self.stream
            )));
        }
        Ok(())
    }

    fn check_hashed(&self, path: &str) -> Result<()> {
        let target = self.target(path)?;
        let Some(column) = target.columns.last().filter(|_| !target.is_inside_json) else {
            return Ok(());
        };
        let fault = match column.kind {
            ColumnType::Text if column.context.is_some() => Some("it comes from the request, not from the row"),
            ColumnType::Text | ColumnType::Json | ColumnType::Extra => None,
            ColumnType::Struct if column.fields.iter().all(|field| field.kind == ColumnType::Text) => None,
            ColumnType::Struct => Some("not all of its fields are text; name those that are"),
            ColumnType::Integer | ColumnType::Boolean | ColumnType::Time | ColumnType::Integers => {
                Some("a hash is text, and it is not; leave it out instead")
            }
        };
        fault.map_or(Ok(()), |fault| {
            Err(Error::input(format!(
                "{path:?} of {} cannot be hashed: {fault}",
                self.stream
            )))
        })
    }
}

/// Takes a column away, or a field of a struct; a struct without fields goes with its last one.
fn remove(columns: &mut Vec<Column>, path: &[&str]) {
    let [name, rest @ ..] = path else { return };
    if !rest.is_empty() {
        for column in columns.iter_mut().filter(|column| column.name == *name) {
            remove(&mut column.fields, rest);
        }
    }
    columns.retain(|column| column.name != *name || !(rest.is_empty() || column.fields.is_empty()));
}

/// Whether `path` is `whole`, or inside of it.
fn encloses(whole: &str, path: &str) -> bool {
    path.strip_prefix(whole)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Catalog;

    fn details() -> std::sync::Arc<Stream> {
        Catalog::load().unwrap().get("transactional_message_details").unwrap()
    }

    fn rules(exclude: &[&str], hash: &[&str]) -> ColumnRules {
        let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        ColumnRules {
            exclude: owned(exclude),
            hash: owned(hash),
            key: None,
        }
    }

    fn fault(exclude: &[&str], hash: &[&str]) -> String {
        let key = KeyedHash::new("k").unwrap();
        details()
            .under(&rules(exclude, hash), Some(&key))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_column_that_is_left_out_is_gone_under_every_name() {
        let stream = details()
            .under(&rules(&["subject", "identifiers.email"], &[]), None)
            .unwrap();
        assert!(stream.column("subject").is_none());
        let fields: Vec<&str> = stream
            .column("identifiers")
            .unwrap()
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        assert_eq!(fields, ["id", "cio_id"]);
        for name in ["identifiers", "customer_identifiers"] {
            assert!(
                matches!(stream.row.of(name).unwrap().of("email"), Some(Treatment::Drop)),
                "{name}"
            );
        }
        assert_ne!(stream.fingerprint(), details().fingerprint());
        let gone = details()
            .without(&["identifiers.email", "identifiers.id", "identifiers.cio_id"].map(str::to_owned))
            .unwrap();
        assert!(gone.column("identifiers").is_none());
    }

    #[test]
    fn a_hashed_column_keeps_its_place() {
        let key = KeyedHash::new("k").unwrap();
        let hash = [
            "recipient",
            "identifiers",
            "tracked_responses.answers.text",
            "_extra.phone",
            "_extra.identifiers.phone",
        ];
        let stream = details().under(&rules(&[], &hash), Some(&key)).unwrap();
        assert_eq!(stream.fingerprint(), details().fingerprint());
        let at = |path: &[&str]| {
            let mut found = Some(&stream.row);
            for name in path {
                found = found.and_then(|treatment| treatment.of(name));
            }
            matches!(found, Some(Treatment::Hash(_)))
        };
        assert!(at(&["recipient"]) && at(&["customer_identifiers", "email"]) && at(&["identifiers", "phone"]));
        assert!(at(&["tracked_responses", "answers", "text"]) && at(&["phone"]));
        assert!(!at(&["subject"]) && !at(&["tracked_responses"]));
    }

    #[test]
    fn what_cannot_be_treated_is_refused_by_name() {
        assert!(fault(&["id"], &[]).contains("cannot be left out"));
        assert!(fault(&["created"], &[]).contains("cannot be left out"));
        assert!(fault(&["transactional_id"], &[]).contains("cannot be left out"));
        assert!(fault(&[], &["created"]).contains("leave it out instead"));
        assert!(fault(&[], &["metrics"]).contains("not all of its fields are text"));
        assert!(fault(&["identifiers"], &["identifiers.email"]).contains("one of the two"));
        assert!(fault(&["identifiers.email"], &["identifiers"]).contains("one of the two"));
        assert!(fault(&["subjct"], &[]).contains("did you mean \"subject\"?"));
        assert!(fault(&["zip"], &[]).contains("\"_extra.NAME\""));
        assert!(fault(&["subject.x"], &[]).contains("no column"));
        assert!(fault(&["_extra.recipient"], &[]).contains("write \"recipient\""));
        assert!(fault(&["_extra."], &[]).contains("no column"));
        assert!(fault(&[""], &[]).contains("no column"));
    }

    #[test]
    fn personal_columns_are_told_until_a_rule_covers_them() {
        assert_eq!(details().personal(&rules(&[], &[])), ["identifiers.email", "recipient"]);
        assert_eq!(details().personal(&rules(&["identifiers"], &[])), ["recipient"]);
        assert!(
            details()
                .personal(&rules(&[], &["recipient", "identifiers.email"]))
                .is_empty()
        );
    }
}
