# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Leaves of 100 frames, then of 300. The leaf is always right. Callers are right as far as
the stack is kept, and what was cut off is counted."""
from truth import MIB, begin, end

keep = []


def descend(depth):
    if depth:
        descend(depth - 1)  # L:descend
    else:
        keep.append(bytearray(16 * MIB))  # L:leaf


def descend_far(depth):
    if depth:
        descend_far(depth - 1)
    else:
        keep.append(bytearray(24 * MIB))  # L:far


begin()
descend(98)  # L:near_root
descend_far(298)
end({"leaf": {"increment": 16 * MIB}, "descend": {"total": 16 * MIB, "tolerance": 256 * 1024},
     "near_root": {"increment": 0, "total": 16 * MIB, "tolerance": 256 * 1024},
     "far": {"increment": 24 * MIB}}, truncated=True)
