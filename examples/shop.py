# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A shop whose requests are audited, and one of whose lines leaks."""
import sys
import time

AUDIT = []
CACHE = {}


def load(name):
    if len(CACHE) > 500:
        CACHE.clear()
    if name not in CACHE:
        CACHE[name] = {"name": name, "tags": [name[:3], name[3:]], "price": len(name) * 1.5}
    return CACHE[name]


def audit(number, item):
    AUDIT.append({"number": number, "item": item["name"], "at": time.time()})


def report(number):
    rows = ["<tr><td>%d</td><td>%s</td></tr>" % (i, load("item%d" % (i % 400))["name"]) for i in range(20000)]
    return "".join(rows)


def request(number):
    for i in range(100):
        audit(number, load("item%d" % ((number + i) % 400)))
    if number % 10 == 0:
        report(number)


def main(seconds):
    number, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        request(number)
        number += 1
        time.sleep(0.005)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600)
