#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the manual pages, from the XML that Doxygen makes of the headers.

    man.py [--check] [--date DATE] [--source NAME] [--brief TEXT]
           [--bindir DIR] XML_FOLDER MAN_FOLDER [PAGE.1...]

MAN_FOLDER/man3 gets a page for every function, macro and type, one for a family
that shares its comment; man7 one for each group, and multiproc(7), which is
Doxygen's main page, with the given brief; man1 the given pages with date,
source and bindir filled in. With --check, what the headers leave unsaid is
printed, and is a failure.
"""
import argparse
import os
import re
import sys

from man_headers import OVERVIEW, gaps, load, load_groups
from man_roff import Roff, escape, headers_in, line, plain, reference

CODES = re.compile(r"((?:MP_[A-Z0-9_]+, )*MP_[A-Z0-9_]+)(?!\S)\s*(.*)",
                   re.DOTALL)
TITLE = '.TH %s %d "%s" "%s" "%s"'
NO_HYPHENS = [".nh", ".ad l"]  # names are full of them


class Manual:
    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.groups = load_groups(options.xml)
        self.names = {}  # of pages, by Doxygen's id
        self.structs = set()
        self.meanings = {}  # of error codes
        for group in self.groups:
            self.names[group.id] = (group.page, 7)
            for entry in group.entries:
                self.names[entry.element.get("id")] = (entry.name, 3)
                if entry.kind == "struct":
                    self.structs.add(entry.element.get("id"))
                if entry.name == "mp_error":
                    self.learn_codes(entry)
        self.all = {name for name, _ in self.names.values()}
        self.headers = {"%s.h" % group.name: (group.page, 7)
                        for group in self.groups}
        self.roff = Roff(self.names, self.headers)

    def learn_codes(self, enum):
        for value in enum.members():
            meaning = plain(value.find("briefdescription")).strip('"')
            self.meanings[value.findtext("name")] = meaning

    # -- Files -----------------------------------------------------------------

    def write(self, name, section, lines):
        folder = os.path.join(self.folder, "man%d" % section)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, self.file_name(name, section))
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(lines) + "\n")

    def file_name(self, name, section):
        """Some file systems take MP_WAIT.3 for mp_wait.3."""
        lower = name.lower()
        suffix = "m" if name != lower and lower in self.all else ""
        return "%s.%d%s" % (name, section, suffix)

    def page(self, names, section, title, body):
        heading = [TITLE % (escape(names[0]), section, self.options.date,
                            self.options.source, OVERVIEW)]
        whatis = "%s \\- %s" % (", ".join(map(escape, names)), escape(title))
        self.write(names[0], section,
                   heading + NO_HYPHENS + [".SH NAME", whatis] + body)

    def alias(self, name, other, section):
        self.write(name, 3, [".so man%d/%s" % (
            section, self.file_name(other, section))])

    # -- Functions, macros and types -------------------------------------------

    def entry_pages(self, family):
        first = family[0]
        if first.is_opaque() and len(family) == 1:
            self.opaque_page(first)
            return
        body = self.synopsis(family) + [".SH DESCRIPTION"]
        body += self.description(first)
        body += self.parameters(first) + self.members(first)
        body += self.returns(first)
        for title in ("Threads", "Fork"):
            body += self.rule(first, title)
        body += self.see_also(first, [entry.name for entry in family])
        self.page([entry.name for entry in family], 3, first.title(), body)
        for entry in family[1:]:
            self.alias(entry.name, first.name, 3)

    def opaque_page(self, entry):
        """Its page is that of the group which is named after it, if any."""
        for group in self.groups:
            if entry.name == "mp_" + group.name:
                self.alias(entry.name, group.page, 7)
                return
        body = self.synopsis([entry]) + [".SH DESCRIPTION"]
        body += self.description(entry) + self.see_also(entry, [])
        self.page([entry.name], 3, entry.title(), body)

    @staticmethod
    def synopsis(family):
        lines = [".SH SYNOPSIS", ".nf", "\\fB#include <multiproc.h>\\fR"]
        for entry in family:
            lines += [".PP"] + ["\\fB%s\\fR" % escape(row)
                               for row in entry.synopsis()]
        return lines + [".fi"]

    def description(self, entry):
        lines = self.roff.block(entry.brief) + self.roff.block(entry.details)
        return lines[1:] if lines[:1] == [".PP"] else lines

    def parameters(self, entry):
        lines = []
        for item in entry.details.iter("parameteritem"):
            names = [plain(n) for n in item.iter("parametername")]
            text = self.roff.block(item.find("parameterdescription"))
            lines += [".TP", ", ".join("\\fI%s\\fR" % escape(n)
                                       for n in names)] + text[1:]
        return [".SH PARAMETERS"] + lines if lines else []

    def members(self, entry):
        if entry.kind not in ("struct", "enum"):
            return []
        lines = [".SH %s" % ("VALUES" if entry.kind == "enum" else "FIELDS")]
        for member in entry.members():
            name = member.findtext("name")
            number = member.findtext("initializer") or ""
            text = (self.roff.block(member.find("briefdescription"))
                    + self.roff.block(member.find("detaileddescription")))
            if name in self.meanings:
                text = [escape(self.meanings[name])]
            lines += [".TP", "\\fB%s\\fR%s" % (
                escape(name), escape(re.sub(r"=\s*", " = ", number)))]
            lines += [row for row in text if row != ".PP"]
        return lines

    def returns(self, entry):
        lines = []
        for part in entry.parts("return"):
            lines += self.return_line(self.roff.flow(part))
        if lines[:1] == [".PP"]:
            del lines[0]
        return [".SH RETURN VALUE"] + lines if lines else []

    def return_line(self, text):
        match = CODES.match(text)
        if match is None:
            return [".PP", text[0].upper() + text[1:]]
        codes, said = match.groups()
        if said:
            return [".TP", "\\fB%s\\fR" % codes, line(said)]
        lines = []
        for code in codes.split(", "):
            lines += [".TP", "\\fB%s\\fR" % code,
                      escape(self.meanings[code])]
        return lines

    def rule(self, entry, title):
        parts = [self.roff.flow(part) for part in entry.parts(title)]
        parts = [part[0].upper() + part[1:] for part in parts if part]
        return [".SH " + title.upper()] + parts if parts else []

    def see_also(self, entry, own):
        pages = {(entry.group.page, 7)}
        for found in entry.element.findall("param/type/ref"):
            if found.get("refid") in self.structs:
                pages.add(self.names[found.get("refid")])
        for element in (entry.brief, entry.details):
            for reference in element.iter("ref"):
                page = self.names.get(reference.get("refid"))
                if page is not None and page[0] not in own:
                    pages.add(page)
            pages.update(self.headers[name] for name in headers_in(element)
                         if name in self.headers)
        return [".SH SEE ALSO"] + references(
            sorted(pages, key=lambda page: (page[1], page[0])))

    # -- Groups ----------------------------------------------------------------

    def group_page(self, group):
        body = [".SH SYNOPSIS", ".nf", "\\fB#include <multiproc.h>\\fR", ".fi",
                ".SH DESCRIPTION"]
        body += self.description(group)
        for title, kinds in (("FUNCTIONS", ("function",)),
                             ("MACROS", ("define",)),
                             ("TYPES", ("struct", "enum", "typedef"))):
            body += self.listing(title, group, kinds)
        body += [".SH SEE ALSO"] + references([(OVERVIEW, 7)])
        self.page([group.page], 7, group.title, body)

    @staticmethod
    def listing(title, group, kinds):
        lines = []
        for family in group.families():
            if family[0].kind in kinds:
                names = [reference((entry.name, 3)) for entry in family]
                lines += [".TP", ", ".join(names),
                          line(escape(family[0].title())) + "."]
        return [".SH " + title] + lines if lines else []

    def overview(self):
        main = load(self.options.xml, "indexpage")
        body = [".SH DESCRIPTION"]
        lines = self.roff.block(main.find("detaileddescription"))
        body += lines[1:] if lines[:1] == [".PP"] else lines
        groups = sorted((group.page, 7) for group in self.groups)
        body += [".SH SEE ALSO"]
        body += references([("multiproc-worker", 1)] + groups)
        self.page([OVERVIEW], 7, self.options.brief, body)

    def given_page(self, path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for word in ("date", "source", "bindir"):
            value = getattr(self.options, word)
            if word == "bindir":
                value = escape(value)
            text = text.replace("@%s@" % word, value)
        name, section = os.path.basename(path).rsplit(".", 1)
        self.write(name, int(section), text.rstrip("\n").split("\n"))


def references(pages):
    rows = [".BR %s (%d)," % (escape(name), section) for name, section in pages]
    return rows[:-1] + [rows[-1].rstrip(",")]


def check(manual):
    """How many sentences are missing; prints which."""
    count = 0
    for group in manual.groups:
        for entry in group.entries:
            for gap in gaps(entry, manual.meanings):
                print("%s:%d: %s %s" % (entry.place + (entry.name, gap)),
                      file=sys.stderr)
                count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    for word in ("date", "source", "bindir", "brief"):
        parser.add_argument("--" + word, default="")
    parser.add_argument("xml")
    parser.add_argument("man")
    parser.add_argument("pages", nargs="*")
    options = parser.parse_args()
    manual = Manual(options.man, options)
    if options.check and check(manual) > 0:
        return 1
    for group in manual.groups:
        manual.group_page(group)
        for family in group.families():
            manual.entry_pages(family)
    manual.overview()
    for path in options.pages:
        manual.given_page(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
