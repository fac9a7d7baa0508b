# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Functions of every kind whose lines do known amounts, profiled in this process, while another
thread allocates and frees all the time. Prints one JSON object: per label what was counted."""
import asyncio
import ctypes
import functools
import gc
import json
import linecache
import mmap
import sys
import threading

from pymem_bpf.counter import Counter
from pymem_bpf.line_profiler import LineProfiler

MIB = 1 << 20
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def grow(mib=1):
    """Address of fresh memory, all of it resident: exactly so much, whatever malloc does."""
    address = libc.mmap(None, mib * MIB, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.madvise(address, mib * MIB, 15)
    ctypes.memset(address, 1, mib * MIB)
    return address


def free(address, mib=1):
    libc.munmap(address, mib * MIB)


def loop(n):                            # L:loop_def
    for i in range(n):                  # L:loop_for
        address = grow()                # L:loop_grow
        size = i                        # L:loop_nothing
        free(address)                   # L:loop_free
    return grow(3) and size             # L:loop_keep


def one_line(n): return grow(n)         # L:one_line


def recurse(n):
    grow()                              # L:recurse_grow
    if n:
        recurse(n - 1)                  # L:recurse_call


def generate(n):
    for i in range(n):                  # L:generate_for
        address = grow()                # L:generate_grow
        yield i                         # L:generate_yield
        free(address)                   # L:generate_free


def thrown():
    try:
        yield 1                         # L:thrown_yield
    except KeyError:
        grow(2)                         # L:thrown_grow


def drive():
    for _ in generate(4):
        grow()                          # L:drive_body
    generator = thrown()
    next(generator)
    try:
        generator.throw(KeyError())     # L:drive_throw
    except StopIteration:
        pass


def fail():
    grow(2)                             # L:fail_grow
    raise ValueError                    # L:fail_raise


def catch():
    for _ in range(3):
        try:
            fail()                      # L:catch_call
        except ValueError:
            pass                        # L:catch_pass


class Thing:
    def method(self):
        grow(2)                         # L:method

    @staticmethod
    def static():
        grow(3)                         # L:static

    @classmethod
    def of_class(cls):
        grow(4)                         # L:of_class

    @property
    def attribute(self):
        return grow(5)                  # L:property


def decorated_by(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper


@decorated_by
def decorated():
    grow(2)                             # L:decorated


def outer():
    def inner(n):
        grow(n)                         # L:inner
    inner(2)                            # L:outer_call
    quick = lambda: grow(3)             # L:lambda
    quick()                             # L:lambda_call
    return [grow() for _ in range(4)]   # L:comprehension


async def coroutine():
    grow(2)                             # L:await_before
    await asyncio.sleep(0.01)           # L:await
    grow(3)                             # L:await_after


async def ticks():
    for i in range(3):
        grow()                          # L:ticks_grow
        yield i


async def gather():
    await asyncio.gather(coroutine(), coroutine())
    async for _ in ticks():
        grow()                          # L:gather_body


SOURCE = "def typed(n):\n    grow(n)\n    return n\n"
linecache.cache["<cell 1>"] = (len(SOURCE), None, SOURCE.splitlines(True), "<cell 1>")
exec(compile(SOURCE, "<cell 1>", "exec"))

THING = Thing()
FUNCTIONS = [loop, one_line, recurse, generate, thrown, drive, fail, catch, Thing, decorated, outer,
             coroutine, ticks, gather, globals()["typed"]]


def work():
    loop(50)
    one_line(2)
    recurse(3)
    drive()
    catch()
    THING.method()
    Thing.static()
    Thing.of_class()
    THING.attribute
    decorated()
    outer()
    asyncio.run(gather())
    globals()["typed"](2)


def noise(stop, running):
    while not stop.is_set():
        address = grow(5)
        running.set()
        free(address, 5)


def labels():
    with open(__file__) as f:
        return {text.split("# L:")[1].strip(): number
                for number, text in enumerate(f, 1) if "# L:" in text and "split" not in text}


def main():
    gc.collect()
    gc.disable()
    asyncio.run(asyncio.sleep(0))       # what it imports is not the functions'
    with Counter(socket=sys.argv[1]) as counter:
        work()                          # once before: caches are warm, page tables are there
        profiler = LineProfiler(*FUNCTIONS, counter=counter)
        stop, running = threading.Event(), threading.Event()
        thread = threading.Thread(target=noise, args=(stop, running), daemon=True)
        thread.start()
        running.wait()
        profiler.runcall(work)
        stop.set()
        thread.join()
        by_line = {}
        for result in profiler.results():
            for number, line in result.lines.items():
                key = (result.filename, number)
                assert key not in by_line, key
                by_line[key] = [line.occurrences, line.increment_bytes]
        said = {label: by_line.get((__file__, number)) for label, number in labels().items()}
        said["typed"] = by_line.get(("<cell 1>", 2))
        json.dump({"lines": said, "cut": profiler.cut, "missed": profiler.missed,
                   "calls": {r.name: r.calls for r in profiler.results()}}, sys.stdout)


main()
