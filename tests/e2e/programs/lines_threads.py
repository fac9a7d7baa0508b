# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A thread that allocates and frees all the time, beside a function with known amounts: what the
thread does must not be counted on the function's lines."""
import threading

from truth import MIB, PAGE, begin, end

ROUNDS = 200
kept, stop, running = [], threading.Event(), threading.Event()


def noise():
    while not stop.is_set():
        block = bytearray(3 * MIB)
        running.set()
        del block


def measured():
    for i in range(ROUNDS):
        block = bytearray(MIB)              # L:grow
        size = len(block)                   # L:nothing
        del block                           # L:free
        if i % 20 == 0:
            kept.append(bytearray(size))    # L:keep


begin()
thread = threading.Thread(target=noise)
thread.start()
running.wait()
measured()
stop.set()
thread.join()
end({
    "grow": {"occurrences": ROUNDS, "run_increment": ROUNDS * (MIB + PAGE)},
    "nothing": {"occurrences": ROUNDS, "run_increment": 0},
    "free": {"occurrences": ROUNDS, "run_increment": -ROUNDS * (MIB + PAGE)},
    "keep": {"occurrences": ROUNDS // 20, "run_increment": ROUNDS // 20 * (MIB + PAGE)},
})
