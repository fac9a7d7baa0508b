# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Known amounts of memory, line by line, counted by the real helper. Prints JSON: for each function
{line of it: [occurrences, bytes counted]}, and whether the helper stayed.

  lines_truth.py SOCKET    with another thread that allocates all the time
  lines_truth.py -         without a helper, and without that thread
"""
import json
import mmap
import sys
import threading

from pymem_bpf import Counter, LineProfiler

MIB = 1 << 20
PAGE = mmap.PAGESIZE


def touched(size):
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, PAGE):
        memory[at] = 1
    return memory


def straight():
    a = touched(4 * MIB)
    b = touched(2 * MIB)
    a.close()
    c = touched(MIB)
    b.close()
    return c


def loop():
    kept = []
    for i in range(10):
        kept.append(touched(MIB))
        spare = touched(2 * MIB)
        spare.close()
    while kept:
        kept.pop().close()


def recursive(n):
    memory = touched(MIB)
    if n:
        recursive(n - 1)
    memory.close()


def raises():
    memory = touched(MIB)
    try:
        fails()
    except ValueError:
        memory.close()


def fails():
    memory = touched(3 * MIB)
    memory.close()
    raise ValueError


def generator():
    for _ in range(5):
        memory = touched(MIB)
        yield
        memory.close()


def consumer():
    for _ in generator():
        memory = touched(2 * MIB)
        memory.close()


def everything():
    straight().close()
    loop()
    recursive(5)
    raises()
    consumer()


def disturb(stop):
    kept = []
    while not stop.is_set():
        kept.append(touched(MIB))
        if len(kept) > 50:
            while kept:
                kept.pop().close()


FUNCTIONS = [straight, loop, recursive, raises, fails, generator, consumer]


def counted(profiler):
    return {result.name: {line - result.first_line: [row.occurrences, row.increment_bytes]
                          for line, row in result.lines.items()}
            for result in profiler.results()}


def estimate():
    everything()
    profiler = LineProfiler(*FUNCTIONS)
    profiler.runcall(everything)
    print(json.dumps({"approximate": profiler.approximate, "error": profiler.error_bytes,
                      "unread": profiler.unread, "reason": profiler.approximate_reason,
                      "functions": counted(profiler)}))


def main():
    stop = threading.Event()
    other = threading.Thread(target=disturb, args=(stop,))
    everything()  # what is only needed the first time
    with Counter(socket=sys.argv[1], private=False) as counter:
        profiler = LineProfiler(*FUNCTIONS, counter=counter)
        profiler.runcall(everything)
        profiler = LineProfiler(*FUNCTIONS, counter=counter)
        other.start()
        profiler.runcall(everything)
        stop.set()
        other.join()
        print(json.dumps({"alive": counter.alive(), "cut": profiler.cut, "functions": counted(profiler)}))


if __name__ == "__main__":
    estimate() if sys.argv[1] == "-" else main()
