# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps memory in the way that its argument names (heap_kinds.py). Told what to do by lines on its standard input:

  more N    keeps N things more, and answers
  run       goes on keeping, a little at a time, until the next line comes
  drop      lets go of all of them, collects, and answers
  end

An answer has the bytes that its allocators have handed out: those of Python's by its own count, those of malloc's by
mallinfo(3). So what letting go of them frees is known without the profiler. Python 3.8 syntax."""
import ctypes
import gc
import os
import re
import select
import sys
import tempfile
import time

import heap_kinds
from truth import libc, say

STEPS_MOST = 3000
FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()


class Info2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


class Info(ctypes.Structure):  # wraps at 4 GiB
    _fields_ = [(name, ctypes.c_uint) for name in FIELDS]


def of_malloc():
    """Bytes that malloc has handed out; 0 where it does not say (musl)."""
    for name, result in (("mallinfo2", Info2), ("mallinfo", Info)):
        call = getattr(libc, name, None)
        if call:
            call.restype = result
            info = call()
            return info.uordblks + info.hblkhd
    return 0


def of_python():
    """Bytes that Python's own allocator has handed out: it prints them to standard error only."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        sys._debugmallocstats()
        os.dup2(kept, 2)
        os.close(kept)
        file.seek(0)
        text = file.read().decode()
    found = re.search(r"# bytes in allocated blocks\s*=\s*([\d,]+)", text)
    return int(found.group(1).replace(",", "")) if found else 0


def in_use():
    return of_python() + of_malloc()


def line():
    """The next line of standard input; None if it was closed."""
    got = b""
    while not got.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        got += byte
    return got.decode().split()


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
        words = line()
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
