# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The line that closes a mapping frees its memory."""
import mmap

from truth import MIB, PRIVATE, begin, end

SIZE = 24 * MIB
ONES = b"\1" * MIB
begin()
block = mmap.mmap(-1, SIZE, flags=PRIVATE)
for _ in range(SIZE // MIB):
    block.write(ONES)  # L:write
block.close()  # L:close
end({"write": {"increment": SIZE}, "close": {"increment": -SIZE}})
