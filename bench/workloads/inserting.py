# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Leaks into one dict, some 10,000 insertions a second, from one line, beside temporary objects: for bench/births.py.

  inserting.py paced     until its input ends: a line of `CPU-ns insertions` each 100 ms of wall time
  inserting.py COUNT     so many insertions, as fast as it can; ends with `CPU-ns insertions`

Under PYMEM_BENCH_TRACEMALLOC=1 it traces itself, and says the line that holds most at the end."""
import os
import select
import sys
import time

RATE = 10000
SLICE = 0.002
SAY = 0.1
kept = {}


def work(number):
    return len([{"row": i, "text": str(number + i)} for i in range(20)])


def insert(number):
    work(number)
    kept[number] = [number, str(number)]  # L:inserts


def paced():
    number, begin = 0, time.monotonic()
    said = begin
    while not select.select([0], [], [], 0)[0]:
        now = time.monotonic()
        for _ in range(min(int((now - begin) * RATE) - number, RATE)):
            number += 1
            insert(number)
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
