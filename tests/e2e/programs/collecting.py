# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A garbage collection in which a finalizer runs a subinterpreter, which collects its own."""
import gc

import _xxsubinterpreters as interpreters

from truth import MIB, begin, end

kept = []
other = interpreters.create()
interpreters.run_string(other, "import gc")


class Keeps:
    def __del__(self):
        kept.append(bytearray(16 * MIB))
        interpreters.run_string(other, "gc.collect()")


def work():
    loop = [Keeps(), bytearray(4 * MIB)]
    loop.append(loop)
    del loop
    gc.collect()                            # L:collect


gc.collect()
gc.disable()
begin()
work()
end({"collect": {"gc": 12 * MIB}})
