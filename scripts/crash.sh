#!/usr/bin/env bash
# What a run promises whatever dies, sleeps or fills up: `export` is struck at every step that it names and at random instants, put to
# sleep at each and woken too late, started twice at once, queried without a pause, given too small a disk, and sent to stores that
# fail. `scripts/crash.sh` is what the readers' tests do anyway; `scripts/crash.sh long` takes a quarter of an hour for lakes on a disk
# and more for those in buckets. BIN names a binary to test instead of the release build; with TMPDIR in memory it goes faster, for
# nothing here depends on what a disk keeps.
set -euo pipefail
cd "$(dirname "$0")"

case "${1:-short}" in
  short) ;;
  long) export CRASH=long BESIDE_SECONDS=75 ;;
  *)
    echo "usage: scripts/crash.sh [short|long]" >&2
    exit 2
    ;;
esac
exec ./readers.sh -s test_crash.py test_sleepers.py test_claims.py test_full_disk.py test_readers_beside_kills.py \
  test_stores.py test_store_crash.py test_store_claims.py test_store_faults.py test_store_errors.py
