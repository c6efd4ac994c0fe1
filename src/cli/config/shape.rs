//! Keys and types held against the schema. What does not fit is told and taken out, so that the rest can still be read.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::mistake::Mistake;
use super::{elsewhere, secret};

/// What is less alike than this was not meant.
const LIKENESS: f64 = 0.7;

/// Takes out of `table` what `schema` does not know, and tells of it.
pub fn fit(table: &mut DeTable<'_>, schema: &Value) -> Vec<Mistake> {
    let mut shape = Shape::default();
    shape.table("", table, schema);
    shape.mistakes
}

#[derive(Default)]
struct Shape {
    mistakes: Vec<Mistake>,
}

impl Shape {
    fn table(&mut self, path: &str, table: &mut DeTable<'_>, schema: &Value) {
        for (key, mut value) in std::mem::take(table) {
            let fits = match schema["properties"].get(key.get_ref().as_ref()) {
                Some(schema) => self.value(&inside(path, key.get_ref()), &mut value, schema),
                None => self.unknown(path, &key, schema),
            };
            if fits {
                table.insert(key, value);
            }
        }
    }

    /// Whether the value is one that the schema allows at `path`.
    fn value(&mut self, path: &str, value: &mut Spanned<DeValue<'_>>, schema: &Value) -> bool {
        let at = value.span();
        match (schema["type"].as_str().unwrap_or(""), value.get_mut()) {
            ("object", DeValue::Table(table)) => {
                self.table(path, table, schema);
                true
            }
            ("array", DeValue::Array(items)) => {
                let fit = items
                    .iter_mut()
                    .filter_map(|item| self.value(path, item, &schema["items"]).then_some(()));
                fit.count() == items.len()
            }
            ("string", DeValue::String(text)) => self.choice(path, at, text, schema),
            ("boolean", DeValue::Boolean(_)) => true,
            (kind, other) => {
                let (wanted, found) = (wanted(kind, path), found(other));
                self.tell(at, format!("{:?} takes {wanted}, not {found}", last(path)))
            }
        }
    }

    fn choice(&mut self, path: &str, at: Range<usize>, text: &str, schema: &Value) -> bool {
        let Some(choices) = schema["enum"].as_array() else {
            return true;
        };
        let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        if choices.contains(&text) {
            return true;
        }
        let remedy = match nearest(text, &choices) {
            Some(choice) => format!("did you mean {choice:?}?"),
            None => format!("write {}", list(&choices, " or ")),
        };
        self.tell(at, format!("unknown value of {:?}; {remedy}", last(path)))
    }

    fn unknown(&mut self, path: &str, key: &Spanned<DeString<'_>>, schema: &Value) -> bool {
        if let Some(remedy) = secret::remedy(path, key.get_ref()) {
            return self.tell(key.span(), remedy.to_owned());
        }
        if let Some(remedy) = elsewhere::remedy(path, key.get_ref()) {
            return self.tell(key.span(), remedy);
        }
        let known: Vec<&str> = schema["properties"]
            .as_object()
            .map_or_else(Vec::new, |known| known.keys().map(String::as_str).collect());
        let noun = if path == "streams" { "stream" } else { "key" };
        let nearest = nearest(key.get_ref(), &known);
        let named = match is_a_word(key.get_ref()) || nearest.is_some() {
            true => format!(" {:?}", key.get_ref()),
            false => String::new(),
        };
        let remedy = match nearest {
            Some(known) => format!("did you mean {known:?}?"),
            None => format!("{noun}s that are known here: {}", known.join(", ")),
        };
        self.tell(key.span(), format!("unknown {noun}{named}; {remedy}"))
    }

    /// Whatever is told of does not fit.
    fn tell(&mut self, at: Range<usize>, what: String) -> bool {
        self.mistakes.push(Mistake::new(at, what));
        false
    }
}

/// What is no word, and like no key, may be a secret in the place of a key.
fn is_a_word(key: &str) -> bool {
    key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = known.iter().map(|known| (strsim::jaro_winkler(known, text), *known));
    let nearest = likeness.max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|(likeness, _)| *likeness > LIKENESS)
        .map(|(_, known)| known)
}

fn wanted(kind: &str, path: &str) -> String {
    match kind {
        "string" => "text in quotes".to_owned(),
        "array" => "a list of texts, as in [\"subject\"]".to_owned(),
        "boolean" => "true or false".to_owned(),
        _ if path == "streams" => "a section for each stream, as in [streams.activities]".to_owned(),
        _ => format!("a section, [{path}]"),
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date without quotes",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

fn list(choices: &[&str], between: &str) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
    quoted.join(between)
}

fn inside(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
