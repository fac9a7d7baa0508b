# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One block, allocated at the end of a chain of callers of all kinds: each caller's line has it in its
total, and nothing of its own."""
import sys

from truth import MIB, begin, end

SIZE = 16 * MIB
kept = []


def leaf():
    kept.append(bytearray(SIZE))  # L:leaf


class Thing:
    def method(self):
        leaf()  # L:method

    @property
    def attribute(self):
        self.method()  # L:attribute

    def __add__(self, other):
        return self.attribute  # L:operator


def closure(thing):
    def inner(_):
        thing + thing  # L:closure
    return inner


def through_c(function):
    list(map(function, [1]))  # L:through_c


def nested():
    # Up to 3.11 a comprehension is a function of its own: its line is not its caller's.
    [
        through_c(closure(thing))  # L:comprehension
        for thing in [Thing()]
    ]


def handled():
    try:
        nested()  # L:tried
    finally:
        kept.append(None)


begin()
handled()  # L:module
CALLER = {"increment": 0, "total": SIZE, "tolerance": 256 * 1024}
LABELS = ["method", "attribute", "operator", "closure", "through_c", "tried", "module"]
if sys.version_info >= (3, 8):
    # Before, the compiler gives an expression no line that is above the one it was at.
    LABELS.append("comprehension")
end(dict({label: CALLER for label in LABELS},
         leaf={"increment": SIZE, "total": SIZE}))
