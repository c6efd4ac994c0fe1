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

stores=tests/stores
if command -v npm >/dev/null; then
  once "$stores/package-lock.json" "$stores/node_modules/lock.sha256" \
    npm --prefix "$stores" ci --silent --no-audit --no-fund --ignore-scripts
else
  echo "npm is not installed: what needs Azure's emulator will fail; install Node.js 20 or later" >&2
fi
