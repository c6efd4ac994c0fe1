//! The schema of the file, for editors and for ourselves: made from the types and the streams that there are.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::file::Config;
use crate::error::{Error, Result};
use crate::stream::{Catalog, Stream};

/// Where the schema can be read by everybody.
const ADDRESS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/main/docs/config.schema.json");

/// What an editor needs to know at the head of a file.
pub fn directive() -> String {
    format!("#:schema {ADDRESS}\n")
}

/// The JSON Schema, draft 7, which editors understand best; it stands in `docs/config.schema.json`.
///
/// # Errors
/// Internal, when the embedded streams cannot be read.
pub fn schema() -> Result<Value> {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let settings = settings.with_transform(RecursiveTransform(without_null));
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    schema["$id"] = ADDRESS.into();
    name_streams(&mut schema["properties"]["streams"], &Catalog::load()?);
    Ok(schema)
}

/// The same as text.
///
/// # Errors
/// Internal.
pub fn text() -> Result<String> {
    let text = serde_json::to_string_pretty(&schema()?);
    text.map(|text| text + "\n")
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))
}

/// TOML has no null; a key that says nothing is left out.
fn without_null(schema: &mut Schema) {
    let Some(types) = schema.get_mut("type") else { return };
    let said = types
        .as_array()
        .and_then(|types| types.iter().find(|kind| **kind != "null"));
    if let Some(said) = said.cloned() {
        *types = said;
    }
}

/// A section for each stream, instead of one of any name.
fn name_streams(streams: &mut Value, catalog: &Catalog) {
    let section = streams["additionalProperties"].take();
    let sections = catalog.streams().iter().map(|stream| {
        let mut section = section.clone();
        section["description"] = described(stream).into();
        (stream.stream.clone(), section)
    });
    streams["properties"] = Value::Object(sections.collect());
    streams["additionalProperties"] = json!(false);
}

/// What one row is, without the explanation.
fn described(stream: &Stream) -> &str {
    let end = stream.doc.find([':', '.']).unwrap_or(stream.doc.len());
    &stream.doc[..end]
}
