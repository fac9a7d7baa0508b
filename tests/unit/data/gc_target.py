# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program whose collector has known figures, for test_heap_gc.c: says them in one line, then waits.
Runs on 3.6 and newer; 3.6 and 3.7 are refused."""
import gc
import os
import sys

WAIT = 0


class Node(object):
    def __init__(self):
        self.me = self


def subinterpreter():
    """A second interpreter, with a collector of its own; the first one of the list is the newest."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        return module, module.create()
    return None


def main():
    if sys.version_info < (3, 8):
        os.write(1, b"refused\n")
        os.read(WAIT, 1)
    gc.disable()
    other = subinterpreter()
    gc.collect()
    keep = [[] for _ in range(1000)]
    gc.freeze()
    for number in range(3):
        for _ in range(10 * (number + 1)):
            Node()
        gc.collect(number)
    gc.set_debug(gc.DEBUG_SAVEALL)
    for _ in range(50):
        Node()
    gc.collect()
    gc.set_debug(0)
    gc.set_threshold(4321, 21, 12)
    for number in (1, 1, 1, 0, 0, 0, 0):
        gc.collect(number)
    if "enable" in sys.argv:
        gc.set_threshold(100000000, 21, 12)
        gc.enable()
    stats = gc.get_stats()
    rows = [str(s[k]) for s in stats for k in ("collections", "collected", "uncollectable")]
    times = ["%d %.9f" % (s.get("candidates", 0), s.get("duration", 0)) for s in stats]
    head = [int(gc.isenabled()), len(gc.garbage), gc.get_freeze_count(), int("duration" in stats[0])]
    text = " ".join([str(n) for n in head] + rows + times + [str(n) for n in gc.get_threshold()])
    # The count of the young generation goes on with the objects of what follows.
    text += " " + " ".join([str(n) for n in gc.get_count()])
    os.write(1, (text + "\n").encode())
    os.read(WAIT, 1)
    return keep, other


main()
