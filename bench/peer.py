# SPDX-License-Identifier: MIT
"""What the benchmarks are compared with, in Python.

Reads "COMMAND COUNT" lines, does COMMAND COUNT times, and answers with the
seconds it took. The first line it writes is its own name.
"""
import multiprocessing
import pickle
import platform
import sys
import time

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


COMMANDS = {
    "spawn": lambda count: start_and_join("spawn", count),
    "fork": lambda count: start_and_join("fork", count),
    "forkserver": lambda count: start_and_join("forkserver", count),
    "lock": lambda count: acquire_and_release(multiprocessing.Lock, count),
    "rlock": lambda count: acquire_and_release(multiprocessing.RLock, count),
    "semaphore":
        lambda count: acquire_and_release(multiprocessing.Semaphore, count),
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
