# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A mapping that shrinks, then grows and moves: pages move with it and change no RSS."""
import ctypes

from truth import MIB, begin, end, libc, region

SIZE, SMALL, MAYMOVE = 32 * MIB, 8 * MIB, 1
begin()
address = region(SIZE)
ctypes.memset(address, 1, SIZE)  # L:touch
libc.mremap(address, SIZE, SMALL, 0)  # L:shrink
address = libc.mremap(address, SMALL, 4 * SIZE, MAYMOVE)  # L:move
ctypes.memset(address + SMALL, 1, SMALL)  # L:more
end({"touch": {"increment": SIZE}, "shrink": {"increment": SMALL - SIZE},
     "move": {"increment": 0}, "more": {"increment": SMALL}})
