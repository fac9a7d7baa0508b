# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The last code object that runs is at the address of another one that was often seen. What it
changes just before the end must be charged to it."""
import ctypes
import os
import time

from truth import PAGE, region


def run(name, pages):
    address = region(pages * PAGE)
    source = "\n\nfor i in range(%d):\n ctypes.memset(%d + i * %d, 1, 1)" % (pages, address, PAGE)
    exec(compile(source, name, "exec"), {"ctypes": ctypes})


os.read(0, 1)  # the profiler knows us now
run("<first>", 2000)
time.sleep(1.5)
run("<second>", 40)
os._exit(0)
