# SPDX-License-Identifier: MIT
"""Python's half of test_pickle_python: writes pickles, or checks ours.

    interop_pickle.py write OUT       every value in every protocol
    interop_pickle.py check OUT BACK  BACK holds what we made of OUT's values

A file is a run of records, each a length of four bytes (little-endian) and
that many bytes. OUT has two for each pickle: the pickle, and the value's
repr(), empty if it depends on the order of a set.
"""
import pickle
import random
import struct
import sys

FLOATS = [0.0, -0.0, 1.5, 0.1, 1e16, 1e15, 1e-4, 1e-5, 5e-324, 1e22, 1e23,
          1.7976931348623157e308, float("inf"), float("-inf"), 2.0 ** -44]
TEXTS = ["", "a", "it's", "'\"", "\n\t\\\0\x7f", "\xe9\u20ac\U0001f600",
         "\udc80", "\xa0\xad\u200b", "x" * 255, "y" * 256, "z" * 70000]


def number(choice):
    bits = choice.randrange(64)
    return choice.randrange(-(1 << bits), 1 << bits)


def leaf(choice):
    return choice.choice([
        lambda: None,
        lambda: choice.random() < 0.5,
        lambda: number(choice),
        lambda: choice.choice(FLOATS) if choice.random() < 0.5
        else choice.random() * 10.0 ** choice.randrange(-20, 20),
        lambda: choice.choice(TEXTS),
        lambda: choice.choice(TEXTS).encode("utf-8", "surrogatepass"),
    ])()


def value(choice, depth):
    size = choice.choice([0, 1, 2, 3, 4, 7])
    kind = choice.randrange(5 if depth else 1)
    if kind == 1:
        return [value(choice, depth - 1) for _ in range(size)]
    if kind == 2:
        return tuple(value(choice, depth - 1) for _ in range(size))
    if kind == 3:
        return {leaf(choice): value(choice, depth - 1) for _ in range(size)}
    if kind == 4:
        return {leaf(choice) for _ in range(size)}
    return leaf(choice)


def values():
    choice = random.Random(1)
    shared = ["shared"]
    yield FLOATS
    yield TEXTS
    yield [shared, (shared, shared), {"k": shared}]
    yield [bytearray(b""), bytearray(b"\0\xff")]
    yield frozenset([1, "a"])
    for size in 999, 1000, 1001, 2000:
        yield list(range(size))
        yield {i: -i for i in range(size)}
        yield set(range(size))
    yield [-2 ** 63, 2 ** 63 - 1, 2 ** 31, -2 ** 31, 255, 256, 65535, 65536]
    for depth in range(5):
        for _ in range(60):
            yield value(choice, depth)


def has_set(obj):
    if isinstance(obj, dict):
        return any(has_set(item) for item in obj.values())
    if isinstance(obj, (list, tuple)):
        return any(has_set(item) for item in obj)
    return isinstance(obj, (set, frozenset))


def has_bytearray(obj):
    return isinstance(obj, bytearray) or (
        isinstance(obj, list) and any(map(has_bytearray, obj)))


def pickles():
    for obj in values():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            yield obj, protocol, pickle.dumps(obj, protocol)


def put(file, data):
    file.write(struct.pack("<I", len(data)) + data)


def get(file):
    return file.read(struct.unpack("<I", file.read(4))[0])


def write(path):
    with open(path, "wb") as file:
        for obj, _, data in pickles():
            is_known = not has_set(obj) and not has_bytearray(obj)
            put(file, data)
            put(file, repr(obj).encode("utf-8", "surrogatepass")
                if is_known else b"")


def check(written, back):
    """BACK is equal, and equal byte by byte where CPython 3.8+ wrote 4."""
    with open(written, "rb") as theirs, open(back, "rb") as ours:
        for obj, protocol, data in pickles():
            original = get(theirs)
            get(theirs)
            copy = get(ours)
            # In another process a set may have another order.
            assert has_set(obj) or original == data
            assert pickle.loads(copy) == obj, (protocol, obj)
            if (sys.version_info >= (3, 8) and protocol == 4
                    and not isinstance(obj, frozenset)
                    and not has_bytearray(obj)):
                assert copy == original, (copy[:200], original[:200])
        assert not theirs.read() and not ours.read()


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
