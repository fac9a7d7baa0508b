# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Touches COUNT pages, each in a code object of its own, and so in a stack of its own."""
import mmap
import sys

COUNT = int(sys.argv[1])
memory = mmap.mmap(-1, COUNT * mmap.PAGESIZE)
memory.madvise(mmap.MADV_NOHUGEPAGE)
touch = compile("memory[at] = 1\n", "x", "exec")
print("ready", flush=True)
sys.stdin.readline()
for number in range(COUNT):
    exec(touch.replace(co_filename="file%d" % number, co_name="name%d" % number),
         {"memory": memory, "at": number * mmap.PAGESIZE})
print("done", flush=True)
sys.stdin.readline()
