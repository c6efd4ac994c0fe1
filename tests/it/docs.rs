//! What is generated must not be stale, and what can be typed or set must be in the help, the manual and the pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::binary;

/// Variables that say how a store is reached are those of the store's own tools; the page of each store names them.
const OF_STORES: [&str; 4] = ["AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR_HOST"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn printed(args: &[&str]) -> String {
    let output = binary().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

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

/// Whether a line of `text` names the section of `key`, and `key` in it; those of no section stand on a line of their own.
fn tells_key(text: &str, key: &str) -> bool {
    let (section, name) = match key.split_once('.') {
        Some(("streams", rest)) => ("[streams.STREAM]", rest.trim_start_matches("STREAM.")),
        Some((section, name)) => (["[storage]", "[columns]"][usize::from(section == "columns")], name),
        None => ("description, to", key),
    };
    let mut lines = text.lines().filter(|line| line.contains(section));
    lines.any(|line| line.split([' ', ',']).any(|word| word == name))
}

fn printed_text(args: &[&str]) -> String {
    String::from_utf8(binary().args(args).output().unwrap().stdout).unwrap()
}

fn manual_of_config() -> String {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    assert!(binary().args(["man", "--dir", dir]).status().unwrap().success());
    let page = fs::read_to_string(folder.path().join("cio2parquet-config.1")).unwrap();
    page.replace("\\-", "-")
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

    for place in [
        printed_text(&["config", "--help"]),
        printed_text(&["man", "--markdown"]),
        manual_of_config(),
    ] {
        for key in &keys {
            assert!(tells_key(&place, key), "{key} is not in {place}");
        }
    }

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
    assert!(
        page("docs/streams.md") == printed(&["streams", "--markdown"]),
        "docs/streams.md is stale; run: cargo run -- streams --markdown > docs/streams.md"
    );
}

#[test]
fn the_page_of_commands_is_what_the_binary_prints() {
    let printed = printed(&["man", "--markdown"]);
    assert!(
        page("docs/commands.md") == printed,
        "docs/commands.md is stale; run: cargo run -- man --markdown > docs/commands.md"
    );
}

/// The commands that a command's help lists.
fn below(command: &[&str]) -> Vec<String> {
    let help = printed(&[command, &["--help"]].concat());
    let list = help.split_once("Commands:\n").map_or("", |(_, list)| list);
    let lines = list.lines().take_while(|line| !line.is_empty());
    // What is indented further goes on with the line before.
    let verbs = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let verbs = verbs.map(|line| line.split_whitespace().next().unwrap().to_owned());
    verbs.filter(|verb| verb != "help").collect()
}

/// The commands that `--help` lists.
pub fn verbs() -> Vec<String> {
    below(&[])
}

/// Every command with its words, those below others too.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(command) = open.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let below = below(&words).into_iter().map(|verb| [&command[..], &[verb]].concat());
        open.extend(below);
        found.push(command);
    }
    found
}

#[test]
fn help_keeps_to_a_terminal_of_eighty_columns() {
    for command in commands() {
        let ran = binary()
            .args(&command)
            .arg("--help")
            .env("COLUMNS", "80")
            .output()
            .unwrap();
        let help = String::from_utf8(ran.stdout).unwrap();
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{command:?}: {wide:#?}");
    }
}

/// The long flags in a command's help.
pub fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let flags = lines.filter_map(|line| {
        line.split_once("--")?
            .1
            .split([' ', ',', '.'])
            .next()
            .map(str::to_owned)
    });
    flags.collect()
}

#[test]
fn every_command_and_flag_is_in_the_manual_and_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    printed(&["man", "--dir", folder.path().to_str().unwrap()]);
    let manual = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    };
    let page = page("docs/commands.md");
    let commands = commands();
    assert!(commands.len() > 11, "{commands:?}");
    for command in &commands {
        let name = [&["cio2parquet".to_owned()], &command[..]].concat();
        let section = page.split_once(&format!("\n## {}\n", name.join(" ")));
        let section = section.unwrap_or_else(|| panic!("docs/commands.md lacks {name:?}")).1;
        let section = section.split("\n## ").next().unwrap();
        let manual = manual(&format!("{}.1", name.join("-")));
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let flags = flags(&printed(&[&words[..], &["--help"]].concat()));
        assert!(
            flags.contains("help") && flags.contains("log-format"),
            "{name:?}: {flags:?}"
        );
        for text in flags.iter().map(|flag| format!("--{flag}")) {
            assert!(manual.contains(&text), "the manual of {name:?} lacks {text}");
            assert!(section.contains(&text), "docs/commands.md lacks {text} of {name:?}");
        }
        for verb in below(&words) {
            let listed = format!("{}-{verb}(1)", name.join("-"));
            assert!(manual.contains(&listed), "the manual of {name:?} lacks {verb}");
        }
    }
    let pages = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(pages, commands.len());
}

/// Every text in `src/` that looks like a variable of the environment, tests and sandbox aside.
fn variables() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("sandbox") => {}
                true => folders.push(path),
                false => found.extend(variables_in(&path)),
            }
        }
    }
    found
}

fn variables_in(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let texts = code.split('"').skip(1).step_by(2);
    let named = |text: &&str| {
        let letters = text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        let starts = ["CIO_", "CIO2PARQUET_", "NO_COLOR"].iter().chain(&OF_STORES);
        letters
            && starts
                .into_iter()
                .any(|start| text.starts_with(start) && !text.ends_with('_'))
    };
    texts.filter(named).map(str::to_owned).collect()
}

#[test]
fn every_variable_is_in_the_help_the_manual_and_the_pages() {
    let variables = variables();
    for known in [
        "CIO_TOKEN",
        "CIO_REGION",
        "CIO_API_URL",
        "NO_COLOR",
        "AWS_REGION",
        "CIO2PARQUET_CRASH",
    ] {
        assert!(variables.contains(known), "{known} is not found in src/: {variables:?}");
    }
    let help = printed(&["--help"]);
    let manual = printed(&["man"]);
    let commands = page("docs/commands.md");
    let contributing = page("CONTRIBUTING.md");
    let stores: String = ["s3", "gcs", "azure"]
        .map(|name| page(&format!("docs/stores/{name}.md")))
        .concat();
    for variable in &variables {
        // The build's own is no setting of the binary.
        if variable == "CIO2PARQUET_VERSION" {
            continue;
        }
        if variable.starts_with("CIO2PARQUET_") {
            assert!(
                contributing.contains(variable.as_str()),
                "CONTRIBUTING.md lacks {variable}"
            );
        } else if OF_STORES.iter().any(|start| variable.starts_with(start)) {
            assert!(stores.contains(variable.as_str()), "docs/stores lacks {variable}");
        } else {
            for (name, text) in [
                ("--help", &help),
                ("the manual", &manual),
                ("docs/commands.md", &commands),
            ] {
                assert!(text.contains(variable.as_str()), "{name} lacks {variable}");
            }
        }
    }
}
