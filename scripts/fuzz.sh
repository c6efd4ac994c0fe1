#!/usr/bin/env bash
# Fuzzes every target: `scripts/fuzz.sh [seconds per target] [target]...`, 600 seconds when nothing is said.
# Needs a nightly toolchain and cargo-fuzz; without them it says so and ends well, for `cargo test` replays the kept corpus anyway.
# What is found on the way is kept in the target folder; what is worth keeping goes to fuzz/seeds/<target>/ by hand, crashes always.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(page manifest)

if ! cargo +nightly --version >/dev/null 2>&1 || ! command -v cargo-fuzz >/dev/null; then
  echo "not fuzzed: this needs a nightly toolchain (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz --locked)"
  exit 0
fi

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
for target in "${targets[@]}"; do
  found="$CARGO_TARGET_DIR/corpus/$target"
  mkdir -p "$found"
  # A body of 64 KiB never takes 128 MiB at once, nor ten seconds.
  cargo +nightly fuzz run "$target" "$found" "fuzz/seeds/$target" -- -max_total_time="$seconds" -dict=fuzz/json.dict \
    -max_len=65536 -timeout=10 -malloc_limit_mb=128 -rss_limit_mb=1024 -print_final_stats=1
done
