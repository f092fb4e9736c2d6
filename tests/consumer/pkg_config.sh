#!/bin/sh
# SPDX-License-Identifier: MIT
# pkg_config.sh static|shared PREFIX SOURCE PROGRAM CC [FLAGS...]: compiles
# SOURCE with nothing but the compiler and what pkg-config says about the
# multiproc below PREFIX.
set -eu
kind=$1 prefix=$2
# shellcheck disable=SC2034  # eval reads them
source=$3 program=$4
shift 4

pc=$(find "$prefix" -name multiproc.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH

if [ "$kind" = static ]; then
    flags=$(pkg-config --static --cflags --libs multiproc)
    # With both libraries there, a linker takes the shared one for -lmultiproc.
    libdir=$(dirname "$PKG_CONFIG_PATH")
    flags=$(echo "$flags" | sed "s|-lmultiproc|'$libdir/libmultiproc.a'|g")
else
    flags=$(pkg-config --cflags --libs multiproc)
    flags="$flags -Wl,-rpath,'$(dirname "$PKG_CONFIG_PATH")'"
fi

# pkg-config quotes for a shell, so a shell has to read its answer.
eval "set -- \"\$@\" -o \"\$program\" \"\$source\" $flags"
echo "$*"
"$@"
