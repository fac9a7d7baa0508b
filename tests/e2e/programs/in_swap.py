# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines touch pages and another one puts all of them to swap. Some come back, some are given back in swap, some were there
before. The truth is what /proc/PID/pagemap says of each region at the end."""
import ctypes
import os
import struct

from truth import MIB, PAGE, begin, end, libc, pause, region

SIZE, MADV_DONTNEED, MADV_PAGEOUT = 4 * MIB, 4, 21


def swapped(address):
    """Bytes of the region that are in swap."""
    with open("/proc/self/pagemap", "rb") as f:
        f.seek(address // PAGE * 8)
        words = f.read(SIZE // PAGE * 8)
    return sum(word >> 62 & 1 for word, in struct.iter_unpack("Q", words)) * PAGE


def pageout(address):
    libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(SIZE), MADV_PAGEOUT)  # L:out


# The kernel takes no page that waits in a list of another CPU.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
before, whole, half, freed = (region(SIZE) for _ in range(4))
ctypes.memset(before, 1, SIZE)
pageout(before)
swapped(before)
begin()
ctypes.memset(whole, 1, SIZE)  # L:whole
ctypes.memset(half, 1, SIZE)  # L:half
ctypes.memset(freed, 1, SIZE)  # L:freed
for one in (whole, half, freed):
    pageout(one)
for i in range(0, SIZE // 2, PAGE):
    ctypes.memset(half + i, 2, 1)  # L:back
libc.madvise(ctypes.c_void_p(freed), ctypes.c_size_t(SIZE), MADV_DONTNEED)  # L:given
sizes = {"whole": swapped(whole), "half": swapped(half), "freed": swapped(freed), "before": swapped(before)}
pause(**sizes)
end({}, **sizes)
