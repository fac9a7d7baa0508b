# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A recursion deeper than the exact engine follows, which grows on its way back: the frames that
it follows must outlive those that it does not."""
from truth import BLOCK, MIB, begin, end

DEPTH = 300
kept = []


def sink(depth):
    if depth:
        sink(depth - 1)                     # L:sink_call
    kept.append(bytearray(BLOCK))           # L:sink_grow


def work():
    sink(DEPTH)                             # L:call_sink
    kept.append(bytearray(MIB))             # L:after


begin()
work()
end({"call_sink": {"occurrences": 1, "run_increment": (DEPTH + 1) * (BLOCK + 4096)},
     "after": {"occurrences": 1, "run_increment": MIB}}, depth=DEPTH, block=BLOCK + 4096)
