//! What becomes of the values of a row on their way into a table, by the names under which they are served.

use std::collections::BTreeMap;

use super::KeyedHash;

/// What becomes of one value.
#[derive(Debug, Clone)]
pub enum Treatment {
    /// It is stored as served, but for fields of it, where it is an object. A list is as its elements. Where something is to become of its
    /// fields, a text or a number in its place may be all of them at once, and is withheld.
    Fields {
        /// What becomes of the fields of these names.
        named: BTreeMap<String, Treatment>,
        /// What becomes of the others, and of texts and numbers.
        others: Option<Box<Treatment>>,
    },
    /// It is left out.
    Drop,
    /// Every text and number in it becomes its hash; names, `true`, `false` and null stay.
    Hash(KeyedHash),
}

impl Default for Treatment {
    fn default() -> Self {
        Self::Fields {
            named: BTreeMap::new(),
            others: None,
        }
    }
}

impl Treatment {
    /// What becomes of the field `name`; `None` when it is stored as served.
    pub fn of(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Fields { named, others } => named.get(name).or(others.as_deref()),
            Self::Drop | Self::Hash(_) => Some(self),
        }
    }

    /// Whether everything is stored as served.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Fields { named, others: None } if named.is_empty())
    }

    /// The key of the first hash in it; all of a table's are of one key.
    pub(super) fn key(&self) -> Option<&KeyedHash> {
        match self {
            Self::Fields { named, others } => named.values().chain(others.as_deref()).find_map(Self::key),
            Self::Drop => None,
            Self::Hash(hash) => Some(hash),
        }
    }

    /// Puts `treatment` at the end of `path`. What encloses it already wins; what it encloses gives way.
    pub(super) fn set(&mut self, path: &[&str], treatment: &Self) {
        match (self, path) {
            (Self::Fields { named, .. }, [name, rest @ ..]) => {
                named.entry((*name).to_owned()).or_default().set(rest, treatment);
            }
            (Self::Drop | Self::Hash(_), [_, ..]) => {}
            (whole, []) => *whole = treatment.clone(),
        }
    }

    /// The same, with everything hashed that would be stored as served.
    pub(super) fn or_hash(&self, hash: &KeyedHash) -> Self {
        match self {
            Self::Fields { named, .. } => {
                let named = named.iter();
                Self::Fields {
                    named: named.map(|(name, inner)| (name.clone(), inner.or_hash(hash))).collect(),
                    others: Some(Box::new(Self::Hash(hash.clone()))),
                }
            }
            Self::Drop | Self::Hash(_) => self.clone(),
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
