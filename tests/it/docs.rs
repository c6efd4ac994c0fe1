//! What is generated must not be stale.

use std::fs;
use std::path::Path;

use crate::support::binary;

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
