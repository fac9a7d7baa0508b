# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two million small objects built, referred to twice, and freed; the argument is how often."""
import sys

from timing import measure, scaled


def build():
    table, order = {}, []
    for i in range(scaled(2000000)):
        item = ("n%d" % i, i)
        table[i] = item
        if i & 1:
            order.append(item)
    table.clear()
    order.clear()


def work():
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        build()


measure(work)
