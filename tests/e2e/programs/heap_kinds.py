# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ways to keep memory that a person did not mean to keep, one class each: grow() keeps one more thing, drop()
lets all of them go. `holder` is the path that a report must name first, `type` its type; what is put
there is put by the line labelled as the class is named in lower case. Python 3.8 syntax."""
import asyncio
import collections
import ctypes
import functools
import gc
import logging
import random
import threading

from truth import libc

KINDS = {}


def kind(cls):
    KINDS[cls.__name__.lower()] = cls
    return cls


class Kept:
    """The usual shape: a module variable."""

    per_step = 20  # things kept at once

    def thread(self):
        return None


# --- containers in a module ---

SESSIONS = {}


def render(n):
    """Temporary rows: they touch most of the fresh memory, and are freed at once."""
    return len("".join(["<tr><td>%d</td></tr>" % i for i in range(n)]))


@kind
class Sessions(Kept):
    """Sessions kept in a dict, beside large temporary pages."""

    holder, type = "heap_kinds.SESSIONS", "dict"

    def grow(self, n):
        SESSIONS[n] = ["session", str(n), {"seen": n, "ip": "10.0.%d.%d" % (n % 250, n % 251)}]  # L:sessions
        if n % 20 == 0:
            render(3000 + n % 700)

    def drop(self):
        SESSIONS.clear()


AUDIT = []
CACHE = collections.OrderedDict()
DICE = random.Random(5)


def load(key):
    return [("%s/%d" % (key, i), i * 1.5) for i in range(2000)]


def cached(key):
    value = CACHE.get(key)
    if value is None:
        value = CACHE[key] = load(key)
        if len(CACHE) > 20:
            CACHE.popitem(last=False)
    return value


@kind
class Audit(Kept):
    """A list of what was asked for, beside a bounded cache that is larger at first."""

    holder, type = "heap_kinds.AUDIT", "list"

    def __init__(self):
        for n in range(200):
            cached("key%d" % DICE.randrange(24))

    def grow(self, n):
        key = "key%d" % DICE.randrange(24 if n % 100 else 600)
        AUDIT.append({"k": key, "n": len(cached(key)), "t": DICE.random()})  # L:audit

    def drop(self):
        del AUDIT[:]


REPLACED = []


@kind
class Replaced(Kept):
    """What is kept takes the place of temporary objects: RSS does not move for long."""

    holder, type = "heap_kinds.REPLACED", "list"

    def __init__(self):
        len([("x%d" % i, i * 2.5) for i in range(100000)])

    def grow(self, n):
        REPLACED.append(("kept%d" % n, n * 2.5))  # L:replaced
        if n % 4000 == 0:
            len([("t%d" % i, i * 2.5) for i in range(20000)])

    def drop(self):
        del REPLACED[:]


@kind
class Bounded(Kept):
    """A bounded cache: it works, and does not grow once it is full."""

    holder, type, grows = "heap_kinds.CACHE", "collections.OrderedDict", False

    def grow(self, n):
        cached("key%d" % DICE.randrange(24))

    def drop(self):
        CACHE.clear()


# --- what a language or its library keeps for one ---

@functools.lru_cache(maxsize=None)
def square(n):
    return [n, str(n) * 20]


@kind
class LruCache(Kept):
    holder, type = "heap_kinds.square", "functools._lru_cache_wrapper"

    def grow(self, n):
        square(n)  # L:lrucache

    def drop(self):
        square.cache_clear()


@kind
class Handlers(Kept):
    """A handler a request, never removed."""

    holder, type = "handlers", "list"

    def grow(self, n):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s request " + str(n)))
        logging.getLogger("app").addHandler(handler)  # L:handlers

    def drop(self):
        logger = logging.getLogger("app")
        for handler in list(logger.handlers):
            logger.removeHandler(handler)


TASKS = set()


async def answer(n):
    return ["answer", str(n) * 10]


@kind
class Tasks(Kept):
    """asyncio's advice is to keep tasks in a set; and to discard them, which is forgotten."""

    holder, type = "heap_kinds.TASKS", "set"

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def grow(self, n):
        self.loop.run_until_complete(self.start(n))

    async def start(self, n):
        task = asyncio.ensure_future(answer(n))
        TASKS.add(task)  # L:tasks
        await task

    def drop(self):
        TASKS.clear()


def make_recorder():
    records = []

    def record(n):
        records.append(["record", str(n), n * 1.5])  # L:closure

    return record


@kind
class Closure(Kept):
    """A list that only a closure knows."""

    holder, type = "records", "list"
    record = staticmethod(make_recorder())

    def grow(self, n):
        Closure.record(n)

    def drop(self):
        Closure.record = None


class Registry:
    by_number = {}


@kind
class ClassAttribute(Kept):
    holder, type = "heap_kinds.Registry.by_number", "dict"

    def grow(self, n):
        Registry.by_number[n] = ("registered", str(n) * 5)  # L:classattribute

    def drop(self):
        Registry.by_number.clear()


ERRORS = []


def fail(n):
    context = ["a request's data"] * 50 + [str(n)]
    raise ValueError(len(context))


@kind
class Errors(Kept):
    """Exceptions, whose tracebacks keep the frames and all that is in them."""

    holder, type = "heap_kinds.ERRORS", "list"
    per_step = 4

    def grow(self, n):
        try:
            fail(n)
        except ValueError as error:
            ERRORS.append(error)  # L:errors

    def drop(self):
        del ERRORS[:]


# --- what no variable holds ---

class Node:
    pass


@kind
class Cycles(Kept):
    """Cycles that nobody reaches, and a collector that is switched off."""

    holder = None

    def __init__(self):
        gc.disable()

    def grow(self, n):
        node = Node()
        node.me, node.name = node, "node" + str(n)

    def drop(self):
        gc.collect()


@kind
class CMalloc(Kept):
    """C code that forgets free()."""

    holder, type = None, None
    per_step = 5

    def __init__(self):
        self.blocks = 0

    def grow(self, n):
        address = libc.malloc(3000)
        ctypes.memset(address, 1, 3000)
        # Hidden, so that no word in memory leads there.
        self.blocks ^= address

    def drop(self):
        pass  # nobody has the addresses any more


SURVIVORS = []


@kind
class Fragments(Kept):
    """One in 100 survives: each pool has some, and can't be freed."""

    holder, type, grows = "heap_kinds.SURVIVORS", "list", False
    per_step = 0

    def grow(self, n):
        if n == 0:
            crowd = [Node() for _ in range(120000)]
            SURVIVORS.extend(crowd[::100])

    def drop(self):
        del SURVIVORS[:]


# --- threads ---

QUEUES = collections.defaultdict(collections.deque)


@kind
class Queues(Kept):
    """Two threads fill queues that nobody empties."""

    holder, type = "heap_kinds.QUEUES", "collections.defaultdict"
    per_step = 1

    def grow(self, n):
        threads = [threading.Thread(target=self.fill, args=(name, n)) for name in ("left", "right")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def fill(self, name, n):
        for i in range(50):
            QUEUES[name].append([name, n * 1000 + i])  # L:queues

    def drop(self):
        QUEUES.clear()


@kind
class Local(Kept):
    """A worker's local variable."""

    holder, type = "worker():local_cache", "dict"

    def __init__(self):
        self.todo, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.number, self.empty = 0, False
        threading.Thread(target=self.worker, daemon=True).start()

    def worker(self):
        local_cache = {}
        while True:
            self.todo.acquire()
            if self.empty:
                local_cache.clear()
            else:
                local_cache[self.number] = "answer " + str(self.number) * 8  # L:local
            self.done.release()

    def grow(self, n):
        self.number = n
        self.todo.release()
        self.done.acquire()

    def drop(self):
        self.empty = True
        self.todo.release()
        self.done.acquire()


# --- arrays ---

VIEWS = []


@kind
class Views(Kept):
    """A view of ten numbers keeps the array of a hundred thousand."""

    holder, type = "heap_kinds.VIEWS", "list"
    per_step = 1

    def __init__(self):
        import numpy
        self.numpy = numpy

    def grow(self, n):
        if n % 10 == 0:
            VIEWS.append(self.numpy.full(100000, float(n))[:10])  # L:views

    def drop(self):
        del VIEWS[:]
