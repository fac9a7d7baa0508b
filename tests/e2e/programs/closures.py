# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A function makes its cells before its first line (3.11 and later: MAKE_CELL, COPY_FREE_VARS, without a
line): what they take belongs to the def line. Before 3.11 the call makes them: the caller's line."""
import gc
import sys

from truth import MIB, begin, end

COUNT = 40000
kept = []


def outer(a):
    def make(n):  # L:make
        b = c = d = e = n

        def inner():
            return a, b, c, d, e
        return inner
    return make


def collect(make):
    for i in range(COUNT):
        kept.append(make(i))  # L:call


make = outer(0)
gc.disable()
begin()
collect(make)
row = "make" if sys.version_info >= (3, 11) else "call"
# Four cells of some 48 bytes each; the closures themselves are on another line.
end({row: {"increment_min": 5 * MIB, "increment_max": 20 * MIB}})
