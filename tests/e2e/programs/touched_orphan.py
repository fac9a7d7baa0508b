# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A process that ends and leaves a child, which has pages that it touched. Whoever runs this ends the
child."""
import ctypes
import os

from truth import MIB, begin, end, region

SIZE = 8 * MIB
begin()
mine = region(SIZE)
ctypes.memset(mine, 1, SIZE)  # L:inherited
ready, never = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(0)
    os.close(1)
    own = region(SIZE)
    ctypes.memset(own, 1, SIZE // 2)  # L:child
    os.write(ready[1], b"x")
    os.read(never[0], 1)
    os._exit(0)
os.read(ready[0], 1)
end({"inherited": {"resident": 0}},
    children=[{"pid": child, "lines": {"inherited": {"resident": SIZE}, "child": {"resident": SIZE // 2}}}])
