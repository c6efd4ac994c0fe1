//! Puts the commit that is built into the binary, as `--version` shows it; a tree without git has none, and builds all the same.

use std::env;
use std::path::Path;
use std::process::Command;

/// Says what the commit is where git cannot, e.g. `517afa7 2026-11-26`.
const VARIABLE: &str = "CIO2PARQUET_BUILD";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let said = env::var(VARIABLE).ok().filter(|commit| !commit.trim().is_empty());
    let version = match said.or_else(head) {
        Some(commit) => format!("{version} ({})", commit.trim()),
        None => version,
    };
    println!("cargo:rustc-env=CIO2PARQUET_VERSION={version}");
}

/// The commit that is checked out and its date.
fn head() -> Option<String> {
    let package = env::var("CARGO_MANIFEST_DIR").ok()?;
    let top = git(&package, &["rev-parse", "--show-toplevel"])?;
    // A tree that was unpacked inside somebody's repository is not of that one.
    if Path::new(&top).canonicalize().ok()? != Path::new(&package).canonicalize().ok()? {
        return None;
    }
    // They change with every commit and checkout. A path that does not exist would build anew each time.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&package, &["rev-parse", "--path-format=absolute", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&package, &["log", "-1", "--abbrev=7", "--format=%h %cs"])
}

fn git(folder: &str, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
