# SPDX-License-Identifier: MIT
"""Whether docs/python.md is complete, and names nothing that isn't there.

    python_names.py [--list] [PROJECT]   PROJECT: its root, else this file's

- Each public name of this Python's multiprocessing and concurrent.futures
  stands in the first column of a table. Members of a class (methods,
  properties, what its instances have) stand in a section that has the class
  there, too.
  `module.*` or `Class.*` is everything in it; `*Proxy.*` everything in all that
  are called so.
- Each name of ours in the document is in include/multiproc, and each function
  there is in the document. `mp_lock_create`, `..._close` means mp_lock_close.

Prints what is missing, and fails if anything is. --list prints Python's names.
"""
import concurrent.futures
import fnmatch
import importlib
import inspect
import multiprocessing
import os
import pkgutil
import re
import sys

# -- Python's names ------------------------------------------------------------

PACKAGES = ["multiprocessing", "concurrent.futures"]


def modules():
    """Those that this system has; each system's Popen is in another one."""
    for package in map(importlib.import_module, PACKAGES):
        yield package
        for info in pkgutil.iter_modules(package.__path__):
            name = package.__name__ + "." + info.name
            try:
                yield importlib.import_module(name)
            except ImportError:
                print("%s: not on this system" % name, file=sys.stderr)


def public(names):
    return sorted(name for name in names if not name.startswith("_"))


def is_constant(name, value):
    return name.isupper() and isinstance(value, (int, str, float))


def names_of(module):
    """What the module itself says is its own, or makes."""
    names = set(getattr(module, "__all__", ()))
    if module.__name__ in PACKAGES:
        names.update(name for name in dir(module)
                     if not inspect.ismodule(getattr(module, name)))
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) == module.__name__:
            names.add(name)
        if is_constant(name, value):
            names.add(name)
    return public(names)


def instances():
    """Of classes whose methods are made with the object."""
    ours, theirs = multiprocessing.Pipe()
    executor = concurrent.futures.ProcessPoolExecutor(1)
    yield from [ours, theirs, executor, multiprocessing.Process()]
    yield from [multiprocessing.Lock(), multiprocessing.RLock(),
                multiprocessing.Semaphore(), multiprocessing.BoundedSemaphore(),
                multiprocessing.Condition(), multiprocessing.Event(),
                multiprocessing.Barrier(1)]
    yield from [multiprocessing.Value("i"), multiprocessing.Array("c", 1),
                multiprocessing.Array("i", 1), concurrent.futures.Future()]
    yield from [multiprocessing.Queue(), multiprocessing.JoinableQueue(),
                multiprocessing.SimpleQueue()]
    ours.close()
    theirs.close()
    executor.shutdown()


def members_of(cls, made):
    names = set(dir(cls))
    for instance in made:
        if isinstance(instance, cls):
            names.update(getattr(instance, "__dict__", ()))
    for base in cls.__mro__:   # bytes, set, tuple, OSError: not ours to list
        if base.__module__ == "builtins":
            names.difference_update(dir(base))
    return public(names)


def is_of_packages(value):
    return any((getattr(value, "__module__", None) or "").startswith(package)
               for package in PACKAGES)


def pythons_names():
    """(module, class or None, name), each once."""
    made = list(instances())
    for module in modules():
        for name in names_of(module):
            yield module.__name__, None, name
            value = getattr(module, name)
            if inspect.isclass(value) and is_of_packages(value):
                for member in members_of(value, made):
                    yield module.__name__, name, member


# -- The document --------------------------------------------------------------

def rows(text):
    """(section, first column, the others) of every row of a table."""
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("|") and not line.startswith(("|-", "| |")):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            yield section, cells[0], "|".join(cells[1:])


def spans(cell):
    return re.findall(r"`([^`]*)`", cell)


class Document:
    def __init__(self, text):
        self.sections = {}   # section -> names in its first columns
        self.patterns = set()
        for section, first, _ in rows(text):
            words = self.sections.setdefault(section, set())
            for span in spans(first):
                self.patterns.update(re.findall(r"([\w*]+)\.\*", span))
                words.update(re.findall(r"[A-Za-z]\w*", span))

    def has_whole(self, name):
        return any(fnmatch.fnmatchcase(name, pattern)
                   for pattern in self.patterns)

    def has(self, module, cls, name):
        if self.has_whole(module.rpartition(".")[2]):
            return True
        if cls is None:
            return self.has_whole(name) or any(
                name in words for words in self.sections.values())
        return self.has_whole(cls) or any(
            cls in words and name in words for words in self.sections.values())


# -- Our names -----------------------------------------------------------------

def headers(project):
    """The text of the public headers, without comments."""
    folder = os.path.join(project, "include", "multiproc")
    text = ""
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text += file.read()
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def names_in(cell, known):
    """Ours in a cell, with `..._close` made whole by the name before it."""
    before = ""
    for match in re.finditer(r"(\.\.\.)?\b((?:mp|MP)_\w+)|\.\.\.(_\w+)", cell):
        name = match.group(2)
        if name is None:
            name = continued(before, match.group(3), known)
        else:
            before = name
        yield name


def without_pythons(line):
    """A row of a table without its first column, where Python's names are: but
    where the table begins with ours."""
    first, bar, rest = line[1:].partition("|")
    if line.startswith("|") and bar and not re.search(r"`mp_\w+\(", first):
        return rest
    return line


def continued(before, ending, known):
    """The longest beginning of `before` that `ending` continues to a name."""
    for end in range(len(before), 2, -1):
        if before[:end] + ending in known:
            return before[:end] + ending
    return "%s...%s" % (before, ending)


def our_gaps(text, code):
    functions = set(re.findall(r"MP_API[^;{}]*?\b(mp_\w+)\s*\(", code))
    known = set(re.findall(r"\b(?:mp|MP)_\w+", code))
    mentioned = set()
    for line in text.splitlines():
        mentioned.update(names_in(without_pythons(line), known))
    for name in sorted(mentioned - known):
        yield "%s: not in include/multiproc" % name
    for name in sorted(functions - mentioned):
        yield "%s: not in docs/python.md" % name


# -- All of it -----------------------------------------------------------------

def python_gaps(text):
    document = Document(text)
    for module, cls, name in pythons_names():
        if not document.has(module, cls, name):
            whole = ".".join(filter(None, [module, cls, name]))
            yield "%s: no row in docs/python.md" % whole


def main(arguments):
    if arguments[:1] == ["--list"]:
        for parts in pythons_names():
            print(".".join(filter(None, parts)))
        return 0
    here = os.path.dirname(os.path.abspath(__file__))
    project = arguments[0] if arguments else os.path.dirname(here)
    path = os.path.join(project, "docs", "python.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    gaps = list(python_gaps(text)) + list(our_gaps(text, headers(project)))
    for gap in gaps:
        print(gap)
    print("%d gaps" % len(gaps))
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
