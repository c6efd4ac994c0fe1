#!/usr/bin/env bash
# Measures the exporter against the sandbox and prints Markdown; what was measured last stands in docs/performance.md.
# `scripts/bench.sh quick` exercises every part with few rows in a minute or two; its figures mean nothing. Parts may be named:
# floor, limiter, merge, growth, nightly, size. PYTHON names an interpreter that has DuckDB, which only `size` needs.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then PYTHON=$PWD/.venv/bin/python; fi
export PYTHON=${PYTHON:-python3}

# In one go, so that both have the same dependencies and these are built once.
PAGES=$(cargo build --locked --release --bins --benches --message-format=json \
  | python3 -c '
import json, sys
told = map(json.loads, sys.stdin)
print(*(one["executable"] for one in told if one.get("target", {}).get("kind") == ["bench"]))')
export PAGES
BIN=$(realpath "$target/release/cio2parquet")
export BIN

exec python3 -B benches/bench.py "$@"
