# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A master that forks workers and waits for them: master.py --workers N."""
import os
import sys
import time

SEEN = []


def handle(number):
    SEEN.append("request %d " % number * 1000)


def work():
    number = 0
    while True:
        handle(number)
        number += 1
        time.sleep(0.02)


def main(workers):
    for _ in range(workers):
        if not os.fork():
            work()
    for _ in range(workers):
        os.wait()


if __name__ == "__main__":
    main(int(sys.argv[2]) if len(sys.argv) > 2 else 3)
