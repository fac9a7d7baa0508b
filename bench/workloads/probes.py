# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A million line events (`lines`); 100,000 calls of a two-line function, six events each
(`calls`)."""
import sys

from timing import measure, scaled


def lines(rounds):
    a = t = 0
    for i in range(rounds):
        a = i & 127
        b = a ^ 85
        t = (t + b) & 127
    return t


def callee(a):
    b = a ^ 85
    return b & 127


def calls(rounds):
    for _ in range(rounds):
        callee(1)


if sys.argv[1] == "lines":
    measure(lambda: lines(scaled(250000)))
else:
    measure(lambda: calls(scaled(100000)))
