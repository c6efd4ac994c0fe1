//! A line knows its room: which room of `src/` may import which, kept true on every build.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Who may import whom; `ARCHITECTURE.md` draws the same table.
const RULES: [(&str, &[&str]); 11] = [
    ("error", &[]),
    ("crash", &["error"]),
    ("stream", &["error"]),
    ("source", &["stream", "error"]),
    ("columnar", &["stream", "crash", "error"]),
    ("storage", &["crash", "error"]),
    ("manifest", &["storage", "stream", "crash", "error"]),
    ("plan", &["manifest", "stream", "error"]),
    (
        "run",
        &[
            "plan", "source", "columnar", "manifest", "storage", "stream", "crash", "error",
        ],
    ),
    (
        "cli",
        &[
            "run", "plan", "source", "manifest", "storage", "stream", "crash", "error", "sandbox",
        ],
    ),
    ("sandbox", &[]),
];

/// The rooms that each room names with `crate::`.
fn imports() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(&src).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let uses = found.entry(room.clone()).or_default();
            for named in rooms_named(&text) {
                if named != room {
                    uses.insert((named, inside.display().to_string()));
                }
            }
        }
    }
    found
}

/// Every `x` of `crate::x` and `crate::{x, y}` in `text`, comments aside.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        assert!(
            !rest.starts_with('{'),
            "import rooms one by one, so that this test can read them"
        );
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        rooms.insert(rest[..end].to_owned());
    }
    rooms
}

#[test]
fn rooms_import_only_what_they_may() {
    let rules: BTreeMap<&str, &[&str]> = RULES.into_iter().collect();
    let found = imports();
    for (room, uses) in &found {
        if room == "lib" || room == "main" {
            continue;
        }
        let allowed = rules
            .get(room.as_str())
            .unwrap_or_else(|| panic!("room {room:?} has no rule"));
        for (used, file) in uses {
            assert!(
                allowed.contains(&used.as_str()),
                "src/{file} imports {used}, which room {room:?} may not"
            );
        }
    }
    for room in rules.keys() {
        assert!(found.contains_key(*room), "rule for a room that is gone: {room:?}");
    }
}

#[test]
fn only_one_file_names_rayon() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("run/cpu.rs") {
                assert!(
                    !fs::read_to_string(&path).unwrap().contains("rayon::"),
                    "{} names rayon",
                    path.display()
                );
            }
        }
    }
}

/// The files and folders of a room, its `mod.rs` aside.
fn entries(room: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(room).unwrap().map(Result::unwrap);
    let names = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() { name + "/" } else { name }
    });
    names.filter(|name| is_code(name) && name != "mod.rs").collect()
}

fn is_code(name: &str) -> bool {
    name.ends_with('/') || name.ends_with(".rs")
}

#[test]
fn the_architecture_page_names_every_file_of_the_rooms_it_goes_through() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for room in ["run", "storage", "columnar", "cli/config", "cli"] {
        let table = page.split_once(&format!("| file in `{room}/` ")).unwrap().1;
        let cells = table.lines().take_while(|line| line.starts_with('|'));
        let cells = cells.map(|row| row.split('|').nth(1).unwrap());
        let named: BTreeSet<String> = cells.flat_map(|cell| cell.split('`').map(str::to_owned)).collect();
        let named: BTreeSet<String> = named.into_iter().filter(|name| is_code(name)).collect();
        let there = entries(&root.join("src").join(room));
        let gone: Vec<_> = named.difference(&there).collect();
        assert!(gone.is_empty(), "src/{room}/ has no {gone:?}");
        // A verb has a file of its name, which nobody needs to be told.
        let new: Vec<_> = there.difference(&named).filter(|_| room != "cli").collect();
        assert!(new.is_empty(), "ARCHITECTURE.md does not name {new:?} of src/{room}/");
    }
}

#[test]
fn the_architecture_page_draws_the_same_table() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (room, allowed) in RULES {
        let row = match allowed {
            [] => format!("| {room} | nothing |"),
            _ => format!("| {room} | {} |", allowed.join(", ")),
        };
        assert!(page.contains(&row), "ARCHITECTURE.md lacks the row {row:?}");
    }
}
