# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Leaks into one dict, from one line, beside temporary objects: for bench/births.py.

  inserting.py paced     some 10,000 insertions a second, with work for nine tenths of a CPU beside them, until its input
                         ends: a line of `CPU-ns insertions` each 100 ms of wall time
  inserting.py COUNT     so many insertions, as fast as it can; ends with `CPU-ns insertions`

Under PYMEM_BENCH_TRACEMALLOC=1 it traces itself, and says the line that holds most at the end."""
import os
import select
import sys
import time

RATE = 10000
BUSY = 0.9
SLICE = 0.002
SAY = 0.1
kept = {}


def work(number):
    return len([{"row": i, "text": str(number + i)} for i in range(20)])


def insert(number, works=1):
    for _ in range(works):
        work(number)
    kept[number] = [number, str(number)]  # L:inserts


def works_that_fill():
    """How often to work for each insertion, so that all of them take BUSY of a CPU."""
    begin, count = time.process_time(), 5000
    for number in range(count):
        work(number)
    return max(1, round(BUSY / RATE / ((time.process_time() - begin) / count)))


def paced():
    works = works_that_fill()
    number, begin = 0, time.monotonic()
    said = begin
    while not select.select([0], [], [], 0)[0]:
        now = time.monotonic()
        for _ in range(min(int((now - begin) * RATE) - number, RATE)):
            number += 1
            insert(number, works)
        if now - said >= SAY:
            said = now
            print(time.process_time_ns(), number, flush=True)
        time.sleep(SLICE)


def counted(count):
    traced = os.environ.get("PYMEM_BENCH_TRACEMALLOC")
    if traced:
        import tracemalloc
        tracemalloc.start()
    begin = time.process_time_ns()
    for number in range(count):
        insert(number)
    print(time.process_time_ns() - begin, count, flush=True)
    if traced:
        first = tracemalloc.take_snapshot().statistics("lineno")[0].traceback[0]
        print("line", first.lineno, flush=True)
    if os.environ.get("PYMEM_BENCH_WAIT"):
        sys.stdin.read()


if sys.argv[1] == "paced":
    paced()
else:
    counted(int(sys.argv[1]))
