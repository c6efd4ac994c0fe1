#!/usr/bin/env bash
# The only definition of green: format, lints, tests, docs, licences, campaigns, a little fuzzing, real stores, and the readers' tests.
# `scripts/check.sh quick` ends after the licences.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "format"
cargo fmt --check

if [ "${1:-}" != quick ]; then
  step "tools"
  scripts/tools.sh
fi

step "clippy"
cargo clippy --locked --all-targets -- -D warnings

step "tests"
cargo test --locked --all-targets
cargo test --locked --doc

step "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

step "dependencies"
scripts/dependencies.sh

if [ "${1:-}" != quick ]; then
  step "campaigns: every fault on every stream, a store that fails"
  cargo test --locked --test it -- --ignored

  step "fuzz, briefly"
  # The kept corpus was replayed by the tests. To build the fuzzers takes minutes: who has built them once fuzzes here too.
  if [ -d "${CARGO_TARGET_DIR:-target}/fuzz" ]; then scripts/fuzz.sh 15; else echo "not fuzzed: scripts/fuzz.sh builds what it takes"; fi

  step "stores: S3, Google Cloud Storage, Azure"
  scripts/stores.sh cargo test --locked --test stores -- --ignored

  step "readers: DuckDB, Polars, PyArrow, Spark"
  # The binary that the tests were run with: its dependencies are optimised, and thin LTO would cost minutes.
  BIN="${CARGO_TARGET_DIR:-target}/debug/cio2parquet" scripts/readers.sh
fi

step "all green"
