# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Maps a file larger than its memory cgroup may have, and grows. Without swap, each new page is taken
from its own pages of the file, by the program itself, in the fault that asks for it."""
import mmap
import os
import sys

from truth import PAGE, begin, end

path, size, grow = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def touch(mapping):
    total = 0
    for at in range(0, size, PAGE):
        total += mapping[at]  # L:touch
    return total


file = os.open(path, os.O_RDONLY)
mapping = mmap.mmap(file, size, prot=mmap.PROT_READ)
begin()
first = touch(mapping)
block = bytearray(grow)  # L:grow
again = touch(mapping)
block2 = bytearray(grow)  # L:grow_again
assert first == again
end({"grow": {"increment": grow, "grown": grow, "freed_max": 0, "faults": grow // PAGE},
     "grow_again": {"increment": grow, "grown": grow, "freed_max": 0, "faults": grow // PAGE}})
