# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The first change of memory that the profiler sees is 120 calls deep, each in another function.
There is no second one with which the rest of the stack could be sent."""
import mmap

from truth import MIB, PRIVATE, begin, end

DEPTH = 120
SIZE = 4 * MIB
block = mmap.mmap(-1, SIZE, flags=PRIVATE)
block.write(b"\1" * SIZE)


def bottom():
    begin()
    block.close()  # L:close
    end({"close": {"increment": -SIZE}})


exec("\n".join("def f%d(): f%d()" % (i, i + 1) for i in range(DEPTH)))
globals()["f%d" % DEPTH] = bottom
globals()["f0"]()
