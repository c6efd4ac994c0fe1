//! Mistakes and their places. What stands at a place is never told: it may be a secret that was typed there.

use std::fmt;
use std::ops::Range;

use crate::error::Error;

/// A file as it is written, for telling places in it.
#[derive(Default)]
pub struct Written {
    name: String,
    text: String,
}

/// What is wrong at a place.
#[derive(Debug)]
pub struct Mistake {
    at: Range<usize>,
    what: String,
}

impl Written {
    /// `name` is how the user knows the file.
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// How the user knows the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `cio2parquet.toml:3:1`: the line and the column, both counted from 1, the column in characters.
    pub fn place(&self, at: Range<usize>) -> String {
        let before = self.text.get(..at.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", self.name)
    }

    /// Whether a value stands there that begins like a word, without quotes or brackets.
    pub fn is_in_bare_value(&self, at: usize) -> bool {
        let start = self.text.get(..at).and_then(|before| before.rfind('\n'));
        let line = self.text.get(start.map_or(0, |end| end + 1)..).unwrap_or("");
        let Some((key, value)) = line.lines().next().unwrap_or("").split_once('=') else {
            return false;
        };
        let key = key.trim();
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        let begins = value.trim_start().chars().next();
        is_key && begins.is_some_and(|c| !"\"'[{#".contains(c))
    }

    /// All of them in the order of the file, if there is any.
    pub fn error(&self, mut mistakes: Vec<Mistake>) -> Option<Error> {
        mistakes.sort_by_key(|mistake| mistake.at.start);
        let mut lines = mistakes
            .into_iter()
            .map(|mistake| format!("{}: {}", self.place(mistake.at), mistake.what));
        let first = Error::input(lines.next()?);
        Some(first.and(lines))
    }
}

impl fmt::Debug for Written {
    /// The text is not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Mistake {
    /// `what` is a lowercase fragment that names the key and the remedy, and does not repeat what stands there.
    pub fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_line_and_a_column_in_characters() {
        let text = "a = 1\n\"ü\" = 2\r\nb = 3";
        let written = Written::new("c.toml", text);
        for (found, place) in [("a", "c.toml:1:1"), ("2", "c.toml:2:7"), ("b", "c.toml:3:1")] {
            let at = text.find(found).unwrap();
            assert_eq!(written.place(at..at + 1), place);
        }
        assert_eq!(written.place(text.len()..text.len()), "c.toml:3:6");
        assert_eq!(written.place(900..901), "c.toml:3:6");
    }

    #[test]
    fn a_bare_word_is_told_from_what_begins_as_a_value() {
        let text = "a = ./lake\nb = \"x\nc = [1\nd =\ne f";
        let written = Written::new("c.toml", text);
        for (found, bare) in [
            ("./", true),
            ("\"x", false),
            ("[1", false),
            ("d =", false),
            ("e f", false),
        ] {
            assert_eq!(written.is_in_bare_value(text.find(found).unwrap()), bare, "{found}");
        }
    }

    #[test]
    fn mistakes_are_told_in_the_order_of_the_file() {
        let written = Written::new("c.toml", "a\nb\nc");
        let mistakes = vec![Mistake::new(4..5, "third"), Mistake::new(0..1, "first")];
        let lines: Vec<String> = written.error(mistakes).unwrap().lines().collect();
        assert_eq!(lines, ["c.toml:1:1: first", "c.toml:3:1: third"]);
        assert!(written.error(Vec::new()).is_none());
    }

    #[test]
    fn the_text_is_not_printed() {
        assert!(!format!("{:?}", Written::new("c.toml", "token = \"geheim\"")).contains("geheim"));
    }
}
