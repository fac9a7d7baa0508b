# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Works all the time, with a thread and children, until it is told to stop. Then it says whether its
results are right."""
import os
import threading
import zlib

from truth import begin, say

stop = False
results = {"main": True, "thread": True, "child": True}
DATA = bytes(range(256)) * 512
EXPECTED = zlib.crc32(DATA)


def step(n):
    block = bytearray(512 * 1024)
    block[n % len(block)] = 1
    return sum(block) == 1 and zlib.crc32(DATA) == EXPECTED


def work():
    n = 0
    while not stop:
        n += 1
        results["thread"] &= step(n)


def listen():
    global stop
    os.read(0, 1)
    stop = True


begin()
for target in work, listen:
    threading.Thread(target=target).start()
rounds = 0
while not stop:
    rounds += 1
    results["main"] &= step(rounds)
    if rounds % 64 == 0:
        child = os.fork()
        if child == 0:
            os._exit(0 if step(rounds) else 1)
        results["child"] &= os.waitpid(child, 0)[1] == 0
say(right=all(results.values()), rounds=rounds)
