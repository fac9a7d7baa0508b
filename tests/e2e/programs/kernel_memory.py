# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines for which the kernel takes memory of its own: sockets, data in pipes, threads. Half of it is given back. The
truth is how many of each there are; and the kernel's own sizes of a socket's records, if it tells them. The command line says for how
many seconds it rests then, so that what goes late has gone."""
import _socket
import _thread
import os
import resource
import sys
import time

from truth import begin, end

PAIRS, PIPES, THREADS = 5000, 100, 50


def sizes():
    """{cache: bytes of an object}, as the kernel has them."""
    try:
        with open("/proc/slabinfo") as f:
            return {words[0]: int(words[3]) for words in map(str.split, f) if words[0] not in ("slabinfo", "#")}
    except OSError:
        return {}


def wait(lock, done):
    with lock:
        pass
    done.append(1)


resource.setrlimit(resource.RLIMIT_NOFILE, (10400, max(10400, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
known = sizes()
pairs = [None] * PAIRS
begin()
for number in range(PAIRS):
    pairs[number] = _socket.socketpair()  # L:pair
pipes = []
for number in range(PIPES):
    pipes.append(os.pipe())  # L:pipe
for _, into in pipes:
    os.set_blocking(into, False)
    while True:
        try:
            os.write(into, bytes(4096))  # L:fill
        except BlockingIOError:
            break
lock, ended = _thread.allocate_lock(), []
lock.acquire()
for number in range(THREADS):
    _thread.start_new_thread(wait, (lock, ended))  # L:thread
for number in range(0, PAIRS, 2):
    for one in pairs[number]:
        one.close()
for into, _ in pipes[::2]:
    os.close(into)
for _, into in pipes[::2]:
    os.close(into)
lock.release()
while len(ended) < THREADS:
    time.sleep(0.01)
# What goes after a grace period of RCU has gone then.
time.sleep(float(sys.argv[1]))
end({}, sockets=2 * PAIRS, pipes=PIPES, threads=THREADS, sizes=known)
os._exit(0)  # Python closes nothing
