# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program that keeps things in containers which others replace, in the way that its argument names; for
tests/e2e/test_heap_births.py. Says the line that puts something there, then goes on until its input ends. Runs on
3.8 and newer.

  joined    a list that is made anew, longer, each time
  rebuilt   a dict that is made anew now and then, and filled by one line
  late      a list that is made when the first look is over: some seconds after the start
  crowded   one dict, filled so often that a watch has to pause, in a process whose copy is given back as it is read
  reborn    a list that is made some seconds after the start, at the address of another one that grew until then
  deaf      as reborn, beside a list whose size is written by another process, to the address that is said after the
            line; nothing that the program does touches that list
"""
import gc
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


def make_crowded():
    global ballast, crowded
    ballast = [bytes(400) for _ in range(600000)]
    crowded = {-number: (number, object()) for number in range(120000)}

    def fill(number):
        for n in range(5):
            crowded[5 * number + n] = (number, object())  # crowded

    return fill


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


def make_deaf():
    global deaf
    gc.disable()  # it would read what the list does not have
    deaf = list(range(3000))
    return make_reborn()


def main():
    kind = sys.argv[1]
    make = {"crowded": make_crowded, "reborn": make_reborn, "deaf": make_deaf}.get(kind)
    keep = make() if make else {"joined": join, "rebuilt": rebuild, "late": late}[kind]
    lines = [line.rstrip() for line in open(__file__)]
    label = "# reborn" if kind == "deaf" else "# " + kind
    print([number for number, line in enumerate(lines, 1) if line.endswith(label)][0])
    if kind == "deaf":
        print(id(deaf) + 16)
    sys.stdout.flush()
    number = 0
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        for _ in range(2):
            number += 1
            keep(number)


begin = time.monotonic()
main()
