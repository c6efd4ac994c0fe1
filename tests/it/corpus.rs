//! The kept corpus of the fuzz targets goes through the same checks on every test run, whatever tools are there.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/manifest.rs"]
mod manifest;
#[path = "../../fuzz/src/page.rs"]
mod page;

/// Every kept input of a target, with its name.
fn replay(target: &str, check: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let inputs = fs::read_dir(&seeds).unwrap().map(|entry| entry.unwrap().path());
    let count = inputs
        .inspect(|path| {
            let outcome = std::panic::catch_unwind(|| check(&fs::read(path).unwrap()));
            assert!(outcome.is_ok(), "{} breaks a promise", path.display());
        })
        .count();
    assert!(count >= 8, "the corpus of {target} is gone");
}

#[test]
fn kept_pages_keep_their_promises() {
    replay("page", page::check);
}

#[test]
fn kept_manifest_versions_keep_their_promises() {
    replay("manifest", manifest::check);
}
