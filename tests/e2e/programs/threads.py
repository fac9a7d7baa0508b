# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two threads grow at the same time, each on its own line."""
import threading

from truth import MIB, PAGE, begin, end

keep = []
gate = threading.Barrier(2)


def small():
    gate.wait()
    for _ in range(12):
        keep.append(bytearray(2 * MIB))  # L:small


def large():
    gate.wait()
    for _ in range(10):
        keep.append(bytearray(4 * MIB))  # L:large


def warm():
    """The code of all that: how many of its pages one fault maps depends on what the machine has cached."""
    gate.wait()
    bytearray(4 * MIB)


def both(first, second):
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


both(warm, warm)
begin()
both(small, large)
end({"small": {"increment": 24 * MIB, "tolerance": 24 * PAGE},
     "large": {"increment": 40 * MIB, "tolerance": 24 * PAGE}})
