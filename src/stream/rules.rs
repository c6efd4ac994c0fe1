//! Columns that a table is made without, and columns that stand in it as hashes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Column, ColumnType, KeyedHash, Stream, Treatment};
use crate::error::{Error, Result};

/// The column that holds what no other could.
const EXTRA: &str = "_extra";

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

/// What a path of a rule leads to.
struct Target<'a> {
    /// The columns on the way, the outermost first; empty for what has no column of its own.
    columns: Vec<&'a Column>,
    /// The names under which it may be served, from the row on.
    served: Vec<Vec<&'a str>>,
    /// Names that are no columns follow: of JSON text, or in `_extra`.
    is_inside_json: bool,
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
                .find(|other| encloses(other, path) || encloses(path, other))
            {
                return Err(Error::input(format!(
                    "{path:?} of {} cannot be hashed while {excluded:?} is left out; name what is left of it, or one of the two",
                    self.stream
                )));
            }
            let hash = hash.ok_or_else(|| Error::internal("there is no key to hash columns with"))?;
            self.treat(&mut stream, path, &Treatment::Hash(hash.clone()))?;
        }
        Ok(stream)
    }

    /// The stream with the columns of its table when `exclude` was left out: enough to read the table, not to write it.
    ///
    /// # Errors
    /// Input, for a path that leads nowhere or to what cannot be left out.
    pub fn without(&self, exclude: &[String]) -> Result<Self> {
        let mut stream = self.clone();
        for path in exclude {
            self.check_excluded(path)?;
            let target = self.target(path)?;
            if !target.is_inside_json && path != EXTRA {
                remove(&mut stream.columns, &path.split('.').collect::<Vec<_>>());
            }
        }
        Ok(stream)
    }

    /// Whether rows are stored as they are served.
    pub fn is_as_served(&self) -> bool {
        self.row.is_none() && self.extra.is_none()
    }

    /// A digest of `bytes` that gives nothing away, as far as there is a key.
    pub fn digest(&self, bytes: &[u8]) -> String {
        match self.row.key().or(self.extra.key()) {
            Some(hash) => hash.of_bytes(bytes),
            None => Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Whether `path` leads to a column of this stream, or into one.
    pub fn has_path(&self, path: &str) -> bool {
        self.target(path).is_ok()
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
        if path == EXTRA {
            stream.extra = treatment.clone();
            return Ok(());
        }
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

    fn target<'a>(&'a self, path: &'a str) -> Result<Target<'a>> {
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
        let name = path.trim_start_matches(EXTRA).trim_start_matches('.');
        Error::input(format!(
            "{path:?} of {} has a column of its own; write {name:?}, which holds for what does not fit into it too",
            self.stream
        ))
    }

    fn nowhere(&self, path: &str) -> Error {
        let known = self.paths();
        let nearest = known
            .iter()
            .map(|known| (strsim::jaro_winkler(known, path), known))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let remedy = match nearest {
            Some((_, known)) => format!("did you mean {known:?}?"),
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
