# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A prefork server. Children only read what was built before the fork; reading writes to the
reference counts in it. The truth is in each child's page tables: pages that became private and
dirty without being new anonymous pages were copied."""
import os

from truth import PAGE, begin, end, pause, resident, rollup

ENTRIES, CHILDREN = 150000, 2


def copied():
    """Bytes of this process that are its own copies of its parent's, beside a constant."""
    now = rollup()
    return now["Private_Dirty"] - now["Anonymous"]


def serve(entries):
    total = 0
    copied()
    before = copied()
    for entry in entries: total += entry[1]  # L:walk
    return copied() - before


begin()
resident()
before = resident()
entries = [("entry", i, "text %d" % i) for i in range(ENTRIES)]  # L:build
grown = resident() - before
start, go, children = os.pipe(), os.pipe(), []
for _ in range(CHILDREN):
    done = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go[1])
        os.read(start[0], 1)
        os.write(done[1], b"%d" % serve(entries))
        os.read(go[0], 1)
        os._exit(0)
    children.append((child, done[0]))
pause()
os.write(start[1], b"x" * CHILDREN)
said = [(child, int(os.read(pipe, 32)) // PAGE) for child, pipe in children]
end({"build": {"increment": grown}},
    children=[{"pid": child, "lines": {"walk": {"cow": pages}}} for child, pages in said])
os.close(go[1])
for child, _ in said:
    os.waitpid(child, 0)
