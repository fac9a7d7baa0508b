# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Forks so many times a second. Each child makes 1 MiB and ends. forks.py RATE; a line of its standard input begins, another
one ends it, and then it says how many there were."""
import os
import select
import sys
import time


def child():
    made = bytearray(1 << 20)
    os._exit(len(made) & 0xff)


def main():
    rate, count = float(sys.argv[1]), 0
    os.write(1, b"ready\n")
    os.read(0, 64)
    began = time.monotonic()
    while True:
        wait = began + count / rate - time.monotonic()
        if select.select([0], [], [], max(0, wait))[0]:
            break
        pid = os.fork()
        if not pid:
            child()
        os.waitpid(pid, 0)
        count += 1
    os.write(1, b"children %d\n" % count)


main()
