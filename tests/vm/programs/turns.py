# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""As smp.py, but one thread at a time. With the other CPUs idle, the time of an event can be compared
with that on fewer CPUs, also in an emulator that runs all CPUs in turn."""
import os
import threading

from truth import MIB, begin, end

CPUS = sorted(os.sched_getaffinity(0))
ROUNDS = 3
turn = threading.Lock()
keep = []


def work(cpu):
    os.sched_setaffinity(0, {cpu})
    with turn:
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
