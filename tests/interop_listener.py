# SPDX-License-Identifier: MIT
"""Python's side of test_listener_python.c.

interop_listener.py client <what to do> <key> <address ...>
interop_listener.py server <what to do> <key> <family> <folder>

A key is "k" and hexadecimal digits, or "-" for none. An address is "inet HOST
PORT", or "path PATH". A server tells its own in the file "address" of that
folder. An assertion that fails is exit code 1. Python 3.6 to 3.13.
"""
import os
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from multiprocessing.connection import answer_challenge, deliver_challenge

# How a connection ends for whom the other side has sent away; which one
# depends on what was on its way at that moment.
ENDS = (EOFError, ConnectionResetError, BrokenPipeError)

# Each as Python's own pickler of this version writes it.
VALUES = [None, True, False, 0, 255, 256, 65535, 65536, -1, 2**31, -2**31 - 1,
          2**63 - 1, -2**63, 0.0, -0.0, 1.5, -1e300, 5e-324, float("inf"),
          "", "abc", "h\u00e9llo", "\U0001f40d" * 3, "\0", "x" * 300,
          b"", b"\0\xff", b"y" * 300, [], [[]], set(), [1, [2, [3]]], (), (1,), (1, 2),
          (1, 2, 3), (1, 2, 3, 4), {}, {"k": [1, {"n": None}], 3: (4,)},
          {1}, {"only"}, list(range(5000)), {str(i): i for i in range(2000)}]


def parse_key(text):
    return None if text == "-" else bytes.fromhex(text[1:])


def parse_address(family, *rest):
    return (rest[0], int(rest[1])) if family == "inet" else rest[0]


# -- Once connected ------------------------------------------------------------

def same(left, right):
    return (type(left), repr(left)) == (type(right), repr(right))


def echo(conn):
    """What it sends comes back; then the other way round; then bytes."""
    obj = conn.recv()
    while obj != "your turn":
        conn.send(obj)
        obj = conn.recv()
    for value in VALUES:
        conn.send((repr(value), value))
        back = conn.recv()
        assert same(value, back), (value, back)
    conn.send(os.getpid())
    try:
        while True:
            conn.send_bytes(conn.recv_bytes())
    except EOFError:
        pass


def fails(connect):
    """It is told that it is not who it says it is."""
    try:
        connect()
    except AuthenticationError:
        return
    raise AssertionError("it connected")


def is_sent_away(connect):
    """It learns that, or is hung up on."""
    try:
        connect()
    except (AuthenticationError,) + ENDS:
        return
    raise AssertionError("it connected")


def gets_a_challenge(connect):
    """It has no key, and finds out what it should have answered."""
    conn = connect()
    assert conn.recv_bytes().startswith(b"#CHALLENGE#")
    hears_nothing(lambda: conn)


def hears_nothing(connect):
    conn = connect()
    try:
        conn.recv_bytes()
    except ENDS:
        return
    raise AssertionError("there was a message")


def meets_a_stranger(connect):
    """It has a key; what it gets instead of a challenge is a message."""
    try:
        connect()
    except (AuthenticationError, AssertionError):
        return
    raise AssertionError("it connected")


def prove(conn, digest):
    """As 3.12 and later do if they are told to use another digest."""
    def deliver():
        deliver_challenge(conn, KEY, digest_name=digest)

    def answer():
        answer_challenge(conn, KEY)

    for step in [answer, deliver] if ROLE == "client" else [deliver, answer]:
        step()
    return conn


ACTIONS = {
    "echo": lambda connect: echo(connect()),
    "fails": fails,
    "is_sent_away": is_sent_away,
    "gets_a_challenge": gets_a_challenge,
    "hears_nothing": hears_nothing,
    "meets_a_stranger": meets_a_stranger,
    "md5": lambda connect: echo(prove(connect(), "md5")),
    "md5_refused": lambda connect: is_sent_away(
        lambda: prove(connect(), "md5")),
    "sha384_refused": lambda connect: is_sent_away(
        lambda: prove(connect(), "sha384")),
}
PROVING = ["md5", "md5_refused", "sha384_refused"]  # by themselves


# -- Connecting ----------------------------------------------------------------

def client(what, key, *address):
    ACTIONS[what](lambda: Client(parse_address(*address), authkey=key))


def tell(folder, address):
    """All at once: who looks for the file finds all of it."""
    draft = os.path.join(folder, "draft")
    with open(draft, "w", encoding="utf-8", newline="\n") as file:
        file.write(address if isinstance(address, str) else str(address[1]))
    os.replace(draft, os.path.join(folder, "address"))


def server(what, key, family, folder):
    if family == "inet":
        address = ("127.0.0.1", 0)
    elif sys.platform == "win32":
        address = r"\\.\pipe\interop-%d" % os.getpid()
    else:
        address = os.path.join(folder, "socket")
    with Listener(address, authkey=key) as listener:
        tell(folder, listener.address)
        ACTIONS[what](listener.accept)


ROLE, WHAT, KEY = sys.argv[1], sys.argv[2], parse_key(sys.argv[3])
{"client": client, "server": server}[ROLE](
    WHAT, None if WHAT in PROVING else KEY, *sys.argv[4:])
