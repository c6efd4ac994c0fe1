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

/// As a fuzzer would, only blindly: kept inputs, changed in a few places. `CIO2PARQUET_MUTANTS` says how many (500).
fn mutate(target: &str, check: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(seeds)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let count = std::env::var("CIO2PARQUET_MUTANTS").map_or(500, |count| count.parse().unwrap());
    for number in 0..count {
        let mut chance = fastrand::Rng::with_seed(number);
        let mut input = chance.choice(&inputs).unwrap().clone();
        let other = chance.choice(&inputs).unwrap();
        for _ in 0..chance.usize(1..6) {
            change(&mut input, other, &mut chance);
        }
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(
            outcome.is_ok(),
            "mutant {number} of {target} breaks a promise: {}",
            String::from_utf8_lossy(&input)
        );
    }
}

const WORDS: [&str; 17] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "-",
    "1e400",
    "0.1",
    "\\u0000",
    "\\ud800",
    "\u{e9}",
    "{\"a\":1}",
    "\"id\":\"a\",",
];

fn change(input: &mut Vec<u8>, other: &[u8], chance: &mut fastrand::Rng) {
    let at = chance.usize(..=input.len());
    let piece = |bytes: &[u8], chance: &mut fastrand::Rng| {
        let from = chance.usize(..=bytes.len());
        bytes[from..(from + chance.usize(..20)).min(bytes.len())].to_vec()
    };
    match chance.u8(..6) {
        0 => drop(input.splice(at..at, chance.choice(WORDS).unwrap().bytes())),
        1 => drop(input.splice(at..(at + chance.usize(..8)).min(input.len()), [])),
        2 => {
            let part = piece(other, chance);
            drop(input.splice(at..at, part));
        }
        3 => {
            let part = piece(&input.clone(), chance);
            drop(input.splice(at..at, part));
        }
        4 => input.truncate(at.max(1)),
        _ => input
            .iter_mut()
            .skip(at)
            .take(1)
            .for_each(|byte| *byte ^= 1 << chance.u8(..8)),
    }
}

#[test]
fn mutants_of_pages_keep_their_promises() {
    mutate("page", page::check);
}

#[test]
fn mutants_of_manifest_versions_keep_their_promises() {
    mutate("manifest", manifest::check);
}

#[test]
fn kept_pages_keep_their_promises() {
    replay("page", page::check);
}

#[test]
fn kept_manifest_versions_keep_their_promises() {
    replay("manifest", manifest::check);
}
