# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Anonymous shared memory."""
import mmap

from truth import MIB, begin, end

SIZE = 16 * MIB
ONES = b"\1" * MIB
begin()
block = mmap.mmap(-1, SIZE)
for _ in range(SIZE // MIB):
    block.write(ONES)  # L:write
end({"write": {"increment": SIZE, "shmem": SIZE, "anon": 0}})
