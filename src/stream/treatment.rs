//! What becomes of the values of a row on their way into a table, by the names under which they are served.

use std::collections::BTreeMap;

use super::KeyedHash;

/// What becomes of one value.
#[derive(Debug, Clone)]
pub enum Treatment {
    /// It is stored as served, but for the fields that are named here, where it is an object. A list is as its elements.
    Keep(BTreeMap<String, Treatment>),
    /// It is left out.
    Drop,
    /// Every text and number in it becomes its hash; names, `true`, `false` and null stay.
    Hash(KeyedHash),
}

impl Default for Treatment {
    fn default() -> Self {
        Self::Keep(BTreeMap::new())
    }
}

impl Treatment {
    /// What becomes of the field `name`; `None` when it is stored as served.
    pub fn of(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Keep(fields) => fields.get(name),
            Self::Drop | Self::Hash(_) => Some(self),
        }
    }

    /// Whether everything is stored as served.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Keep(fields) if fields.is_empty())
    }

    /// The key of the first hash in it; all of a table's are of one key.
    pub(super) fn key(&self) -> Option<&KeyedHash> {
        match self {
            Self::Keep(fields) => fields.values().find_map(Self::key),
            Self::Drop => None,
            Self::Hash(hash) => Some(hash),
        }
    }

    /// Puts `treatment` at the end of `path`. What encloses it already wins; what it encloses gives way.
    pub(super) fn set(&mut self, path: &[&str], treatment: &Self) {
        match (self, path) {
            (Self::Keep(fields), [name, rest @ ..]) => {
                fields.entry((*name).to_owned()).or_default().set(rest, treatment);
            }
            (Self::Drop | Self::Hash(_), [_, ..]) => {}
            (whole, []) => *whole = treatment.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_treatment_reaches_what_it_encloses() {
        let hash = Treatment::Hash(KeyedHash::new("k").unwrap());
        let mut row = Treatment::default();
        assert!(row.is_none());
        row.set(&["who", "email"], &Treatment::Drop);
        row.set(&["who", "email", "deep"], &hash);
        row.set(&["name"], &hash);
        assert!(matches!(row.of("who").unwrap().of("email"), Some(Treatment::Drop)));
        assert!(row.of("who").unwrap().of("id").is_none());
        assert!(matches!(row.of("name").unwrap().of("any"), Some(Treatment::Hash(_))));
        row.set(&["who"], &hash);
        assert!(matches!(row.of("who").unwrap().of("email"), Some(Treatment::Hash(_))));
        assert!(row.of("other").is_none() && !row.is_none());
    }
}
