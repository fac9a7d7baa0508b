# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many short children, several at a time; each grows and is gone at once."""
import os

from truth import MIB, begin, end

CHILDREN, AT_ONCE = 120, 8


def child():
    block = bytearray(MIB)  # L:child
    os._exit(0)


begin()
pids, alive = [], 0
for _ in range(CHILDREN):
    if alive == AT_ONCE:
        os.wait()
        alive -= 1
    pid = os.fork()
    if pid == 0:
        child()
    pids.append(pid)
    alive += 1
for _ in range(alive):
    os.wait()
end({}, children=[{"pid": p, "lines": {"child": {"anon": MIB}}} for p in pids])
