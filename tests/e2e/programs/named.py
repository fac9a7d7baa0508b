# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Threads with names of their own grow on the same line: two that live on, one that has ended, one that has the TID of
that one (if that is possible here), and one of a forked child."""
import os
import threading

from truth import MIB, PAGE, begin, end

TRIES = 1000
ANY, NONE = 0, -1  # TIDs of threads that end when they have grown
LAST = "/proc/sys/kernel/ns_last_pid"
kept, told, over = [], [], threading.Event()


def tid():
    return int(os.readlink("/proc/thread-self").split("/")[-1])


def grow(size):
    kept.append(bytearray(size))  # L:grow


def work(name, mebibytes, grown, last=None):
    if last in (None, ANY, tid()):
        # 3.14 does so itself.
        with open("/proc/thread-self/comm", "w") as f:
            f.write(name)
        grow(mebibytes * MIB)
        told.append({"name": name, "tid": tid(), "bytes": mebibytes * MIB})
    grown.release()
    if last is None:
        over.wait()


def start(*arguments):
    """Starts a thread, and waits until it has grown."""
    grown = threading.Semaphore(0)
    thread = threading.Thread(target=work, args=arguments[:2] + (grown,) + arguments[2:], name=arguments[0])
    thread.start()
    grown.acquire()
    return thread


def again(wanted):
    """A thread with the TID of one that has ended. Another one may take it before: then it may be free again later."""
    for _ in range(TRIES):
        with open(LAST, "w") as f:
            f.write(str(wanted - 1))
        before = len(told)
        start("again", 5, wanted).join()
        if len(told) > before:
            return


start("warm", 1, NONE).join()
begin()
start("worker-1", 4)
start("worker-2", 8)
start("brief", 3, ANY).join()
if os.access(LAST, os.W_OK):
    again(told[-1]["tid"])
go, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    told = []
    start("in-child", 6)
    os.write(done[1], str(told[0]["tid"]).encode())
    os.read(go[0], 1)
    os._exit(0)
in_child = {"name": "in-child", "tid": int(os.read(done[0], 16)), "bytes": 6 * MIB}
size = sum(thread["bytes"] for thread in told)
end({"grow": {"increment": size, "tolerance": 64 * PAGE}}, threads=told,
    children=[{"pid": child, "lines": {"grow": {"increment": in_child["bytes"], "tolerance": 64 * PAGE}},
               "threads": [in_child]}])
over.set()
os.write(go[1], b"x")
os.waitpid(child, 0)
