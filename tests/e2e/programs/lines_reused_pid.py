# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A child that gets the PID of one that has just ended, if that is possible here."""
import os

from truth import MIB, begin, end, pause

RUNS, TRIES = 6, 1000
LAST = "/proc/sys/kernel/ns_last_pid"
kept = []


def grow():
    kept.append(bytearray(MIB))  # L:child_grow


def child(pipe):
    os.read(pipe, 1)
    for _ in range(RUNS):
        grow()
    os._exit(0)


def same_pid(wanted, pipe):
    """Another process may take it before we do: then it may be free again later."""
    for _ in range(TRIES):
        with open(LAST, "w") as f:
            f.write(str(wanted - 1))
        pid = os.fork()
        if not pid:
            if os.getpid() == wanted:
                child(pipe)
            os._exit(0)
        if pid == wanted:
            return pid
        os.waitpid(pid, 0)
    return 0


begin(possible=os.access(LAST, os.W_OK))
first, second = os.pipe(), os.pipe()
pid = os.fork()
if not pid:
    os.read(first[0], 1)
    os._exit(0)
pause()
os.write(first[1], b"!")
os.waitpid(pid, 0)
wanted, pid = pid, same_pid(pid, second[0])
pause(wanted=wanted, child=pid)
os.write(second[1], b"!")
if pid:
    os.waitpid(pid, 0)
end({}, child=pid, runs=RUNS)
