# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A child that grows once the profiler has had time to follow it."""
import os

from truth import MIB, begin, end, pause

RUNS = 6
kept = []


def grow():
    kept.append(bytearray(MIB))             # L:child_grow


begin()
followed = os.pipe()
child = os.fork()
if not child:
    os.read(followed[0], 1)
    # A fork's page tables lack what can be had from files: not part of the figures.
    kept.append(bytearray(MIB))
    for _ in range(RUNS):
        grow()
    os._exit(0)
pause()
os.write(followed[1], b"!")
os.waitpid(child, 0)
end({}, child=child, runs=RUNS)
