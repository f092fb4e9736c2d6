# SPDX-License-Identifier: MIT
"""Python's side of test_shared_memory_python.c.

interop_shared_memory.py <what to do> <names ...>; an assertion that fails is
exit code 1. Python 3.8 to 3.13.
"""
import pickle
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import ShareableList, SharedMemory

SIZE = 10000
VALUES = [0, -1, 2**63 - 1, -2**63, 1.5, -0.0, float("inf"), 5e-324,
          True, False, None, "", "abc", "12345678", "\u00e9" * 8,
          "\U0001f40d\U0001f40d", "h\u00e9llo w\u00f6rld", b"", b"\0a\0b",
          b"\xff" * 9, "x" * 1000]
# What becomes of the items by turns: of each type another.
CHANGES = [(0, None), (1, True), (2, 2.5), (3, "12345678"), (4, b"\xff\0\xfe"),
           (8, None), (9, 7), (10, "was no\u00f1e"[:7]), (14, None), (15, False),
           (19, "\u00e9" * 8), (20, b"y" * 1000)]


def pattern(step):
    return bytes(i * step % 251 for i in range(SIZE))


def keep(memory):
    """The tracker does not unlink it when this process ends."""
    if sys.platform != "win32" and getattr(memory, "_track", True):
        resource_tracker.unregister(memory._name, "shared_memory")
    return memory


def attach(name):
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    return keep(SharedMemory(name))


def attach_list(name):
    items = ShareableList(name=name)
    keep(items.shm)
    return items


def same(left, right):
    return (type(left), repr(left)) == (type(right), repr(right))


def assert_items(items, expected):
    assert len(items) == len(expected), (len(items), len(expected))
    for i, (left, right) in enumerate(zip(items, expected)):
        assert same(left, right), (i, left, right)


def changed():
    expected = list(VALUES)
    for i, value in CHANGES:
        expected[i] = value
    return expected


def use(name):
    memory = attach(name)
    assert memory.name == name and memory.size >= SIZE
    assert bytes(memory.buf[:SIZE]) == pattern(3)
    memory.buf[:SIZE] = pattern(5)
    memory.close()


def make(name):
    memory = keep(SharedMemory(name, create=True, size=SIZE))
    memory.buf[:SIZE] = pattern(3)
    memory.close()


def check(name):
    memory = attach(name)
    assert bytes(memory.buf[:SIZE]) == pattern(5)
    memory.close()


def unlink(name):
    memory = SharedMemory(name)
    memory.close()
    memory.unlink()


def taken(name):
    try:
        SharedMemory(name, create=True, size=1)
    except FileExistsError:
        return
    raise AssertionError


def gone(name):
    try:
        SharedMemory(name)
    except FileNotFoundError:
        return
    raise AssertionError


def tracked(name):
    SharedMemory(name).close()


def read_list(name):
    items = attach_list(name)
    assert_items(items, VALUES)
    assert items.count(True) == list(VALUES).count(True)
    assert items.index("abc") == 12
    for i, value in CHANGES:
        items[i] = value
    assert_items(items, changed())
    items.shm.close()


def make_list(name):
    items = ShareableList(VALUES, name=name)
    keep(items.shm)
    items.shm.close()


def make_broken_list(name):
    """What the str has no room for is lost: half a letter, and NULs."""
    items = ShareableList(["h" + "\u00e9" * 12, b"a\0"], name=name)
    keep(items.shm)
    items.shm.close()


def check_list(name):
    items = attach_list(name)
    assert_items(items, changed())
    items.shm.close()


def describe(name, path):
    """Python's own words about it, to be compared with ours."""
    items = attach_list(name)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(items.format + "\n" + repr(items))
    items.shm.close()


def take(path):
    with open(path, "rb") as file:
        memory, items = pickle.load(file)
    keep(memory)
    keep(items.shm)
    assert type(memory) is SharedMemory and type(items) is ShareableList
    memory.buf[:4] = b"taken"[:4]
    items[0] = "taken"
    items.shm.close()
    memory.close()


def give(memory_name, list_name, path):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        memory = attach(memory_name)
        items = attach_list(list_name)
        with open("%s.%d" % (path, protocol), "wb") as file:
            pickle.dump([memory, items, memory], file, protocol)
        items.shm.close()
        memory.close()


globals()[sys.argv[1]](*sys.argv[2:])
