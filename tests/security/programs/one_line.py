# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An ordinary program: PAGES pages on one line."""
import mmap
import sys

PAGES = int(sys.argv[1])


def grow(memory):
    for at in range(0, PAGES * mmap.PAGESIZE, mmap.PAGESIZE):
        memory[at] = 1  # L:grow


block = mmap.mmap(-1, PAGES * mmap.PAGESIZE)
block.madvise(mmap.MADV_NOHUGEPAGE)
print("ready", flush=True)
sys.stdin.readline()
grow(block)
print("done", flush=True)
sys.stdin.readline()
