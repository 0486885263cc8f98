#!/usr/bin/env bash
# Fuzzes every format for so many seconds each: fuzz/run.sh 60. Works without cargo-fuzz and on a stable compiler: the
# flags below are what cargo-fuzz passes, less the address sanitizer, which needs a nightly one.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
triple=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
cargo build --release --target "$triple"
mkdir -p corpus artifacts
for target in ${2:-csv csv_gz idx npz npy toml safetensors model checkpoint}; do
    mkdir -p "corpus/$target" "artifacts/$target"
    program="target/$triple/release/$target"
    # An empty run writes the seeds.
    SEEDS="corpus/$target" "$program" -runs=0 "corpus/$target" 2>/dev/null || true
    echo "== $target"
    "$program" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=256 \
        -artifact_prefix="artifacts/$target/" "corpus/$target" 2>&1 | tail -n 4
done
