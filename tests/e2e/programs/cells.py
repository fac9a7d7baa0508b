# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A small notebook: code objects that live for one execution, so that the next one is often created at
the same address. Each must be charged under its own name."""
import ctypes

from truth import begin, end, region

STEP, FIRST, CELLS = 40 * 1024, 132 * 1024, 100

begin()
for i in range(CELLS):
    exec(compile("\nctypes.memset(region(%d), 1, %d)" % ((FIRST + i * STEP,) * 2), "<cell%d>" % i,
                 "exec"))
# Half a step of tolerance: the neighbour's amount would not pass.
end({"<cell%d>:2" % i: {"increment": FIRST + i * STEP, "tolerance": STEP // 2}
     for i in range(CELLS)})
