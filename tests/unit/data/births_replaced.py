# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program that keeps things in containers which others replace, in the way that its argument names; for
tests/e2e/test_heap_births.py. Says the line that puts something there, then goes on until its input ends. Runs on
3.8 and newer.

  joined    a list that is made anew, longer, each time
  rebuilt   a dict that is made anew now and then, and filled by one line
  late      a list that is made when the first look is over: some seconds after the start
  reborn    a list that is made some seconds after the start, at the address of another one that grew until then"""
import select
import sys
import time

LATE_SECONDS = 4
REBORN_SECONDS = 9

# Enough to be known to a first look.
joined = [(number, object()) for number in range(2000)]
rebuilt = {-number: (number, object()) for number in range(2000)}


def join(number):
    global joined
    joined = joined + [(number, object())]  # joined


def rebuild(number):
    global rebuilt
    if number % 4000 == 0:
        rebuilt = dict(list(rebuilt.items())[-500:])
    rebuilt[number] = (number, object())  # rebuilt
    return list(range(number % 7))


def late(number):
    global arrived
    if time.monotonic() < begin + LATE_SECONDS:
        return
    if "arrived" not in globals():
        arrived = []
    arrived.append((number, object()))  # late


def make_reborn():
    growing = [(number, object()) for number in range(3000)]

    def keep(number):
        nonlocal growing
        global reborn
        if time.monotonic() < begin + REBORN_SECONDS:
            growing.append((number, object()))  # until then
        elif growing:
            growing = None
            reborn = []
        else:
            reborn.append((number, object()))  # reborn

    return keep


def main():
    keep = {"joined": join, "rebuilt": rebuild, "late": late, "reborn": make_reborn()}[sys.argv[1]]
    lines = [line.rstrip() for line in open(__file__)]
    print([number for number, line in enumerate(lines, 1) if line.endswith("# " + sys.argv[1])][0])
    sys.stdout.flush()
    number = 0
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        for _ in range(2):
            number += 1
            keep(number)


begin = time.monotonic()
main()
