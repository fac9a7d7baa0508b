# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W4: small objects in a list and a dictionary that refer to the same ones."""
from measured import at_peak, profile, run, scaled


@profile
def build(n):
    rows = [("key%d" % i, i) for i in range(n)]  # truth: rows
    index = {row[0]: (row, i) for i, row in enumerate(rows)}  # truth: index
    found = 0
    for i in range(0, n, 8):
        row, place = index["key%d" % i]
        found += place == row[1]
    at_peak()
    del rows
    del index  # truth: del
    return found


PROFILED = ["build"]


def work():
    build(scaled(600000))


if __name__ == "__main__":
    run(work)
