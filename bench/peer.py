# SPDX-License-Identifier: MIT
"""What the benchmarks are compared with, in Python.

Reads "COMMAND COUNT" lines, does COMMAND COUNT times, and answers with the
seconds it took; if processes shared the work, also with the slowest one's
speed divided by the fastest one's. COMMAND may end in a colon and a number:
of how many processes or objects, or beside how many MiB. The first line it
writes is its own name.
"""
import multiprocessing
import os
import pickle
import platform
import socket
import sys
import time
from multiprocessing.connection import Client, Listener, wait

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


held = b""


def start_beside(mebibytes, method, count):
    """While this process holds so much memory that it has touched."""
    global held
    if len(held) != mebibytes << 20:
        held = b""
        held = b"x" * (mebibytes << 20)
    return start_and_join(method, count)


def run_together(functions, arguments):
    """Forks a process for each, which gets its place among them."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=function, args=(place, *arguments))
                 for place, function in enumerate(functions)]
    for process in processes:
        process.start()
    return processes


def join_all(processes):
    for process in processes:
        process.join()
        assert process.exitcode == 0


def want_lock(place, lock, ready, stage, done):
    with ready.get_lock():
        ready.value += 1
    while stage.value == 0:
        time.sleep(0.0005)
    mine = 0
    while stage.value == 1:
        lock.acquire()
        lock.release()
        mine += 1
    done[place] = mine


def contend(processes, count):
    window = 0.2 if processes <= 16 else processes / 80
    lock = multiprocessing.Lock()
    ready = multiprocessing.Value("i", 0)
    stage = multiprocessing.RawValue("i", 0)
    done = multiprocessing.RawArray("l", processes)
    workers = run_together([want_lock] * processes, (lock, ready, stage, done))
    while ready.value < processes:
        time.sleep(0.0005)
    began = time.perf_counter()
    stage.value = 1
    time.sleep(window)
    stage.value = 2
    seconds = time.perf_counter() - began
    join_all(workers)
    seconds = seconds / sum(done) * count
    return seconds if processes == 1 else (seconds, min(done) / max(done))


def begin_work(place, ready, stage, began):
    with ready.get_lock():
        ready.value += 1
    while stage.value == 0:
        time.sleep(0.0002)
    began[place] = time.perf_counter()


def put_some(place, queue, each, ready, stage, began, ended):
    item = b"x" * 64
    begin_work(place, ready, stage, began)
    for _ in range(each):
        queue.put(item)
    queue.close()
    queue.join_thread()
    ended[place] = time.perf_counter()


def get_some(place, queue, each, ready, stage, began, ended):
    begin_work(place, ready, stage, began)
    for _ in range(each):
        queue.get()
    ended[place] = time.perf_counter()


def put_and_get_some(place, queue, each, ready, stage, began, ended):
    item = b"x" * 64
    begin_work(place, ready, stage, began)
    for _ in range(each):
        queue.put(item)
        queue.get()
    ended[place] = time.perf_counter()


def pass_among(processes, count):
    half = processes // 2
    jobs = [put_some] * half + [get_some] * half or [put_and_get_some]
    queue = multiprocessing.Queue(1024)
    ready = multiprocessing.Value("i", 0)
    stage = multiprocessing.RawValue("i", 0)
    began = multiprocessing.RawArray("d", processes)
    ended = multiprocessing.RawArray("d", processes)
    each = max(count // max(half, 1), 1)
    workers = run_together(jobs, (queue, each, ready, stage, began, ended))
    while ready.value < processes:
        time.sleep(0.0005)
    stage.value = 1
    join_all(workers)
    each_took = [last - first for first, last in zip(began, ended)]
    seconds = max(ended) - min(began)
    if processes <= 2:
        return seconds
    return seconds, min(each_took) / max(each_took)


def map_in_forked_pool(processes, count):
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        pool.map(nothing, range(processes), 1)
        items = list(range(count))
        began = time.perf_counter()
        results = pool.map(nothing, items, 1)
        seconds = time.perf_counter() - began
        assert len(results) == count
    return seconds


def allow_many_descriptors():
    try:
        import resource
    except ImportError:
        return
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def wait_for(objects, count):
    allow_many_descriptors()
    near, far = multiprocessing.Pipe()
    message = b"one of many".ljust(64)
    idle = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            for _ in range(objects - 1)]
    everything = [*idle, near]
    began = time.perf_counter()
    for _ in range(count):
        far.send_bytes(message)
        ready = wait(everything)
        near.recv_bytes()
    seconds = time.perf_counter() - began
    assert ready == [near]
    for one in idle:
        one.close()
    return seconds


def cycle_memory(size, count):
    from multiprocessing.shared_memory import SharedMemory

    content = b"x" * size
    name = "multiproc-bench-%d" % os.getpid()
    began = time.perf_counter()
    for _ in range(count):
        made = SharedMemory(name, create=True, size=size)
        attached = SharedMemory(name)
        attached.buf[:size] = content
        assert made.buf[size - 1] == 120
        attached.close()
        made.unlink()
        made.close()
    return time.perf_counter() - began


# With the number after the colon.
SCALED = {
    "scale.lock": contend,
    "scale.queue": pass_among,
    "scale.pool": map_in_forked_pool,
    "scale.start.spawn": lambda mib, count: start_beside(mib, "spawn", count),
    "scale.start.fork": lambda mib, count: start_beside(mib, "fork", count),
    "scale.start.forkserver":
        lambda mib, count: start_beside(mib, "forkserver", count),
    "shared_memory": cycle_memory,
    "wait": wait_for,
}

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
    "pickle.roundtrip": lambda count: on_one_processor(pickle_roundtrip, count),
    "pickle.load.million": lambda count: on_one_processor(
        pickle_load_million, count
    ),
    "pickle.dump.million": lambda count: on_one_processor(
        pickle_dump_million, count
    ),
}


def main():
    print(platform.python_implementation(), platform.python_version(),
          flush=True)
    for line in sys.stdin:
        command, count = line.split()
        command, _, scale = command.partition(":")
        if scale:
            took = SCALED[command](int(scale), int(count))
        else:
            took = COMMANDS[command](int(count))
        took = took if isinstance(took, tuple) else (took,)
        print(*("%.9f" % number for number in took), flush=True)


if __name__ == "__main__":
    main()
