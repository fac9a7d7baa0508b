# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W8: a prefork server's copy-on-write. Children only read what was built before the fork; that
writes to the reference counts, so each page of it is copied. No process's RSS grows."""
import os

from measured import at_peak, profile, run, scaled


@profile
def build(n):
    entries = [("entry", i, "text %d" % i) for i in range(n)]  # truth: built
    return entries


@profile
def walk(entries):
    total = sum(entry[1] for entry in entries)  # truth: walk
    return total


PROFILED = ["build", "walk"]


def work():
    entries = build(scaled(600000))
    at_peak()
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            walk(entries)
            os._exit(0)
        children.append(pid)
    for pid in children:
        if os.waitpid(pid, 0)[1]:
            raise SystemExit("a child failed")


if __name__ == "__main__":
    run(work)
