# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two million small objects built, referred to twice, and freed."""
from timing import measure, scaled


def work():
    table, order = {}, []
    for i in range(scaled(2000000)):
        item = ("n%d" % i, i)
        table[i] = item
        if i & 1:
            order.append(item)
    table.clear()
    order.clear()


measure(work)
