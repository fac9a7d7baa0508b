# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Eight threads at once whose lines do known amounts, counted by the kernel, all together and each for itself. Prints
one JSON object: what was counted, by label, and by label and thread. Threads end while others run."""
import ctypes
import json
import mmap
import sys
import threading

from pymem_bpf.counter import Counter
from pymem_bpf.line_profiler import LineProfiler

MIB = 1 << 20
THREADS = 8
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def grow(mib):
    """Address of fresh memory, all of it resident: exactly so much, whatever malloc does."""
    address = libc.mmap(None, mib * MIB, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.madvise(address, mib * MIB, 15)
    ctypes.memset(address, 1, mib * MIB)
    return address


def free(address, mib):
    libc.munmap(address, mib * MIB)


def loop(number):
    for _ in range(number):             # L:loop_for
        address = grow(2)               # L:loop_grow
        free(address, 1)                # L:loop_free


def recurse(n):
    address = grow(1)                   # L:recurse_grow
    if n:
        recurse(n - 1)                  # L:recurse_call
    free(address, 1)                    # L:recurse_free


def generate(number):
    for _ in range(3):
        grow(number)                    # L:generate_grow
        yield _                         # L:generate_yield


def drive(number):
    for _ in generate(number):          # L:drive_for
        grow(1)                         # L:drive_body


FUNCTIONS = [loop, recurse, generate, drive]


def work(number):
    loop(number)
    recurse(number)
    drive(number)


def one(number, profiler, begin):
    """The last thing that its thread does: some end while others run."""
    begin.wait()
    with profiler:
        work(number)


def labels():
    """{line: label} of this file."""
    with open(__file__) as f:
        return {n: text.split("# L:")[1].strip() for n, text in enumerate(f, 1) if "# L:" in text}


def counted(profiler):
    names, found = labels(), {}
    for result in profiler.results():
        for line, row in result.lines.items():
            if line in names:
                found[names[line]] = (row.occurrences, row.increment_bytes)
    return found


def measure(counter):
    begin = threading.Barrier(THREADS)
    own = [LineProfiler(*FUNCTIONS, counter=counter, own_thread=True) for _ in range(THREADS)]
    everyone = LineProfiler(*FUNCTIONS, counter=counter)
    threads = [threading.Thread(target=one, args=(number, profiler, begin))
               for number, profiler in enumerate(own, 1)]
    with everyone:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"all": counted(everyone), "each": [counted(profiler) for profiler in own],
            "cut": everyone.cut, "missed": everyone.missed,
            "gil": getattr(sys, "_is_gil_enabled", lambda: True)()}


def main():
    with Counter(socket=sys.argv[1], private=False) as counter:
        measure(counter)  # what is only needed the first time
        print(json.dumps(measure(counter)))


main()
