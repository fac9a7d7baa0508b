# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A server that loads a table and forks two workers; each writes to some of its entries."""
import os
import time

TABLE = {}


def load():
    for key in range(200000):
        TABLE[key] = {"name": "item %d" % key, "hits": 0}


def count_hit(key):
    # The dictionary is shared with the other worker until it is written to: then its page is copied.
    TABLE[key]["hits"] += 1000 + key


def worker():
    for key in range(0, 200000, 50):
        count_hit(key)
    time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    load()
    for _ in range(2):
        if not os.fork():
            worker()
    for _ in range(2):
        os.wait()
