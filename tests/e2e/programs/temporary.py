# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps a small session of each request. Every twentieth request also renders rows: with the argument "freed" they are
let go at once, so that sessions live where rows were first; with "kept" they stay. Python 3.8 syntax."""
import sys

from truth import begin, end

keeps_rows = sys.argv[1] == "kept"
kept, pages = {}, []


def session_for(n):
    kept[n] = ["session", str(n), {"seen": n, "from": "10.0.%d.%d" % (n % 250, n % 251)}]  # L:session


def render(count):
    return ["<tr><td>%d</td></tr>" % i for i in range(count)]  # L:render


def handle(n):
    session_for(n)
    if n % 20 == 0:
        rows = render(3000 + n % 700)
        if keeps_rows:
            pages.append(rows)


begin()
for request in range(3000 if keeps_rows else 45000):
    handle(request)
end({})
