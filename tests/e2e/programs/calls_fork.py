# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A child that goes on in functions that were entered before the fork, once the profiler has had time to follow it."""
import os

from truth import MIB, begin, end, pause

kept = []


def take():
    kept.append(bytearray(2 * MIB))


def split():
    followed = os.pipe()
    child = os.fork()
    if not child:
        os.read(followed[0], 1)
        kept.append(bytearray(8 * MIB))
        take()
        take()
        os._exit(0)
    return child, followed[1]


begin()
child, followed = split()
pause()
os.write(followed, b"!")
os.waitpid(child, 0)
end({}, child=child, before=8 * MIB, functions={"take": {"calls": 2, "self": 4 * MIB, "total": 4 * MIB}})
