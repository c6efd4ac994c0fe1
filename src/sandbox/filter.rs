//! The filter of `POST /v1/customers`: its documented grammar, checked.

use serde_json::{Map, Value};

use super::people::Identity;

/// A filter that has passed the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// Segment 1 is everyone, every other one is empty.
    Segment(i64),
    Exists(String),
    Equals(String, String),
}

impl Filter {
    /// The filter of a request body `{"filter": F}`.
    ///
    /// # Errors
    /// What is malformed.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| format!("malformed JSON: {error}"))?;
        let filter = body.get("filter").ok_or("filter is required")?;
        Self::member(filter)
    }

    pub(super) fn holds(&self, identity: &Identity) -> bool {
        match self {
            Self::And(members) => members.iter().all(|member| member.holds(identity)),
            Self::Or(members) => members.iter().any(|member| member.holds(identity)),
            Self::Not(member) => !member.holds(identity),
            Self::Segment(id) => *id == 1,
            Self::Exists(field) => match field.as_str() {
                "cio_id" => true,
                "id" => identity.has_id(),
                "email" => identity.has_email(),
                _ => false,
            },
            Self::Equals(field, value) => identity.is(field, value),
        }
    }

    fn member(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("a filter must be an object")?;
        let mut members = object.iter();
        match (members.next(), members.next()) {
            (Some((name, value)), None) => Self::named(name, value),
            _ => Err("a filter must hold exactly one of and, or, not, segment, attribute".into()),
        }
    }

    fn named(name: &str, value: &Value) -> Result<Self, String> {
        match name {
            "and" => Self::members(value).map(Self::And),
            "or" => Self::members(value).map(Self::Or),
            "not" => Self::member(value).map(|member| Self::Not(Box::new(member))),
            "segment" => value
                .get("id")
                .and_then(Value::as_i64)
                .map(Self::Segment)
                .ok_or("segment needs an integer id".into()),
            "attribute" => Self::attribute(value.as_object().ok_or("attribute must be an object")?),
            other => Err(format!("unknown filter {other:?}")),
        }
    }

    fn members(value: &Value) -> Result<Vec<Self>, String> {
        let members = value.as_array().ok_or("and, or need an array")?;
        members.iter().map(Self::member).collect()
    }

    fn attribute(attribute: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| attribute.get(name).and_then(Value::as_str).map(str::to_owned);
        let field = text("field").ok_or("attribute needs a field")?;
        match text("operator").as_deref() {
            Some("exists") => Ok(Self::Exists(field)),
            Some("eq") => Ok(Self::Equals(field, text("value").ok_or("eq needs a value")?)),
            _ => Err("operator must be eq or exists".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_parses() {
        let body = br#"{"filter":{"and":[{"attribute":{"field":"email","operator":"eq","value":"x"}},{"not":{"attribute":{"field":"source","operator":"exists"}}}]}}"#;
        let Ok(Filter::And(members)) = Filter::parse(body) else {
            panic!("not an and")
        };
        assert_eq!(members[0], Filter::Equals("email".into(), "x".into()));
        assert_eq!(members[1], Filter::Not(Box::new(Filter::Exists("source".into()))));
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        let bodies = [
            "",
            "{}",
            r#"{"filter":{}}"#,
            r#"{"filter":{"and":{}}}"#,
            r#"{"filter":{"not":[]}}"#,
            r#"{"filter":{"and":[],"or":[]}}"#,
            r#"{"filter":{"attribute":{"field":"id","operator":"gt","value":"1"}}}"#,
            r#"{"filter":{"attribute":{"field":"id","operator":"eq"}}}"#,
            r#"{"filter":{"segment":{"id":"1"}}}"#,
        ];
        assert!(bodies.iter().all(|body| Filter::parse(body.as_bytes()).is_err()));
    }
}
