# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two greenlets switch between their C stacks on one thread; each grows on its own line."""
from greenlet import greenlet

from truth import MIB, begin, end

keep = []


def first():
    for _ in range(8):
        keep.append(bytearray(MIB))  # L:first
        two.switch()


def second():
    for _ in range(8):
        keep.append(bytearray(2 * MIB))  # L:second
        one.switch()


begin()
one, two = greenlet(first), greenlet(second)
one.switch()
end({"first": {"increment": 8 * MIB}, "second": {"increment": 16 * MIB}})
