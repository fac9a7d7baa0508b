# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory given back by madvise, and touched again."""
import ctypes

from truth import MADV_DONTNEED, MIB, begin, end, libc, region

SIZE = 32 * MIB
begin()
address = region(SIZE)
ctypes.memset(address, 1, SIZE)  # L:touch
libc.madvise(address, SIZE, MADV_DONTNEED)  # L:drop
ctypes.memset(address, 1, SIZE // 2)  # L:again
end({"touch": {"increment": SIZE}, "drop": {"increment": -SIZE, "freed": SIZE},
     "again": {"increment": SIZE // 2}})
