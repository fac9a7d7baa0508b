# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Some children exec while others are forked, all on one CPU. An exec frees the old memory
descriptor (mm) well before it is told; if it is preempted in between, the next fork gets that
very mm: both images are there all the same."""
import os
import struct

from truth import MIB, begin, end

EXECS, STARTERS, FORKS = 20, 4, 200
# To move them to their place takes a while, just after the old memory is gone.
ARGUMENTS = ["x" * 100000] * 15


def becomes_another():
    block = bytearray(MIB)  # L:before_exec
    os.execv("/bin/true", ARGUMENTS)


def child():
    block = bytearray(MIB)  # L:child
    os._exit(0)


def starter(pipe):
    """Its children are slow, so that they are preempted often; but beside other work they get on."""
    os.nice(10)
    for _ in range(EXECS):
        pid = os.fork()
        if pid == 0:
            becomes_another()
        os.waitpid(pid, 0)
        os.write(pipe, struct.pack("i", pid))
    os._exit(0)


def all_of(pipe):
    data = b""
    while True:
        part = os.read(pipe, 65536)
        if not part:
            return [pid for pid, in struct.iter_unpack("i", data)]
        data += part


begin()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
take, give = os.pipe()
starters, forked = [], []
for _ in range(STARTERS):
    pid = os.fork()
    if pid == 0:
        starter(give)
    starters.append(pid)
os.close(give)
for _ in range(FORKS):
    pid = os.fork()
    if pid == 0:
        child()
    os.waitpid(pid, 0)
    forked.append(pid)
became = all_of(take)
for pid in starters:
    os.waitpid(pid, 0)
assert len(became) == EXECS * STARTERS
end({}, children=[{"pid": p, "lines": {"before_exec": {"anon": MIB}}} for p in became] +
    [{"pid": p, "lines": {"child": {"anon": MIB}}} for p in forked])
