# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Forks so many children, one after the other; each makes a quarter of a MiB and ends."""
import os
import sys

from truth import MIB, begin, end

COUNT = int(sys.argv[1])


def child():
    block = bytearray(MIB // 4)  # L:child
    os._exit(len(block) & 0xff)


begin()
for _ in range(COUNT):
    pid = os.fork()
    if not pid:
        child()
    os.waitpid(pid, 0)
end({})
