#!/usr/bin/env bash
# The readers' tests: DuckDB, Polars and Spark against lakes of the real binary. Arguments go to pytest, for example
# `scripts/readers.sh -m "not spark"` (no Java needed) or `scripts/readers.sh test_errors.py`.
# BIN names a binary to test instead of the release build; PYTHON another interpreter than python3.11.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
requirements=tests/readers/requirements.txt
stamp="$venv/requirements.sha256"

if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3.11}" -m venv "$venv"
fi
if ! sha256sum --check --status "$stamp" 2>/dev/null; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
  sha256sum "$requirements" >"$stamp"
fi

if [ -z "${BIN:-}" ]; then
  cargo build --locked --release
  BIN="${CARGO_TARGET_DIR:-target}/release/cio2parquet"
fi
BIN=$(realpath "$BIN")
export BIN

python=$PWD/$venv/bin/python
cd tests/readers
exec "$python" -B -m pytest -q -p no:cacheprovider "$@"
