# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Grows slowly, as a service with a leak does: ARGV[1] times a second a call of some depth keeps 64 KiB and frees
as much. Says "ready" first; runs until it is killed."""
import sys
import time

kept = []


def keep(number):
    kept.append(bytearray(65536))
    return number


def pass_by(number):
    return len(bytes(1 << 20)) + number


def handler_of(number):
    """A function of its own, with two lines that allocate."""
    space = {"keep": keep, "pass_by": pass_by}
    exec("def handle(depth):\n"
         "    if depth:\n"
         "        return handle(depth - 1)\n"
         "    keep(%d)\n"
         "    return pass_by(%d)\n" % (number, number), space)
    return space["handle"]


def main():
    handlers = [handler_of(number) for number in range(20)]
    pause = 1 / float(sys.argv[1])
    print("ready", flush=True)
    turn = 0
    while True:
        handlers[turn % 20](turn % 8)
        turn += 1
        time.sleep(pause)


main()
