# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Functions that ran before the profiler came, one inside the other; they return while it watches."""
from truth import MIB, begin, end

kept = []


def take():
    kept.append(bytearray(MIB))


def inner():
    begin()
    kept.append(bytearray(2 * MIB))
    take()


def outer():
    inner()
    kept.append(bytearray(3 * MIB))
    take()


def after():
    kept.append(bytearray(4 * MIB))


outer()
after()
end({}, functions={"take": {"calls": 2, "self": 2 * MIB, "total": 2 * MIB},
                   "after": {"calls": 1, "self": 4 * MIB, "total": 4 * MIB}}, outside=5 * MIB)
