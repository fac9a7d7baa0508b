# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Children with eight threads each that hold memory; all threads of a child end at the same instant."""
import os
import sys
import threading
import time

THREADS = 8


def work(ready):
    blocks = [bytearray(300000) for _ in range(20)]
    ready.append(blocks)
    while True:
        time.sleep(1000)


os.read(0, 1)  # the profiler knows us now
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        ready = []
        for _ in range(THREADS):
            threading.Thread(target=work, args=(ready,), daemon=True).start()
        while len(ready) < THREADS:
            time.sleep(0.001)
        os._exit(0)
    os.waitpid(child, 0)
