# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A thread on each CPU; all grow and free at once, so each CPU's part of the counters changes."""
import os
import threading

from truth import MIB, begin, end

CPUS = sorted(os.sched_getaffinity(0))
ROUNDS = 3
gate = threading.Barrier(len(CPUS))
keep = []


def work(cpu):
    os.sched_setaffinity(0, {cpu})
    gate.wait()
    for _ in range(ROUNDS):
        block = bytearray(MIB)  # L:grow
        del block  # L:free
    keep.append(bytearray(MIB))  # L:keep


begin()
threads = [threading.Thread(target=work, args=(cpu,)) for cpu in CPUS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
each = 32 * 1024 * len(CPUS)
end({"grow": {"grown": ROUNDS * MIB * len(CPUS), "tolerance": each},
     "free": {"freed": ROUNDS * MIB * len(CPUS), "tolerance": each},
     "keep": {"increment": MIB * len(CPUS), "tolerance": each}}, cpus=len(CPUS))
