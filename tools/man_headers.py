# SPDX-License-Identifier: MIT
"""For man.py: what the headers declare, by group, as Doxygen's XML has it."""
import os
import re
import xml.etree.ElementTree as ElementTree

from man_roff import plain

OVERVIEW = "multiproc"
COLUMNS = 72


def spaced(text):
    """As the headers have it: "mp_obj * f" is "mp_obj *f"."""
    text = " ".join(text.split())
    text = re.sub(r"\* (?=[A-Za-z_*(])", "*", text)
    text = re.sub(r"\(\* ", "(*", text)
    text = re.sub(r"(?<=[a-z0-9_])\(\*", " (*", text)
    return re.sub(r"\) \((?=[a-z])", ")(", text)


class Entry:
    """A function, macro or type."""

    def __init__(self, element, group, section=None):
        self.element = element
        self.group = group
        self.section = section  # within @{ and @}, or those of its kind
        self.kind = element.get("kind")
        self.name = element.findtext("name")
        if self.name is None:
            self.name = element.findtext("compoundname")
        where = element.find("location")
        self.place = (where.get("file"), int(where.get("line")))
        self.brief = element.find("briefdescription")
        self.details = element.find("detaileddescription")

    def is_shadow(self):
        """A typedef of an enum or struct that has an entry of its own."""
        if self.kind != "typedef":
            return False
        structs = [i.text for i in self.group.element.findall("innerclass")]
        return (self.definition().startswith("typedef enum ")
                or self.name in structs)

    def is_opaque(self):
        return self.kind == "typedef" and self.definition() == (
            "typedef struct %s %s" % (self.name, self.name))

    def definition(self):
        return self.element.findtext("definition")

    def comment(self):
        return b"".join(ElementTree.tostring(e).strip()
                        for e in (self.brief, self.details))

    def title(self):
        return plain(self.brief).rstrip(".:")

    def members(self):
        if self.kind == "enum":
            return self.element.findall("enumvalue")
        return self.element.findall("sectiondef/memberdef")

    def parameters(self):
        names = [p.findtext("declname") or p.findtext("defname")
                 for p in self.element.findall("param")]
        return [name for name in names if name is not None]

    def parts(self, kind):
        """Of the paragraphs under @return, @threads or @fork, the elements."""
        found = []
        for part in self.details.iter("simplesect"):
            title = part.findtext("title")
            if (title or part.get("kind")) == kind:
                found += part.findall("para")
        return found

    def synopsis(self):
        if self.kind == "struct":
            return self.struct_synopsis()
        if self.kind == "enum":
            values = ["    %s," % v.findtext("name") for v in self.members()]
            return (["typedef enum %s {" % self.name] + values
                    + ["} %s;" % self.name])
        if self.kind == "define":
            parameters = ", ".join(self.parameters())
            if self.element.find("param") is not None:
                return ["%s(%s)" % (self.name, parameters)]
            return [self.name]
        text = self.definition()
        if self.kind == "function":
            text += self.element.findtext("argsstring")
        return wrap(spaced(text) + ";")

    def struct_synopsis(self):
        lines = ["typedef struct %s {" % self.name]
        for field in self.members():
            text = "".join(field.find("type").itertext()) + " "
            if not text.endswith("(* "):
                text += field.findtext("name")
            else:
                text = text.rstrip() + field.findtext("name")
            text += field.findtext("argsstring") or ""
            lines.append("    %s;" % spaced(text))
        return lines + ["} %s;" % self.name]


def wrap(text):
    """A prototype, below its first parameter if there is room."""
    if len(text) <= COLUMNS:
        return [text]
    head, bracket, rest = text.partition("(")
    parts = [part.strip()
             for part in re.findall(r"(?:[^,(]|\([^)]*\))+,?", rest)]
    head += bracket
    indent = " " * len(head)
    if any(len(indent + part) > COLUMNS for part in parts):
        return [head] + ["    " + part for part in parts]
    lines = [head + parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) > COLUMNS:
            lines.append(indent + part)
        else:
            lines[-1] += " " + part
    return lines


class Group:
    def __init__(self, element, folder):
        self.element = element
        self.id = element.get("id")
        self.name = element.findtext("compoundname")
        self.title = element.findtext("title")
        self.page = "%s-%s" % (OVERVIEW, self.name)
        self.entries = [Entry(member, self, section)
                        for section in element.findall("sectiondef")
                        for member in section.findall("memberdef")]
        for inner in element.findall("innerclass"):
            compound = load(folder, inner.get("refid"))
            self.entries.append(Entry(compound, self))
        self.brief = element.find("briefdescription")
        self.details = element.find("detaileddescription")
        self.entries = sorted((e for e in self.entries if not e.is_shadow()),
                              key=lambda entry: entry.place)

    def families(self):
        """Entries that share a comment, and braces around them."""
        families = []
        for entry in self.entries:
            for family in families:
                if (entry.section is not None
                        and entry.section.get("kind") == "user-defined"
                        and entry.section is family[0].section
                        and entry.comment() == family[0].comment()):
                    family.append(entry)
                    break
            else:
                families.append([entry])
        return families


def load(folder, name):
    path = os.path.join(folder, name + ".xml")
    return ElementTree.parse(path).getroot().find("compounddef")


def load_groups(folder):
    index = ElementTree.parse(os.path.join(folder, "index.xml")).getroot()
    return [Group(load(folder, compound.get("refid")), folder)
            for compound in index.findall("compound")
            if compound.get("kind") == "group"]


# -- What the headers leave unsaid ---------------------------------------------

def words(entry):
    return set(re.findall(r"\w+", " ".join(
        "".join(e.itertext()) for e in (entry.brief, entry.details))))


def is_answered(entry):
    """A function whose result does not speak for itself says what it is."""
    result = plain(entry.element.find("type"))
    said = [plain(p) for p in entry.parts("return")]
    if result == "mp_error":
        return bool(said) and said[0].startswith(("MP_OK", "as ", "what "))
    return bool(said) or not result.endswith("*")


def gaps_of_function(entry):
    parameters = entry.parameters()
    types = [plain(p.find("type")) for p in entry.element.findall("param")]
    if types and re.match(r"(const )?mp_\w+ \*$", types[0]):
        del parameters[0]  # the object it is about
    for name in parameters:
        if name not in words(entry):
            yield "says nothing of %s" % name
    for title in ("Threads", "Fork"):
        if not any(plain(p) for p in entry.parts(title)):
            yield "has no @%s" % title.lower()
    if not is_answered(entry):
        yield "has no @return that begins with MP_OK, or what it returns"


def gaps(entry, codes):
    """In sentences without a subject."""
    if not entry.title():
        yield "has no comment"
    for word in sorted(words(entry)):
        if re.match(r"MP_E[A-Z]+$", word) and word not in codes:
            yield "tells of %s, which is no error" % word
    if entry.kind == "function":
        yield from gaps_of_function(entry)
    if entry.kind in ("struct", "enum"):
        for member in entry.members():
            if not plain(member.find("briefdescription")):
                yield "says nothing of %s" % member.findtext("name")
