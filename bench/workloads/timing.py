# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Times a workload. It waits for a line on stdin first, so that a profiler can attach, and
prints the seconds that its work took, start-up excluded, and its page faults. `scaled` applies --scale."""
import os
import resource
import sys
import time

SCALE = float(os.environ.get("PYMEM_BENCH_SCALE", "1"))


def scaled(count):
    return max(1, int(count * SCALE))


def measure(work):
    if not os.environ.get("PYMEM_BENCH_NO_WAIT"):
        os.write(1, b"ready\n")
        if os.read(0, 3) != b"GO\n":
            sys.exit("the benchmark is gone")
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    os.write(1, ("seconds %.6f faults %d\n" % (seconds, faults)).encode())
    if not os.environ.get("PYMEM_BENCH_NO_WAIT"):
        os.read(0, 4)
