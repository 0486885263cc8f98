#!/usr/bin/env bash
# Every check of the project on a fresh Debian or Ubuntu machine: formatting, lints, all tests, on the CPU path and on
# an adapter. Where no adapter is there it installs lavapipe, a software one, and then the GPU tests must run.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Debian and Ubuntu; elsewhere the tools must be there already.
packages=()
command -v cc >/dev/null || packages+=(build-essential)
command -v spirv-val >/dev/null || packages+=(spirv-tools)
[ -e /dev/dri/renderD128 ] || command -v nvidia-smi >/dev/null ||
    compgen -G '/usr/share/vulkan/icd.d/*lvp*' >/dev/null || packages+=(mesa-vulkan-drivers libvulkan1)
if [ ${#packages[@]} -gt 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# Mesa wants a folder of its own for run-time files.
if [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    XDG_RUNTIME_DIR=$(mktemp -d)
    export XDG_RUNTIME_DIR
    trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
fi
# A GPU test without an adapter is a failure, not a pass.
export WGRAD_REQUIRE_GPU=1

step() { echo; echo "== $*"; "$@"; }

step cargo fmt --all --check
step cargo clippy --release --all-targets -- --deny warnings
step cargo test --release
RUSTDOCFLAGS="--deny warnings" step cargo doc --release --no-deps --quiet

# Advisories need the network. Licences, sources and bans are in tests/supply_chain.rs as well.
if command -v cargo-deny >/dev/null; then step cargo deny --all-features check; fi
