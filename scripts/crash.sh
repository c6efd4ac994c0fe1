#!/usr/bin/env bash
# The crash campaign: `export` is killed at every step that it names and at random instants, begun again at once, and must end as if
# it had been left alone. `scripts/crash.sh` is the short form that is part of the readers' tests, `scripts/crash.sh long` takes
# minutes. BIN names a binary to test instead of the release build.
set -euo pipefail
cd "$(dirname "$0")"

case "${1:-short}" in
  short | long) ;;
  *)
    echo "usage: scripts/crash.sh [short|long]" >&2
    exit 2
    ;;
esac
export CRASH=${1:-short}
exec ./readers.sh -s test_crash.py
