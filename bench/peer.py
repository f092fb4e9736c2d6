# SPDX-License-Identifier: MIT
"""What the benchmarks are compared with, in Python.

Reads "COMMAND COUNT" lines, does COMMAND COUNT times, and answers with the
seconds it took. The first line it writes is its own name.
"""
import multiprocessing
import os
import pickle
import platform
import sys
import time
from multiprocessing.connection import Client, Listener

SMALL = [42, None, "hello", 3.14, {"k": list(range(10))}]
MILLION = 1_000_000


def target():
    pass


def start_and_join(method, count):
    context = multiprocessing.get_context(method)
    began = time.perf_counter()
    for _ in range(count):
        process = context.Process(target=target)
        process.start()
        process.join()
        assert process.exitcode == 0
        process.close()
    return time.perf_counter() - began


def acquire_and_release(make, count):
    lock = make()
    began = time.perf_counter()
    for _ in range(count):
        lock.acquire()
        lock.release()
    return time.perf_counter() - began


def increment_value(count):
    value = multiprocessing.Value("i", 0)
    began = time.perf_counter()
    for _ in range(count):
        with value.get_lock():
            value.value += 1
    seconds = time.perf_counter() - began
    assert value.value == count
    return seconds


def pickle_roundtrip(count):
    dumps, loads = pickle.dumps, pickle.loads
    began = time.perf_counter()
    for _ in range(count):
        result = loads(dumps(SMALL))
    seconds = time.perf_counter() - began
    assert result == SMALL
    return seconds


def pickle_load_million(count):
    data = pickle.dumps(list(range(MILLION)))
    seconds = 0.0
    for _ in range(count):
        began = time.perf_counter()
        result = pickle.loads(data)
        size, last = len(result), result[-1]
        del result
        seconds += time.perf_counter() - began
        assert (size, last) == (MILLION, MILLION - 1)
    return seconds


def pickle_dump_million(count):
    numbers = list(range(MILLION))
    began = time.perf_counter()
    for _ in range(count):
        data = pickle.dumps(numbers)
    seconds = time.perf_counter() - began
    assert pickle.loads(data) == numbers
    return seconds


def on_one_processor(run, count):
    """Where it can be asked for; as the row it is compared with."""
    if not hasattr(os, "sched_setaffinity"):
        return run(count)
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        return run(count)
    finally:
        os.sched_setaffinity(0, processors)


def echo(end):
    try:
        while True:
            end.send_bytes(end.recv_bytes())
    except EOFError:
        pass


def exchange(count):
    near, far = multiprocessing.Pipe()
    process = multiprocessing.Process(target=echo, args=(far,), daemon=True)
    process.start()
    message = b"there and back again".ljust(64)
    near.send_bytes(message)
    near.recv_bytes()
    began = time.perf_counter()
    for _ in range(count):
        near.send_bytes(message)
        answer = near.recv_bytes()
    seconds = time.perf_counter() - began
    assert answer == message
    process.terminate()
    process.join()
    return seconds


def receive_guests(end):
    with Listener(authkey=b"secret") as listener:
        end.send(listener.address)
        while True:
            listener.accept().close()


def visit(count):
    near, far = multiprocessing.Pipe()
    process = multiprocessing.Process(target=receive_guests, args=(far,),
                                      daemon=True)
    process.start()
    address = near.recv()
    Client(address, authkey=b"secret").close()
    began = time.perf_counter()
    for _ in range(count):
        Client(address, authkey=b"secret").close()
    seconds = time.perf_counter() - began
    process.terminate()
    process.join()
    return seconds


def get_from_dict(count):
    with multiprocessing.Manager() as manager:
        shared = manager.dict({"k%07d" % i: b"sixteen bytes..."
                               for i in range(1000)})
        keys = ["k%07d" % (i * 7919 % 1000) for i in range(count)]
        began = time.perf_counter()
        for key in keys:
            result = shared[key]
        seconds = time.perf_counter() - began
        assert result[:7] == b"sixteen"
    return seconds


def set_in_dict(count):
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        keys = ["k%07d" % (i * 7919 % 1000) for i in range(count)]
        began = time.perf_counter()
        for key in keys:
            shared[key] = b"sixteen bytes..."
        seconds = time.perf_counter() - began
        assert len(shared) == min(count, 1000)
    return seconds


def append_to_list(count):
    with multiprocessing.Manager() as manager:
        shared = manager.list()
        began = time.perf_counter()
        for _ in range(count):
            shared.append(b"sixteen bytes...")
        seconds = time.perf_counter() - began
        assert len(shared) == count
    return seconds


def get_all(queue, count, done):
    done.send(None)
    for _ in range(count):
        queue.get()
    done.send(None)


def pass_ints(count):
    queue = multiprocessing.Queue(1024)
    near, far = multiprocessing.Pipe()
    process = multiprocessing.Process(target=get_all,
                                      args=(queue, count, far))
    process.start()
    near.recv()
    began = time.perf_counter()
    for number in range(count):
        queue.put(number)
    near.recv()
    seconds = time.perf_counter() - began
    process.join()
    assert queue.empty()
    return seconds


def nothing(number):
    pass


def same(value):
    return value


def spawn_pool(processes=2):
    pool = multiprocessing.get_context("spawn").Pool(processes)
    pool.map(nothing, range(8), 1)
    return pool


def map_in_pool(function, items, chunksize=None):
    with spawn_pool() as pool:
        began = time.perf_counter()
        results = pool.map(function, items, chunksize)
        seconds = time.perf_counter() - began
        assert len(results) == len(items)
    return seconds


def apply_in_pool(count):
    with spawn_pool() as pool:
        began = time.perf_counter()
        for number in range(count):
            result = pool.apply(same, (number,))
        seconds = time.perf_counter() - began
        assert result == count - 1
    return seconds


COMMANDS = {
    "connection.accept": lambda count: on_one_processor(visit, count),
    "connection.roundtrip": lambda count: on_one_processor(exchange, count),
    "spawn": lambda count: start_and_join("spawn", count),
    "fork": lambda count: start_and_join("fork", count),
    "forkserver": lambda count: start_and_join("forkserver", count),
    "lock": lambda count: acquire_and_release(multiprocessing.Lock, count),
    "rlock": lambda count: acquire_and_release(multiprocessing.RLock, count),
    "semaphore":
        lambda count: acquire_and_release(multiprocessing.Semaphore, count),
    "pool.apply": lambda count: on_one_processor(apply_in_pool, count),
    "pool.apply.free": apply_in_pool,
    "pool.map.auto":
        lambda count: map_in_pool(nothing, list(range(count))),
    "pool.map.chunk1":
        lambda count: map_in_pool(nothing, list(range(count)), 1),
    "pool.map.large":
        lambda count: map_in_pool(same, [b"%d" % (i % 10) * 2**20
                                         for i in range(count)]),
    "queue.int": pass_ints,
    "shared_dict.get": get_from_dict,
    "shared_dict.set": set_in_dict,
    "shared_list.append": append_to_list,
    "value.increment": increment_value,
    "pickle.roundtrip": pickle_roundtrip,
    "pickle.load.million": pickle_load_million,
    "pickle.dump.million": pickle_dump_million,
}


def main():
    print(platform.python_implementation(), platform.python_version(),
          flush=True)
    for line in sys.stdin:
        command, count = line.split()
        print("%.9f" % COMMANDS[command](int(count)), flush=True)


if __name__ == "__main__":
    main()
