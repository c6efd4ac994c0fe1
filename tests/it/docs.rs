//! What is generated must not be stale.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::binary;

#[test]
fn the_schema_of_the_config_file_is_what_the_binary_prints() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.schema.json");
    let printed = binary().args(["config", "schema"]).output().unwrap();
    assert!(
        fs::read(file).unwrap() == printed.stdout,
        "docs/config.schema.json is stale; run: cargo run -- config schema > docs/config.schema.json"
    );
}

/// Every key by its path, those of all streams under `STREAM`.
fn config_keys(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let key = if path == "streams." { "STREAM" } else { key };
        if schema["type"] == "object" {
            config_keys(schema, &format!("{path}{key}."), found);
        } else {
            found.insert(format!("{path}{key}"));
        }
    }
}

#[test]
fn every_key_of_the_config_file_is_explained_on_its_page_and_where_a_file_begins() {
    let printed = binary().args(["config", "schema"]).output().unwrap();
    let mut keys = BTreeSet::new();
    config_keys(&serde_json::from_slice(&printed.stdout).unwrap(), "", &mut keys);
    assert!(
        keys.contains("to") && keys.contains("streams.STREAM.columns.hash"),
        "{keys:?}"
    );

    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md")).unwrap();
    let headed = page
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    assert_eq!(headed.map(str::to_owned).collect::<BTreeSet<_>>(), keys);

    let folder = tempfile::tempdir().unwrap();
    let ran = binary().current_dir(&folder).args(["config", "init"]).output().unwrap();
    assert!(ran.status.success());
    let text = fs::read_to_string(folder.path().join("cio2parquet.toml")).unwrap();
    let address = concat!(
        "#:schema ",
        env!("CARGO_PKG_REPOSITORY"),
        "/raw/main/docs/config.schema.json\n"
    );
    assert!(text.starts_with(address), "{text}");
    let uncommented = text.lines().map(|line| match line.strip_prefix('#') {
        Some(example) if !example.starts_with([' ', ':']) => example,
        _ => line,
    });
    let file: toml::Table = uncommented.collect::<Vec<_>>().join("\n").parse().unwrap();
    for key in keys {
        let key = key.replace("STREAM", "activities");
        let mut parts = key.split('.');
        let first = file.get(parts.next().unwrap());
        let value = parts.try_fold(first.unwrap_or_else(|| panic!("{key}")), |at, part| at.get(part));
        assert!(value.is_some(), "the file of `config init` lacks {key}");
    }
}

#[test]
fn the_page_of_streams_is_what_the_binary_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/streams.md");
    let printed = binary().args(["streams", "--markdown"]).output().unwrap();
    let written = fs::read_to_string(page).unwrap();
    assert!(
        written.as_bytes() == printed.stdout,
        "docs/streams.md is stale; run: cargo run -- streams --markdown > docs/streams.md"
    );
}
