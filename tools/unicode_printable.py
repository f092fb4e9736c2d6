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


def coded(number):
    """Seven bits a byte, the highest first; all but the last have bit 7."""
    text = [number & 0x7F]
    while number > 0x7F:
        number >>= 7
        text.insert(0, 0x80 | number & 0x7F)
    return text


def table():
    """The bytes, and marks: code points and where their printable runs are."""
    text, marks, at = [], [], 0x80
    for first, last in ranges():
        if len(text) >= 128 * len(marks):
            marks.append((at, len(text)))
        # Printable from at on, then escaped.
        text += coded(first - at) + coded(last + 1 - first)
        at = last + 1
    return text, marks


def show(declaration, items):
    print(f"static const {declaration} = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 80:
            print(line)
            line = "   "
        line += f" {item},"
    print(line)
    print("};")


def main():
    version = unicodedata.unidata_version
    text, marks = table()
    print("/* SPDX-License-Identifier: MIT */")
    print("/*")
    print(" * The code points from U+0080 on that Python's repr() escapes"
          f" (Unicode {version}):")
    print(" * how many are printable, how many escaped, and so on in turn."
          " Seven bits a")
    print(" * byte, the highest first; all but a number's last have bit 7."
          " A mark is a")
    print(" * code point and where in that its printable run is counted."
          " Made by")
    print(" * tools/unicode_printable.py.")
    print(" */")
    print("#ifndef MULTIPROC_UNICODE_PRINTABLE_H")
    print("#define MULTIPROC_UNICODE_PRINTABLE_H")
    print()
    print("#include <stdint.h>")
    print()
    print("/* clang-format off */")
    show("unsigned char printable_runs[]", map(str, text))
    print()
    show("uint32_t printable_marks[][2]",
         (f"{{0x{code:X}, {at}}}" for code, at in marks))
    print("/* clang-format on */")
    print()
    print("#endif")


if __name__ == "__main__":
    sys.exit(main())
