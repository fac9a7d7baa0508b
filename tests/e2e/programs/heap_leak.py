# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps memory in the way that its argument names (heap_kinds.py). Told what to do by lines on its standard input:

  more N    keeps N things more, and answers
  run       goes on keeping, a little at a time, until the next line comes
  drop      lets go of all of them, collects, and answers
  end

An answer has the bytes that its allocators have handed out (allocated.py). So what letting go of them frees is known
without the profiler. Python 3.8 syntax."""
import gc
import os
import select
import sys
import time

import heap_kinds
from allocated import in_use
from truth import line, say

STEPS_MOST = 3000


def run(kept, number):
    """A little, again and again, some 100 to 500 KB a second; not for ever, whatever the test waits for."""
    steps = 0
    while not select.select([0], [], [], 0.02)[0]:
        steps += 1
        for _ in range(kept.per_step if steps < STEPS_MOST else 0):
            kept.grow(number)
            number += 1
    return number


def main():
    kept = heap_kinds.KINDS[sys.argv[1]]()
    number = 0
    in_use()
    gc.collect()
    say(pid=os.getpid(), holder=kept.holder, type=getattr(kept, "type", None))
    while True:
        words = (line() or b"").decode().split()
        if not words or words[0] == "end":
            return
        if words[0] == "more":
            for _ in range(int(words[1])):
                kept.grow(number)
                number += 1
        elif words[0] == "run":
            number = run(kept, number)
            continue
        elif words[0] == "drop":
            kept.drop()
            gc.collect()
        say(number=number, in_use=in_use(), time=time.time())


main()
