# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An exception is thrown into a generator, which takes memory on its way out."""
from truth import MIB, begin, end

kept = []


def cleans():
    try:
        yield
    finally:
        kept.append(bytearray(2 * MIB))
        take()


def take():
    kept.append(bytearray(MIB))


def throws():
    going = cleans()
    next(going)
    try:
        going.throw(KeyError)
    except KeyError:
        pass


begin()
throws()
end({}, functions={"take": {"calls": 1, "self": MIB, "total": MIB},
                   "throws": {"calls": 1, "total": 3 * MIB}}, cleans=2 * MIB)
