# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines that make a control group use more memory, each of another kind: anonymous memory, a file that is read, shared
memory, data in pipes, page tables. The truth is what each of them must add, in bytes."""
import ctypes
import mmap
import os
import sys

from truth import MIB, begin, end, region

ANON, FILE, SHARED, PIPES, SPARSE = 32 * MIB, 24 * MIB, 8 * MIB, 64, 512 * MIB


def tables():
    """Bytes of page tables."""
    with open("/proc/self/status", "rb") as f:
        for line in f:
            if line.startswith(b"VmPTE:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmPTE")


def load(path):
    """Bytes of the pages that it reads."""
    fd, block, loaded = os.open(path, os.O_RDONLY), bytearray(MIB), 0
    for at in range(0, FILE, MIB):
        loaded += os.preadv(fd, [block], at)  # L:load
    os.close(fd)
    return -loaded % 4096 + loaded


def sparse():
    address = region(SPARSE)
    for at in range(address, address + SPARSE, 2 * MIB):
        ctypes.memset(at, 1, 1)  # L:sparse
    return address


def send():
    pipes = [os.pipe() for _ in range(PIPES)]
    for _, into in pipes:
        os.set_blocking(into, False)
        os.write(into, bytes(60 * 1024))  # L:send
    return pipes


tables()
begin()
kept = bytearray(ANON)  # L:keep
shared = mmap.mmap(-1, SHARED)
shared.write(bytes(SHARED))  # L:share
loaded = load(sys.argv[1])
before = tables()
sparse()
made = tables() - before
send()
end({}, keep=ANON, load=loaded, share=SHARED, tables=made, send=PIPES * 15 * 4096, sparse=SPARSE // (2 * MIB) * 4096)
if sys.argv[2:]:
    os._exit(0)
