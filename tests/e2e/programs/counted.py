# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines with known numbers of runs, and known amounts for each run, callees included."""
import gc
import sys

from truth import MIB, begin, end

kept = []


def grow(count):                            # L:grow_def
    for _ in range(count):                  # L:grow_for
        kept.append(bytearray(MIB))         # L:grow_append
    return count                            # L:grow_return


def one_line(x): return x + 1               # L:one_line


def generate(count):
    for i in range(count):                  # L:generate_for
        block = bytearray(MIB)              # L:generate_grow
        yield i                             # L:generate_yield
        del block                           # L:generate_free


def recurse(depth):                         # L:recurse_def
    kept.append(bytearray(MIB))             # L:recurse_grow
    if depth:
        recurse(depth - 1)                  # L:recurse_call
    return depth                            # L:recurse_return


def fail():
    kept.append(bytearray(MIB))             # L:fail_grow
    raise ValueError                        # L:fail_raise


def cycles():
    for _ in range(8):
        loop = [bytearray(MIB)]             # L:cycles_grow
        loop.append(loop)
        del loop
    gc.collect()                            # L:cycles_collect


def nested():
    def inner(): return list(bytearray(MIB) for _ in range(4))  # L:row_inner
    kept.append(inner())                    # L:row_call
    blocks = [[bytearray(MIB) for _ in range(2)] for _ in range(3)]  # L:row_blocks
    return blocks                           # L:row_return


def make_later():
    return lambda count: bytearray(count)   # L:row_later


def lazily(count):
    return (bytearray(MIB) for _ in range(count))  # L:row_lazy


def work():
    grow(7)                                 # L:call_grow
    del kept[:]                             # L:free_grown
    for i in range(20):
        one_line(i)                         # L:call_one_line
    for _ in generate(5):                   # L:call_generate
        pass                                # L:generate_body
    recurse(4)                              # L:call_recurse
    for _ in range(3):
        try:
            fail()                          # L:call_fail
        except ValueError:
            pass                            # L:caught
    squares = [i * i                        # L:comprehension
               for i in range(100)]
    cycles()                                # L:call_cycles
    kept.append(nested())
    kept.append(make_later()(3 * MIB))
    kept.append(list(lazily(2)))
    return squares


gc.collect()
gc.disable()
begin()
work()
end({
    "grow_def": {"occurrences": 1, "run_increment": 0},
    "grow_for": {"occurrences": 8, "run_increment": 0},
    "grow_append": {"occurrences": 7, "run_increment": 7 * MIB},
    "grow_return": {"occurrences": 1, "run_increment": 0},
    "call_grow": {"occurrences": 1, "run_increment": 7 * MIB},
    "free_grown": {"occurrences": 1, "run_increment": -7 * MIB},
    "one_line": {"occurrences": 20, "run_increment": 0},
    "call_one_line": {"occurrences": 20, "run_increment": 0},
    "generate_for": {"occurrences": 6, "run_increment": 0},
    "generate_grow": {"occurrences": 5, "run_increment": 5 * MIB},
    "generate_yield": {"occurrences": 5, "run_increment": 0},
    "generate_free": {"occurrences": 5, "run_increment": -5 * MIB},
    "call_generate": {"occurrences": 6, "run_increment": 0},
    "generate_body": {"occurrences": 5, "run_increment": 0},
    "recurse_def": {"occurrences": 5, "run_increment": 0},
    "recurse_grow": {"occurrences": 5, "run_increment": 5 * MIB},
    # Four calls, each with all that is below it: 4 + 3 + 2 + 1.
    "recurse_call": {"occurrences": 4, "run_increment": 10 * MIB},
    "recurse_return": {"occurrences": 5, "run_increment": 0},
    "call_recurse": {"occurrences": 1, "run_increment": 5 * MIB},
    "fail_grow": {"occurrences": 3, "run_increment": 3 * MIB},
    "fail_raise": {"occurrences": 3, "run_increment": 0},
    "call_fail": {"occurrences": 3, "run_increment": 3 * MIB},
    "caught": {"occurrences": 3, "run_increment": 0},
    "cycles_grow": {"occurrences": 8, "run_increment": 8 * MIB},
    "cycles_collect": {"occurrences": 1, "run_increment": -8 * MIB, "gc": -8 * MIB,
                       "collections": 1},
    "call_cycles": {"occurrences": 1, "run_increment": 0},
},
    # What changed while any code of the function ran that row, whichever it was, and once.
    rows={"row_inner": 4 * MIB, "row_call": 4 * MIB, "row_blocks": 6 * MIB, "row_return": 0,
          "row_later": 3 * MIB, "row_lazy": 2 * MIB, "recurse_grow": 5 * MIB,
          "recurse_call": 4 * MIB, "grow_append": 7 * MIB},
    version=sys.version_info[:2])
