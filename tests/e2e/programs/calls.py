# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Functions with known numbers of calls, and known amounts of each: with and without what they call."""
import gc
import sys

from truth import MIB, PAGE, begin, end

BLOCK = MIB + PAGE
kept = []


def take(count=1):
    for _ in range(count):
        kept.append(bytearray(MIB))


def release():
    del kept[:]


def both():
    take(2)
    kept.append(bytearray(3 * MIB))


def passing():
    both()


def generate(count):
    for i in range(count):
        block = bytearray(MIB)
        yield i
        del block


def keeping(count):
    for _ in range(count):
        kept.append(bytearray(MIB))
        yield


def one_line(): yield len(kept)


def delegate():
    yield from keeping(2)


def drive():
    for _ in generate(5):
        kept.append(bytearray(MIB))
    for _ in range(4):
        list(one_line())
    list(delegate())


def left_open():
    going = keeping(3)
    next(going)
    going.close()


def lazily():
    return list(bytearray(MIB) for _ in range(2))


def recurse(depth):
    kept.append(bytearray(MIB))
    if depth:
        recurse(depth - 1)


def even(depth):
    kept.append(bytearray(MIB))
    return odd(depth - 1) if depth else 0


def odd(depth):
    return even(depth - 1) if depth else 1


def fail():
    kept.append(bytearray(MIB))
    raise ValueError


def through():
    kept.append(bytearray(MIB))
    fail()
    kept.append(bytearray(64 * MIB))


def catches():
    for _ in range(3):
        try:
            through()
        except ValueError:
            pass


class Point:
    def __init__(self):
        self.inner = Inner()
        kept.append(bytearray(MIB))


class Inner:
    def __init__(self):
        kept.append(bytearray(2 * MIB))


def makes():
    for _ in range(4):
        kept.append(Point())


class Wait:
    def __await__(self):
        kept.append(bytearray(MIB))
        yield
        kept.append(bytearray(MIB))


async def inner_task():
    kept.append(bytearray(MIB))
    await Wait()
    kept.append(bytearray(MIB))


async def task():
    await inner_task()
    kept.append(bytearray(MIB))


async def ticks(count):
    for i in range(count):
        kept.append(bytearray(MIB))
        yield i


async def consume():
    async for _ in ticks(3):
        pass


def loop():
    for coroutine in (task(), consume()):
        try:
            while True:
                coroutine.send(None)
        except StopIteration:
            pass


def key(value):
    kept.append(bytearray(MIB))
    return value


def sorts():
    return sorted([3, 1, 2], key=key)


def cycles():
    for _ in range(8):
        loop = [bytearray(MIB)]
        loop.append(loop)
        del loop
    gc.collect()


def high():
    block = bytearray(20 * MIB)
    del block
    kept.append(bytearray(MIB))


def idle():
    return len(kept)


def work():
    idle()
    passing()                               # L:call_passing
    drive()                                 # L:call_drive
    left_open()                             # L:call_left_open
    kept.append(lazily())                   # L:call_lazily
    recurse(4)                              # L:call_recurse
    even(4)                                 # L:call_even
    catches()                               # L:call_catches
    makes()                                 # L:call_makes
    loop()                                  # L:call_loop
    sorts()                                 # L:call_sorts
    cycles()                                # L:call_cycles
    high()                                  # L:call_high
    release()                               # L:call_release


def amounts(calls, self, total=None):
    """In blocks of a mebibyte."""
    return {"calls": calls, "self": self * BLOCK, "total": (self if total is None else total) * BLOCK}


gc.disable()
if "cold" not in sys.argv:
    work()  # what is made once, where it is needed first, is there from now on
gc.collect()
begin()
work()
end({}, functions={
    "take": amounts(1, 2), "both": amounts(1, 3, 5), "passing": amounts(1, 0, 5),
    "generate": amounts(1, 0), "one_line": amounts(4, 0), "delegate": amounts(1, 0, 2),
    "keeping": amounts(2, 3), "drive": amounts(1, 5, 7), "left_open": amounts(1, 0, 1),
    "lazily": amounts(1, 0, 2), "recurse": amounts(5, 5), "even": amounts(3, 3), "odd": amounts(2, 0, 2),
    "fail": amounts(3, 3), "through": amounts(3, 3, 6), "catches": amounts(1, 0, 6),
    "Point.__init__": amounts(4, 4, 12), "Inner.__init__": amounts(4, 8), "makes": amounts(1, 0, 12),
    "Wait.__await__": amounts(1, 2), "inner_task": amounts(1, 2, 4), "task": amounts(1, 1, 5),
    "ticks": amounts(1, 3), "consume": amounts(1, 0, 3), "loop": amounts(1, 0, 8),
    "key": amounts(3, 3), "sorts": amounts(1, 0, 3), "cycles": amounts(1, 0), "high": amounts(1, 1),
    "idle": amounts(1, 0),
}, calls={"call_passing": "passing", "call_drive": "drive", "call_left_open": "left_open",
          "call_recurse": "recurse", "call_even": "even", "call_catches": "catches", "call_makes": "makes",
          "call_loop": "loop", "call_sorts": "sorts", "call_high": "high", "call_release": "release"},
    gc=-8 * BLOCK, high=20 * MIB, version=sys.version_info[:2])
