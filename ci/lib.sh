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

CLANG_VERSION=14

# Versions of clang's tools disagree, so one of them decides. Prints the program
# of that version, or nothing.
clang_tool() {
    local program

    for program in "$1-$CLANG_VERSION" "$1"; do
        if "$program" --version 2>/dev/null |
            grep -q "version $CLANG_VERSION\."; then
            echo "$program"
            return
        fi
    done
}

# -- Building and testing ------------------------------------------------------

# Only generators with several configurations in one tree (Visual Studio) ask.
CONFIG=Debug

# Of a preset under which a part of the tests is run, that part; else nothing,
# unless somebody wants BUILD_TARGET alone.
target_of() {
    case $1 in
    valgrind) echo tests_valgrind ;;
    osync) echo tests_sleeping ;;
    *) echo "${BUILD_TARGET:-}" ;;
    esac
}

# The presets for other systems are there to install from as well: it is CI that
# needs no second static library.
options_of() {
    case $1 in
    windows-* | macos-* | freebsd-*) echo -DMULTIPROC_FAULTS=ON ;;
    esac
}

# build PRESET [CMAKE OPTION...]: configures and compiles build/PRESET. Whoever
# comes second, as ci/test may build ahead, waits and finds nothing to do.
build() {
    say "build $1"
    (
        ! have flock || flock 9
        build_alone "$@" 9>&-
    ) 9>"$BUILD/$1.lock"
}

build_alone() {
    local preset=$1 target options
    shift

    if have ninja && [ ! -e "$BUILD/$preset/CMakeCache.txt" ]; then
        export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
    fi
    options=$(options_of "$preset")
    cmake --preset "$preset" ${options:+"$options"} "$@" \
        >"$BUILD/$preset.configure.log" 2>&1 || {
        cat "$BUILD/$preset.configure.log"
        die "configuring $preset failed"
    }
    target=$(target_of "$preset")
    cmake --build "$BUILD/$preset" --config "$CONFIG" \
        --parallel "$(processors)" ${target:+--target "$target"}
}

# run_ctest PRESET [CTEST OPTION...]
run_ctest() {
    local preset=$1
    shift

    say "test $preset"
    ctest --test-dir "$BUILD/$preset" --build-config "$CONFIG" \
        --output-on-failure --no-tests=error \
        --parallel "$(($(processors) + 2))" "$@" # they wait more than they work
}

# build_and_test PRESET [CTEST OPTION...]
build_and_test() {
    build "$1"
    run_ctest "$@"
}

# What the preset coverage compiles and runs as well is only compiled with dev,
# but for the tests of those who sleep and of what is installed; and what
# coverage leaves out.
test_gcc() {
    build dev
    run_ctest dev -L 'abi|consumer|docs|exhaustive|fuzz|sleeping'
    run_ctest dev -R '^(test_leaks|test_queue_memory_linux)$'
}

# -- Counting ------------------------------------------------------------------

PASSED=0
FAILED=0
BROKEN=()

# step NAME COMMAND...: runs it, whatever it does, with its output shown and
# kept in build/log/NAME.log, and counts it.
step() {
    local name=$1
    shift

    say "$name: $*"
    log_step "$name" "$@"
    count_step "$name"
}

# log_step NAME COMMAND...: also writes down how it ended, and the seconds.
log_step() {
    local name=$1 status=0 began=$SECONDS
    shift

    mkdir -p "$BUILD/log"
    rm -f "$BUILD/log/$name.end"
    "$@" 2>&1 | tee "$BUILD/log/$name.log" || status=$?
    echo "$status $((SECONDS - began))" >"$BUILD/log/$name.end"
}

# count_step NAME: the tests of every ctest in its log, or the step as one.
count_step() {
    local name=$1 status=1 seconds=0 passed failed

    # Where nothing is written down, it has not come to its end.
    if [ -e "$BUILD/log/$name.end" ]; then
        read -r status seconds <"$BUILD/log/$name.end"
    fi
    : >>"$BUILD/log/$name.log"
    read -r passed failed < <(ctest_totals "$BUILD/log/$name.log")
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
    elif [ "$status" -eq 0 ] && [ "$((passed + failed))" -eq 0 ]; then
        passed=1
    fi

    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    [ "$failed" -eq 0 ] || BROKEN+=("$name")
    printf -- '-- %s: %d passed, %d failed, %d s\n' \
        "$name" "$passed" "$failed" "$seconds"
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
