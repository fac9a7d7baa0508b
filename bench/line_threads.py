#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a line event of the Python package costs, with one thread and with eight.

  PYTHON bench/line_threads.py [ROUNDS]      default 5; under the interpreter that it is run with, root

Printed: CPU time of a line, bare and profiled, the smallest of all rounds. Where threads wait for one another, or write to the
same memory, it grows with their number. Counts with a real `pymem-bpf serve`. Nothing is kept.
"""
import os
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "python", "src")]
import mprun  # noqa: E402
from pymem_bpf.counter import Counter  # noqa: E402
from pymem_bpf.line_profiler import LineProfiler  # noqa: E402

CALLS, LINES = 150, 250 * 5


def lines(n):
    t = 0
    for _ in range(n):
        for j in range(250):
            a = j & 127
            b = a ^ 85
            c = (a + b) & 127
            t = (t + c) & 127
    return t


def one():
    kept = bytearray(1 << 20)  # the kernel counts a thread from its first change on
    lines(CALLS)
    del kept


def nanoseconds(count):
    """CPU time of one line, where `count` threads run them."""
    threads = [threading.Thread(target=one) for _ in range(count)]
    begin = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - begin) / (count * CALLS * LINES) * 1e9


def main():
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "serve.sock")
        server = mprun.serve(path)
        try:
            with Counter(socket=path, private=False) as counter:
                for count in 1, 2, 8:
                    bare = min(nanoseconds(count) for _ in range(rounds))
                    with LineProfiler(lines, counter=counter):
                        ours = min(nanoseconds(count) for _ in range(rounds))
                    print("%d threads: a line takes %.1f ns, profiled %.1f" % (count, bare, ours), flush=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
