# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A heap of many kinds of objects, which are made on "make", and what CPython itself says of it: on "stats" its
allocator's figures go to the file of PYMEM_HEAP_STATS, on "truth" all objects that can be reached are counted by
type. What code objects are made of can't be reached in all versions; it is the same before and after "make".

Between "stats" and the next word nothing is made but the bytes that os.read() fills.
"""
import collections
import ctypes
import gc
import json
import os
import struct
import sys
import threading
import weakref

from truth import say


class Plain:
    def __init__(self, i):
        self.i, self.name, self.next = i, "name %d" % i, None


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, i):
        self.a, self.b = i + 1000, (i, str(i))


class Entries(dict):
    pass


class Many(list):
    __slots__ = ("owner",)


class Weak:
    pass


def make():
    """Everything that is kept; each kind in a number that shows."""
    kept = {
        "plain": {i + 5000: Plain(i) for i in range(20000)},
        "slots": [Slots(i) for i in range(20000)],
        "texts": {"text %d" % i for i in range(10000)},
        "bytes": collections.deque(bytes(bytearray([i % 256])) * (i % 700) for i in range(5000)),
        "long": ["x" * 2000 + str(i) for i in range(2000)],
        "bytearrays": [bytearray(1500) for i in range(1000)],
        "mapped": [bytearray(b"m") * (8 << 20), u"\xe9" * (3 << 20), "w" * 200000],
        "wide": [u"\u65e5\u672c %d" % i for i in range(3000)],
        "huge": [u"\U0001f600 %d" % i for i in range(1000)],
        "integers": [10 ** i for i in range(300)],
        "floats": [i * 1.5 for i in range(20000)],
        "complex": [complex(i, 1) for i in range(1000)],
        "frozen": [frozenset(range(i, i + 9)) for i in range(1000)],
        "ordered": collections.OrderedDict((str(i), i * 1.5) for i in range(5000)),
        "entries": [Entries(a=i) for i in range(1000)],
        "many": [Many(range(i % 30)) for i in range(1000)],
        "json": json.loads(json.dumps([{"a": {"b": [i, i + .25, None, "s%d" % i]}} for i in range(3000)])),
    }
    groups = collections.defaultdict(list)
    for i in range(5000):
        groups[i % 300].append("v%d" % i)
    kept["groups"] = groups
    kept["weak"] = [Weak() for _ in range(500)]
    kept["refs"] = [weakref.ref(w) for w in kept["weak"]]
    kept["generators"] = [generate(i) for i in range(500)]
    for generator in kept["generators"]:
        next(generator)
    kept["closures"] = [close_over(i) for i in range(2000)]
    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=work, args=(ready, done))
    thread.daemon = True
    thread.start()
    ready.wait()
    kept["holes"] = [str(i) * 3 for i in range(20000)]
    del kept["holes"][::2]
    gc.collect()
    return kept


def generate(n):
    buffered = [str(n) * 3 for _ in range(50)]
    while True:
        yield buffered


def close_over(i):
    values = {"k%d" % k: k for k in range(i % 20)}

    def inner():
        return values
    return inner


def work(ready, done):
    cache = {i: "w%d" % i for i in range(20000)}  # held by a frame
    ready.set()
    done.wait()
    return cache


def images():
    """Address ranges of programs and libraries, with what has no file (.bss): from their own headers."""
    found = []
    with open("/proc/self/maps") as maps:
        starts = [line.split() for line in maps if "/" in line]
    for words in starts:
        start = int(words[0].split("-")[0], 16)
        if int(words[2], 16) or "r" not in words[1] or ctypes.string_at(start, 4) != b"\x7fELF":
            continue
        kind, = struct.unpack_from("<H", ctypes.string_at(start + 16, 2))
        offset, = struct.unpack_from("<Q", ctypes.string_at(start + 32, 8))
        size, count = struct.unpack_from("<HH", ctypes.string_at(start + 54, 4))
        bias = 0 if kind == 2 else start
        for i in range(count):
            header = ctypes.string_at(start + offset + i * size, size)
            if header[:4] == b"\x01\0\0\0":
                vaddr, memory = struct.unpack_from("<Q", header, 16)[0], struct.unpack_from("<Q", header, 40)[0]
                found.append((bias + vaddr, bias + vaddr + memory))
    return found


def name_of(kind):
    return kind.__qualname__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__qualname__


def count():
    """{type: objects}: those that lie in no program's or library's data."""
    static = images()
    gc.collect()
    seen, todo = {}, gc.get_objects()
    todo.extend(sys.modules.values())
    here = sys._getframe()
    for frame in sys._current_frames().values():
        frame = here.f_back if frame is here else frame
        while frame:
            todo.extend(frame.f_locals.values())
            frame = frame.f_back
    while todo:
        found = todo.pop()
        if id(found) not in seen and found is not seen:
            seen[id(found)] = found
            todo.extend(gc.get_referents(found))
            if isinstance(found, dict):
                todo.extend(dict.keys(found))  # the collector does not visit those that are str
    counts = collections.defaultdict(int)
    for address, found in seen.items():
        if not any(start <= address < end for start, end in static):
            counts[name_of(type(found))] += 1
            # 3.15: its bytes are an object, to which the collector does not lead.
            if type(found) is bytearray and found and sys.version_info >= (3, 15):
                counts["bytes"] += 1
    return dict(counts)


def main():
    kept = None
    stats = os.open(os.environ["PYMEM_HEAP_STATS"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stats, 2)
    say(pid=os.getpid())
    while True:
        word = os.read(0, 16)
        if word == b"stats\n":
            os.lseek(2, 0, 0)
            sys._debugmallocstats()
        elif word == b"truth\n":
            say(counts=count())
        elif word == b"make\n":
            kept = make()
            say(kinds=len(kept))
        else:
            break


main()
