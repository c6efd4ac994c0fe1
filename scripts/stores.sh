#!/usr/bin/env bash
# Runs a command beside S3, Google Cloud Storage and Azure, each on a free port of this machine and each with an empty bucket:
# `scripts/stores.sh cargo test --test stores -- --ignored`. In its environment stand CIO2PARQUET_TEST_S3, CIO2PARQUET_TEST_GCS and
# CIO2PARQUET_TEST_AZURE, the URLs of the buckets, and what opens them: AWS_*, GOOGLE_BEARER_TOKEN and STORAGE_EMULATOR_HOST, AZURE_STORAGE_*.
set -euo pipefail

if [ $# -eq 0 ]; then
  echo "usage: scripts/stores.sh COMMAND [ARGUMENT]..." >&2
  exit 2
fi
home=$(dirname "$0")/..
"$home/scripts/tools.sh"
exec "$home/.venv/bin/python" -B "$home/tests/readers/beside_stores.py" "$@"
