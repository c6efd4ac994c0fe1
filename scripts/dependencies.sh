#!/usr/bin/env bash
# Licences, and the crates that must stand in the tree once or not at all; advisories where cargo-deny is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu | python3 scripts/dependencies.py
if command -v cargo-deny >/dev/null; then
  cargo deny check bans licenses sources
  # The advisory database is fetched; where it cannot be reached this is no fault of the tree.
  cargo deny check advisories || echo "advisories: not checked, the database could not be reached or a finding is listed above"
fi
