#!/usr/bin/env bash
# Installs what the tests outside of Rust need, if it is not there yet: readers and S3's stand-in in a virtual environment, Azure's beside
# its lock file. PYTHON names another interpreter than python3.11.
set -euo pipefail
cd "$(dirname "$0")/.."

# Runs a command unless the file that it depends on is the one that it was run for.
once() {
  local needed=$1 stamp=$2
  shift 2
  if ! sha256sum --check --status "$stamp" 2>/dev/null; then
    "$@"
    sha256sum "$needed" >"$stamp"
  fi
}

venv=.venv
[ -x "$venv/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$venv"
requirements=tests/readers/requirements.txt
once "$requirements" "$venv/requirements.sha256" \
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"

# DuckDB's extensions come with another version than the newest, whose own are not packaged.
httpfs=.venv-httpfs
httpfs_requirements=tests/readers/httpfs.txt
install_httpfs() {
  [ -x "$httpfs/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$httpfs"
  "$httpfs/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$httpfs_requirements"
  "$httpfs/bin/python" -c '
import sys

import duckdb
from duckdb_extensions import import_extension

connection = duckdb.connect(config={"extension_directory": sys.argv[1]})
for name in ("aws", "azure", "httpfs"):
    import_extension(name, con=connection)
' "$httpfs/extensions"
}
once "$httpfs_requirements" "$httpfs/requirements.sha256" install_httpfs

stores=tests/stores
install_stores() {
  # Not `--prefix`: that moves npm's global settings too, a machine's certificates among them.
  (cd "$stores" && npm ci --loglevel error --no-audit --no-fund --ignore-scripts)
}
if command -v npm >/dev/null; then
  once "$stores/package-lock.json" "$stores/node_modules/lock.sha256" install_stores
else
  echo "npm is not installed: what needs Azure's emulator will fail; install Node.js 20 or later" >&2
fi
