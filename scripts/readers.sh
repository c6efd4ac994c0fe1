#!/usr/bin/env bash
# The readers' tests: DuckDB, Polars, PyArrow and Spark against lakes of the real binary. Arguments go to pytest, for example
# `scripts/readers.sh -m "not spark"` (no Java needed) or `scripts/readers.sh test_errors.py`.
# BIN names a binary to test instead of the release build; PYTHON another interpreter than python3.11.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/tools.sh

if [ -z "${BIN:-}" ]; then
  cargo build --locked --release
  BIN="${CARGO_TARGET_DIR:-target}/release/cio2parquet"
fi
BIN=$(realpath "$BIN")
export BIN

python=$PWD/.venv/bin/python
cd tests/readers
exec "$python" -B -m pytest -q -p no:cacheprovider "$@"
