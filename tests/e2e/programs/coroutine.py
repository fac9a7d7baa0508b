# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two coroutines interleave on one thread; each grows on its own line."""
import asyncio
import ctypes

from truth import MIB, begin, end, region


async def grow(size, times):
    for _ in range(times):
        await asyncio.sleep(0)
        if size == MIB:
            ctypes.memset(region(MIB), 1, MIB)  # L:one
        else:
            ctypes.memset(region(2 * MIB), 1, 2 * MIB)  # L:two


async def parent(size, times):
    await grow(size, times)  # L:awaiting


async def main():
    await asyncio.gather(parent(MIB, 16), parent(2 * MIB, 12))


loop = asyncio.new_event_loop()
loop.run_until_complete(asyncio.sleep(0))
begin()
loop.run_until_complete(main())
end({"one": {"increment": 16 * MIB}, "two": {"increment": 24 * MIB},
     "awaiting": {"increment": 0, "total": 40 * MIB, "tolerance": 256 * 1024}})
