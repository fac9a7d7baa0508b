# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Maps, touches and unmaps memory ROUNDS times, below many frames. Says "ready", waits for a line, and works.

calls_storm.py ROUNDS"""
import mmap
import sys

DEPTH = 30


def work():
    area = mmap.mmap(-1, 1 << 16)
    area[0] = 1
    area.close()


def nested(depth):
    if depth:
        return nested(depth - 1)
    for _ in range(100):
        work()
    return None


print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1]) // 100):
    nested(DEPTH)
