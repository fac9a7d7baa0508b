# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Page faults of the kernel itself, while it copies into the buffer of a read()."""
import ctypes
import os

from truth import MIB, begin, end, libc, region

SIZE = 16 * MIB
libc.read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
libc.read.restype = ctypes.c_ssize_t

begin()
zero = os.open("/proc/self/mem", os.O_RDONLY)
source = region(SIZE)
ctypes.memset(source, 1, SIZE)  # L:source
target = region(SIZE)
os.lseek(zero, source, os.SEEK_SET)
done = 0
while done < SIZE:
    done += libc.read(zero, target + done, SIZE - done)  # L:read
end({"source": {"increment": SIZE}, "read": {"increment": SIZE}})
