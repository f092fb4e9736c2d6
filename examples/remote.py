# SPDX-License-Identifier: MIT
"""The Python half of remote.c: first it calls, then it is called."""
import sys
from multiprocessing.connection import Client, Listener

KEY = b"secret password"

with Client(("127.0.0.1", int(sys.argv[1])), authkey=KEY) as conn:
    conn.send([1, 2, 3])
    print("Python got", conn.recv(), flush=True)

    with Listener(("127.0.0.1", 0), authkey=KEY) as listener:
        conn.send(listener.address[1])
        with listener.accept() as caller:
            words = caller.recv()
            print("Python was asked for", words, flush=True)
            caller.send({word: len(word) for word in words})
