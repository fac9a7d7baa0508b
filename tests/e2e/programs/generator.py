# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A generator's own line grows; the line that drives it has it in its total only."""
from truth import MIB, begin, end


def blocks():
    for _ in range(8):
        block = bytearray(3 * MIB)  # L:yielding
        yield block


keep = []
begin()
keep.extend(blocks())  # L:driver
end({"yielding": {"increment": 24 * MIB},
     "driver": {"increment": 0, "total": 24 * MIB}})
