# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W7: eight threads keep windows of small blocks, and now and then map and touch 4 MiB. That
line's growth is known by arithmetic; a process-wide reading could not say whose it is."""
import mmap
import threading

from measured import at_peak, profile, run, scaled

THREADS, BLOCK = 8, 4 << 20
ONES = b"\1" * (BLOCK // 4096)


@profile
def churn(seed, rounds):
    window, size = [], seed * 977
    for i in range(rounds):
        size = (size * 1103 + 12345) % 40000
        window.append(bytes(size + 500))
        if len(window) > 300:
            del window[:150]
        if i % 64 == 0:
            block = mmap.mmap(-1, BLOCK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            block[::4096] = ONES  # known: touch
            block.close()


PROFILED = ["churn"]
ROUNDS = scaled(3000)


def work():
    threads = [threading.Thread(target=churn, args=(k + 1, ROUNDS)) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    at_peak()


if __name__ == "__main__":
    run(work, {"touch": THREADS * ((ROUNDS + 63) // 64) * BLOCK})
