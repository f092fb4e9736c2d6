#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the links in Markdown files that lead nowhere, and fails if any does.

    links.py FILE.md...

A link to a file or folder, with #heading or without, is looked up; one to
another machine is not, nor one of Doxygen's (@ref), which Doxygen checks.
"""
import os
import re
import sys

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1`*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+).+?\1", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)"
                  r"|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|@ref\b", re.IGNORECASE)


def blank(match):
    """As many lines without anything in them."""
    return "\n" * match.group().count("\n")


def read(path):
    with open(path, encoding="utf-8") as file:
        return FENCE.sub(blank, file.read())


def anchors(path):
    """Of the headings, as GitHub makes them; a second one gets a number."""
    found = set()
    counts = {}
    for title in re.findall(r"^#{1,6} +(.+?) *#*$", read(path), re.MULTILINE):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = counts.get(name, 0)
        counts[name] = count + 1
        found.add("%s-%d" % (name, count) if count else name)
    return found


def complaint(target, path):
    """What is wrong with a link in that file; None if nothing."""
    name, _, anchor = target.partition("#")
    aim = os.path.join(os.path.dirname(path), name) if name else path
    if not os.path.exists(aim):
        return "there is no %s" % name
    if anchor and (not aim.endswith(".md") or anchor not in anchors(aim)):
        return "%s has no heading #%s" % (name or path, anchor)
    return None


def check(path):
    """How many lead nowhere."""
    text = CODE.sub(blank, read(path))
    count = 0
    for match in LINK.finditer(text):
        target = match.group(1) or match.group(2)
        wrong = None if ELSEWHERE.match(target) else complaint(target, path)
        if wrong is not None:
            number = text.count("\n", 0, match.start()) + 1
            print("%s:%d: %s" % (path, number, wrong))
            count += 1
    return count


if __name__ == "__main__":
    sys.exit(1 if sum([check(path) for path in sys.argv[1:]]) else 0)
