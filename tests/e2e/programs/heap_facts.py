# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps a known number of objects of each kind and tells what there is, from inside. Python 3.8 syntax."""
import array
import collections
import gc
import os
import threading
import types

from truth import say, wait

COUNT = 3000


class Plain:
    def __init__(self, n):
        self.number, self.text = n, "plain%d" % n


class Slotted:
    __slots__ = ("number", "other")

    def __init__(self, n):
        self.number, self.other = n, None


class Text(str):
    pass


Point = collections.namedtuple("Point", "x y")

DICTS = [{"n": n} for n in range(COUNT)]
PLAINS = [Plain(n) for n in range(COUNT)]
SLOTTED = [Slotted(n) for n in range(COUNT)]
TEXTS = [Text("text %d" % n) for n in range(COUNT)]
POINTS = [Point(n, -n) for n in range(COUNT)]
SETS = [{n, str(n)} for n in range(COUNT)]
FLOATS = [n + 0.5 for n in range(COUNT)]
BYTES = [b"bytes %d" % n for n in range(COUNT)]
LARGE = "large " * 500000
ARRAY = array.array("d", [1.5]) * 500000
DEQUE = collections.deque(range(100000))
HIDDEN = types.SimpleNamespace(inside=["x%d" % n for n in range(20000)])
DEEP = []
for _ in range(200000):
    DEEP = [DEEP]


def types_of(objects):
    """How many objects the collector knows of each type, by its full name."""
    found = collections.Counter()
    for one in objects:
        kind = type(one)
        module = kind.__module__
        found[kind.__qualname__ if module == "builtins" else "%s.%s" % (module, kind.__qualname__)] += 1
    return found


def worker(ready, over):
    local_rows = ["row %d" % n for n in range(COUNT)]
    ready.set()
    over.wait()
    return local_rows


ready, over = threading.Event(), threading.Event()
threading.Thread(target=worker, args=(ready, over), daemon=True).start()
ready.wait()
gc.collect()
gc.set_threshold(701, 11, 12)
gc.disable()
counts = types_of(gc.get_objects())
frozen = 0
if os.environ.get("HEAP_FREEZE"):
    gc.freeze()
    frozen = gc.get_freeze_count()
say(pid=os.getpid(), counts=dict(counts), frozen=frozen, threshold=gc.get_threshold(),
    stats=gc.get_stats(), garbage=len(gc.garbage))
wait(b"END")
