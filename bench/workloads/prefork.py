# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Copy-on-write in a prefork server: children walk a structure made before the fork, which
writes to the reference counts in it, so each of its pages is copied."""
import os

from timing import measure, scaled


def build(count):
    return [("entry", i, "text %d" % i) for i in range(count)]


def walk(entries):
    total = 0
    for entry in entries:
        total += entry[1]
    return total


def work():
    entries = build(scaled(600000))
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            walk(entries)
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0


measure(work)
