# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Thousands of threads, 50 at a time; each grows on one line and ends."""
import sys
import threading

from truth import begin, end

COUNT, AT_ONCE, SIZE = int(sys.argv[1]), 50, 256 * 1024
blocks = []


def grow():
    # With its header, 64 pages.
    blocks.append(bytearray(SIZE - 64))  # L:grow


begin()
for i in range(0, COUNT, AT_ONCE):
    threads = [threading.Thread(target=grow) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blocks.clear()
end({"grow": {"grown": COUNT * SIZE}})
