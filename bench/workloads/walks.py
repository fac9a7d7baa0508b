# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Page faults of which each needs a walk: Python code writes single bytes, one to each page of fresh anonymous memory. A store is
no string instruction (bytearray(SIZE) is one, `rep stos`, whose faults are told apart without a walk): so all faults must be at the
line that is marked, and bench/nanoseconds.py looks whether they are. The argument is the number of Python frames of the stack."""
import mmap
import sys

from timing import measure, scaled

PAGE = mmap.PAGESIZE
PAGES = 9600


def walks(rounds):
    for _ in range(rounds):
        block = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.madvise(mmap.MADV_NOHUGEPAGE)
        for at in range(0, PAGES * PAGE, PAGE):
            block[at] = 1  # L:writes
        block.close()


def under(frames, rounds):
    return under(frames - 1, rounds) if frames > 0 else walks(rounds)


FRAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 4
# Besides walks(): the last under(), the lambda, measure() and the module.
measure(lambda: under(FRAMES - 5, scaled(30)) if FRAMES > 4 else walks(scaled(30)))
