# SPDX-License-Identifier: MIT
"""For man.py: Doxygen's paragraphs, lists and blocks of code as roff."""
import re
import xml.etree.ElementTree as ElementTree

HEADER = re.compile(r"\b[a-z_]+\.h\b")


def escape(text):
    for plain, roff in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"),
                        ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")):
        text = text.replace(plain, roff)
    return text


def headers_in(element):
    return HEADER.findall("".join(element.itertext()))


def line(text):
    """Text that begins a line of its own."""
    return "\\&" + text if text.startswith((".", "'")) else text


def plain(element):
    return " ".join("".join(element.itertext()).split())


def reference(page):
    return "\\fB%s\\fR(%d)" % (escape(page[0]), page[1])


class Roff:
    """Turns Doxygen's elements into roff."""

    def __init__(self, names, headers):
        self.names = names  # of pages, by Doxygen's id
        self.headers = headers  # pages of groups, by the name of their header

    def text(self, text):
        """A header's name is that of its group's page."""
        def refer(match):
            page = self.headers.get(match.group())
            return match.group() if page is None else reference(page)

        return HEADER.sub(refer, escape(text or ""))

    def inline(self, element):
        return "".join(self.inline_parts(element))

    def inline_parts(self, element):
        yield self.text(element.text)
        for child in element:
            yield self.inline_child(child)
            yield self.text(child.tail)

    def inline_child(self, child):
        if child.tag == "ref":
            page = self.names.get(child.get("refid"))
            if child.get("kindref") == "compound" and page is not None:
                return reference(page)
            return self.inline(child)
        if child.tag in ("bold", "computeroutput"):
            return "\\fB%s\\fR" % self.inline(child)
        if child.tag == "emphasis":
            return "\\fI%s\\fR" % self.inline(child)
        if child.tag == "linebreak":
            return "\n.br\n"
        if child.tag == "ndash":
            return "\\-"
        return self.inline(child)

    def flow(self, element):
        """What a paragraph says, on a line of its own; "" if nothing."""
        text = re.sub(r"[ \n]+", " ", self.inline(element)).strip()
        return line(text)

    def block(self, element):
        """Of what holds paragraphs, a list of lines; parameters and what is
        said about returning have sections of their own."""
        lines = []
        for child in element:
            if child.tag == "para":
                lines += self.paragraph(child)
            elif child.tag in ("sect1", "sect2"):
                lines += self.section(child)
        return lines

    def section(self, element):
        macro = ".SH" if element.tag == "sect1" else ".SS"
        title = escape(plain(element.find("title")))
        if macro == ".SH":
            title = title.upper()
        lines = ["%s %s" % (macro, title)] + self.block(element)
        if len(lines) > 1 and lines[1] == ".PP":
            del lines[1]  # the first paragraph needs none
        return lines

    def paragraph(self, para):
        lines = []
        rest = ElementTree.Element("para")
        rest.text = para.text
        for child in para:
            special = self.special(child)
            if special is None:
                rest.append(child)
                continue
            lines += self.text_of(rest) + special
            rest = ElementTree.Element("para")
            rest.text = child.tail
        return lines + self.text_of(rest)

    def text_of(self, para):
        text = self.flow(para)
        return [".PP", text] if text else []

    def special(self, child):
        """The lines of what is no text; None: it is text."""
        if child.tag in ("verbatim", "preformatted", "programlisting"):
            return self.code(child)
        if child.tag in ("itemizedlist", "orderedlist"):
            return self.items(child)
        if child.tag in ("simplesect", "parameterlist"):
            return []
        if child.tag == "table":
            raise SystemExit("man.py: there are no tables in manual pages")
        return None

    def code(self, element):
        text = "".join(element.itertext()).strip("\n")
        return ([".PP", ".in +4n", ".nf"]
                + [line(escape(row.rstrip())) for row in text.split("\n")]
                + [".fi", ".in"])

    def items(self, element):
        lines = []
        for number, item in enumerate(element.findall("listitem"), 1):
            tag = "%d." % number
            if element.tag == "itemizedlist":
                tag = "\\(bu"
            body = self.block(item)
            lines += [".IP %s 4" % tag] + body[1:]  # without its .PP
        return lines
