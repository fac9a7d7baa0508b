# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Puts pages to swap by itself, brings some of them back, one by one, and frees the rest. The truth is VmSwap before and
after each line."""
import ctypes
import os
import time

from truth import MIB, PAGE, begin, end, libc, region

SIZE, MADV_PAGEOUT = 8 * MIB, 21


def swapped():
    with open("/proc/self/status") as f:
        return int(f.read().split("VmSwap:")[1].split()[0]) * 1024


# The kernel takes no page that waits in a list of another CPU.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
address = region(SIZE)
ctypes.memset(address, 1, SIZE)
swapped()
begin()
at = [swapped()]
libc.madvise(address, SIZE, MADV_PAGEOUT)  # L:out
at.append(swapped())
began = time.monotonic_ns()
for i in range(0, SIZE // 2, PAGE):
    ctypes.memset(address + i, 2, 1)  # L:back
took = time.monotonic_ns() - began
at.append(swapped())
libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(SIZE))  # L:free
at.append(swapped())
end({}, out=at[1] - at[0], back=at[1] - at[2], freed=at[2] - at[3], took=took)
