# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Collects as often as it is told to, by a number on each line, and nothing collects by itself. Below 0: younger
generations only."""
import gc
import sys

gc.disable()
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    for _ in range(abs(number)):
        if number > 0:
            gc.collect()
        else:
            gc.collect(1)
    print("done", flush=True)
