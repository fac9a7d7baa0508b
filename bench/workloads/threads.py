# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Eight threads that allocate and drop blocks of many sizes."""
import threading

from timing import measure, scaled


def churn(seed, rounds):
    window, size = [], seed * 977
    for i in range(rounds):
        size = (size * 1103 + 12345) % 40000
        window.append(bytes(size + 500))
        if len(window) > 300:
            del window[:150]
        if i % 128 == 0:
            window.append(bytearray(3 << 20))


def work():
    threads = [threading.Thread(target=churn, args=(k + 1, scaled(9000))) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


measure(work)
