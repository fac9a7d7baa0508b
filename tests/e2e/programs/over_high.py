# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A line that touches memory beyond the memory.high of its control group (version 2), whose folder is named on the
command line. The truth is, of each line, what this thread slept: the time that passed, less the CPU time that it had,
and less that for which it waited for a CPU; and what the group's memory.pressure says. Nothing else here sleeps."""
import ctypes
import os
import sys
import time

from truth import MIB, begin, end, region

STEP = MIB // 4
GROUP = sys.argv[1]


# Kept open: what an open() allocates is the group's, too.
files = {name: os.open(os.path.join(GROUP, name), os.O_RDONLY)
         for name in ("memory.high", "memory.current", "memory.pressure")}
files["schedstat"] = os.open("/proc/thread-self/schedstat", os.O_RDONLY)


def read(name):
    return os.pread(files[name], 4096, 0).decode()


def clocks():
    """What passed, what was slept, and what the group waited for memory, so far, in nanoseconds."""
    passed = time.monotonic_ns()
    slept = passed - time.thread_time_ns() - int(read("schedstat").split()[1])
    return passed, slept, int(read("memory.pressure").split("total=")[1].split()[0]) * 1000


# memory.pressure is a mean over CPUs, by how long the group was not idle on each: of one that moves while it is stalled,
# a part is missing.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
high = int(read("memory.high"))
memory = region(2 * high)
clocks()
begin()
asked, at = [clocks()], 0
while int(read("memory.current")) < high - 2 * STEP:
    ctypes.memset(memory + at, 1, STEP)  # L:below
    at += STEP
asked.append(clocks())
for _ in range(int(sys.argv[2])):
    ctypes.memset(memory + at, 1, STEP)  # L:beyond
    at += STEP
asked.append(clocks())
total = sum(range(100000))  # L:quiet
asked.append(clocks())
found = [[after - before for before, after in zip(*pair)] for pair in zip(asked, asked[1:])]
end({}, truth=dict(zip(("below", "beyond", "quiet"), found)))
