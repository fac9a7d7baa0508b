# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps small objects for `heap` to look at: PYMEM_BENCH_MIB of RSS, nearly. Says "ready", and how many
blocks it made, then waits for the end of its input."""
import gc
import os
import sys


class Record:
    def __init__(self, number):
        self.number = number * 1000
        self.name = "record %d" % number
        self.pair = (number * 1.5, [number + 1000000])
        self.tags = {"a": str(number)}


size = int(os.environ["PYMEM_BENCH_MIB"]) << 20
kept = {}
gc.disable()
page = os.sysconf("SC_PAGE_SIZE")
with open("/proc/self/statm") as statm:
    while int(statm.read().split()[1]) * page < size:
        for _ in range(20000):
            kept[len(kept)] = Record(len(kept))
        statm.seek(0)
print("ready", len(kept), flush=True)
sys.stdin.read()
