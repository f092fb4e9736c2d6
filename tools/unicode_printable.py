#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes src/unicode_printable.h: the code points that repr() escapes.

Run with the newest Python at hand; the table follows its unicodedata:
    python3 tools/unicode_printable.py > src/unicode_printable.h
"""
import sys
import unicodedata


def ranges():
    first = None
    for code in range(0x80, 0x110001):
        is_escaped = code <= 0x10FFFF and not chr(code).isprintable()
        if is_escaped and first is None:
            first = code
        elif not is_escaped and first is not None:
            yield first, code - 1
            first = None


def main():
    version = unicodedata.unidata_version
    print("/* SPDX-License-Identifier: MIT */")
    print("/*")
    print(" * The code points from U+0080 on that Python's repr() escapes"
          f" (Unicode {version}):")
    print(" * first and last of each range. Made by"
          " tools/unicode_printable.py.")
    print(" */")
    print("#ifndef MULTIPROC_UNICODE_PRINTABLE_H")
    print("#define MULTIPROC_UNICODE_PRINTABLE_H")
    print()
    print("#include <stdint.h>")
    print()
    print("/* clang-format off */")
    print("static const uint32_t escaped_ranges[][2] = {")
    line = "   "
    for first, last in ranges():
        item = f" {{0x{first:X}, 0x{last:X}}},"
        if len(line) + len(item) > 80:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")
    print("/* clang-format on */")
    print()
    print("#endif")


if __name__ == "__main__":
    sys.exit(main())
