//! Manifest versions as a disk might give them back.
#![no_main]

#[path = "../src/manifest.rs"]
mod manifest;

libfuzzer_sys::fuzz_target!(|data: &[u8]| manifest::check(data));
