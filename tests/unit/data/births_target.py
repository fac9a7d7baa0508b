# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program that leaks on a known line, beside much that is freed at once; for test_heap_births.c. Says the
line, then goes on until its input ends. Runs on 3.8 and newer."""
import itertools
import select
import sys
import threading
import time

kept = {}
listed = []
numbers = itertools.count(1)


def session_for(number):
    kept[number] = {"user": [number], "seen": (number, object())}  # the leak


def listed_for(number):
    listed.append((number, object()))  # the other leak


def render(number):
    return [{"row": [i], "text": str(i) * 3} for i in range(5)]


def handle(number):
    rows = render(number)
    if number % 3 == 0:
        session_for(number)
    if number % 3 == 1:
        listed_for(number)
    return rows


def work():
    while not select.select([sys.stdin], [], [], 0)[0]:
        number = next(numbers)
        handle(number)
        if number % 100 == 0:
            time.sleep(0.001)


def main():
    lines = [line.rstrip() for line in open(__file__)]
    places = [number for number, line in enumerate(lines, 1) if line.endswith("leak")]
    print(*places)
    sys.stdout.flush()
    if "threads" in sys.argv:
        while True:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(1)
            if not thread.is_alive():
                break
    work()


main()
