# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Asks the kernel to reclaim pages of a file that it maps."""
import ctypes
import mmap
import os
import sys

from truth import PAGE, begin, end, libc

MADV_PAGEOUT = 21
path, size = sys.argv[1], int(sys.argv[2])
file = os.open(path, os.O_RDONLY)
address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, file, 0)
# The kernel takes no page that waits in a list of another CPU.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
begin()
total = sum(ctypes.string_at(address, size)[::PAGE])
status = libc.madvise(address, size, MADV_PAGEOUT)  # L:pageout
end({"pageout": {"freed": size}}, status=status)
