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
command -v chromium >/dev/null || command -v google-chrome >/dev/null || [ -n "${TEST_CHROMIUM:-}" ] ||
    packages+=(chromium fonts-dejavu-core)
# A version manager's python3 may be a name with nothing behind it; what counts is that it makes an environment.
makes_environments() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
makes_environments || packages+=(python3 python3-venv)
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
export TEST_REQUIRE_CHROMIUM=1

# The Python that exports, model files and event files are tested in. Kept, and made anew when a version below changes. PyTorch takes
# gigabytes and is not fetched: its test runs where TEST_PYTHON names a Python that has it.
requirements="numpy==2.2.6 onnx==1.19.1 onnxruntime==1.23.2 safetensors==0.8.0 tensorboard==2.21.0"
if [ -z "${TEST_PYTHON:-}" ]; then
    python=target/python
    if [ "$(cat "$python/requirements" 2>/dev/null)" != "$requirements" ]; then
        echo "installing $requirements into $python"
        makes_environments || export PATH="/usr/bin:$PATH"
        rm -rf "$python"
        python3 -m venv "$python"
        # shellcheck disable=SC2086
        "$python/bin/python" -m pip install --quiet --disable-pip-version-check $requirements
        echo "$requirements" >"$python/requirements"
    fi
    TEST_PYTHON="$PWD/$python/bin/python"
    export TEST_PYTHON
fi
export TEST_REQUIRE_PYTHON=1

step() { echo; echo "== $*"; "$@"; }

step cargo fmt --all --check
step cargo clippy --release --all-targets -- --deny warnings
step cargo test --release --no-fail-fast
RUSTDOCFLAGS="--deny warnings" step cargo doc --release --no-deps --quiet

# The oldest compiler that Cargo.toml promises, for every platform of a release. It is fetched; where that cannot be, that
# is said, and the dependencies' own promises are in tests/supply_chain.rs.
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
platforms=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-pc-windows-msvc aarch64-apple-darwin)
if command -v rustup >/dev/null && timeout 600 rustup toolchain install "$oldest" --profile minimal --no-self-update \
    "${platforms[@]/#/--target=}" >/dev/null 2>&1; then
    RUSTFLAGS="--deny warnings" step cargo "+$oldest" check --locked --all-targets "${platforms[@]/#/--target=}"
else
    echo "not checked: Rust $oldest, and other platforms than this one (rustup could not fetch them)"
    [ -z "${TEST_REQUIRE_OLDEST:-}" ] || exit 1
fi

# Advisories need the network. Licences, sources and bans are in tests/supply_chain.rs as well.
if command -v cargo-deny >/dev/null; then step cargo deny --all-features check; fi
