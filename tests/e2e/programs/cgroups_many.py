# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Goes through control groups and leaves a child in each, which takes memory there. `folder` has groups g0, g1, …; of COUNT
of them one in each STEP gets a child. Children of one wave live at the same time, until the harness has had its pause."""
import os
import sys

from truth import MIB, begin, end, pause

folder, COUNT, STEP, WAVE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 50


def enter(number):
    fd = os.open("%s/g%d/cgroup.procs" % (folder, number), os.O_WRONLY)
    os.write(fd, b"0")
    os.close(fd)


def child(done):
    kept = bytearray(MIB)  # L:child
    os.read(done, 1)
    os._exit(len(kept) != MIB)


def wave(numbers):
    done, close = os.pipe()
    pids = []
    for number in numbers:
        enter(number)
        pid = os.fork()
        if not pid:
            os.close(close)
            child(done)
        pids.append(pid)
    pause()
    os.close(close)
    os.close(done)
    return pids, sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)


begin()
pids, failed = [], 0
numbers = [i * STEP for i in range(COUNT)]
for i in range(0, COUNT, WAVE):
    more, bad = wave(numbers[i:i + WAVE])
    pids, failed = pids + more, failed + bad
end({}, pids=pids, failed=failed)
