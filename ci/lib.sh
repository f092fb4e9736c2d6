# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts in ci/ share; sourced, not run. They work the same on a
# laptop and in CI, from any folder, and put everything below build/.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # for those who source this
BUILD=$ROOT/build
cd "$ROOT" || exit 1

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

processors() {
    getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}

# -- Installing what is missing ------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "neither root nor sudo: cannot run $*"
    fi
}

# install_packages PACKAGE...: those that dpkg does not know as installed.
install_packages() {
    local package missing=()

    have apt-get || return 0
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
            grep -q 'ok installed' || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0

    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >"$BUILD/apt.log" 2>&1 || {
        tail -n 20 "$BUILD/apt.log"
        die "apt-get install failed"
    }
}

# Enough to configure and compile; nothing more if it is there already.
install_toolchain() {
    mkdir -p "$BUILD"
    if ! have cmake || ! { have cc || have gcc || have clang; }; then
        install_packages cmake ninja-build gcc libc6-dev
    fi
}

# -- Building and testing ------------------------------------------------------

# Only generators with several configurations in one tree (Visual Studio) ask.
CONFIG=Debug

# build PRESET [CMAKE OPTION...]: configures and compiles build/PRESET.
build() {
    local preset=$1
    shift

    say "build $preset"
    if have ninja && [ ! -e "$BUILD/$preset/CMakeCache.txt" ]; then
        export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
    fi
    cmake --preset "$preset" "$@" >"$BUILD/$preset.configure.log" 2>&1 || {
        cat "$BUILD/$preset.configure.log"
        die "configuring $preset failed"
    }
    cmake --build "$BUILD/$preset" --config "$CONFIG" \
        --parallel "$(processors)" ${TARGET:+--target "$TARGET"}
}

# run_ctest PRESET [CTEST OPTION...]
run_ctest() {
    local preset=$1
    shift

    say "test $preset"
    ctest --test-dir "$BUILD/$preset" --build-config "$CONFIG" \
        --output-on-failure --no-tests=error \
        --parallel "$(($(processors) + 1))" "$@" # they wait more than they work
}

# build_and_test PRESET [CTEST OPTION...]
build_and_test() {
    build "$1"
    run_ctest "$@"
}

# -- Counting ------------------------------------------------------------------

PASSED=0
FAILED=0
BROKEN=()

# step NAME COMMAND...: runs it, whatever it does, with its output shown and
# kept in build/log/NAME.log, and counts: the tests of every ctest in it, or the
# step as one.
step() {
    local name=$1 log status=0 passed failed began=$SECONDS
    shift

    mkdir -p "$BUILD/log"
    log=$BUILD/log/$name.log
    say "$name: $*"
    "$@" 2>&1 | tee "$log" || status=$?
    read -r passed failed < <(ctest_totals "$log")
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
    elif [ "$status" -eq 0 ] && [ "$((passed + failed))" -eq 0 ]; then
        passed=1
    fi

    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    [ "$failed" -eq 0 ] || BROKEN+=("$name")
    printf -- '-- %s: %d passed, %d failed, %d s\n' \
        "$name" "$passed" "$failed" "$((SECONDS - began))"
}

# The sums over "90% tests passed, 1 tests failed out of 10" in a log.
ctest_totals() {
    awk '/% tests passed, [0-9]+ tests failed out of [0-9]+/ {
            failed += $4
            passed += $NF - $4
        }
        END { print passed + 0, failed + 0 }' "$1"
}

# The last line of a run, alone on its line; fails if anything has failed.
summary() {
    local name

    echo
    for name in ${BROKEN[@]+"${BROKEN[@]}"}; do
        echo "failed: $name (build/log/$name.log)"
    done
    printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
    [ "$FAILED" -eq 0 ]
}
