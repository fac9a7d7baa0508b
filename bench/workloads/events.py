# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Work whose events --events counts: events.py CASE [FILE]. At a line on stdin it does the work and says how many there were."""
import ctypes
import mmap
import os
import socket
import sys

MIB, PAGE, HUGE = 1 << 20, 4096, 2 << 20
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
buffer = bytearray(MIB)


def region(size, advice):
    address = libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice)
    return address


def give_back(address, size):
    libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))


def read_all(file):
    os.lseek(file, 0, os.SEEK_SET)
    while os.readv(file, [buffer]):
        pass


def cache(path):
    """Pages of a file that come, and go: cold at each turn."""
    file, pages = os.open(path, os.O_RDONLY), 0
    for _ in range(4):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        read_all(file)
        pages += os.fstat(file).st_size // PAGE
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    return pages


def reclaim(path):
    """Pages of a file that is larger than the limit of the control group."""
    file = os.open(path, os.O_RDONLY)
    for _ in range(12):
        read_all(file)
    return 12 * os.fstat(file).st_size // PAGE


def kernel(_):
    """Pairs of sockets, made and closed."""
    for _ in range(5000):
        for one in socket.socketpair():
            one.close()
    return 5000


def touch(_):
    """Pages, touched one by one and given back."""
    size = 32 * MIB
    for _ in range(6):
        address = region(size, MADV_NOHUGEPAGE)
        ctypes.memset(address, 1, size)
        give_back(address, size)
    return 6 * size // PAGE


def huge(_):
    """Huge pages, touched once each and given back."""
    for _ in range(60):
        address = region(9 * HUGE, MADV_HUGEPAGE)
        first = address + -address % HUGE
        for i in range(8):
            ctypes.memset(first + i * HUGE, 1, 1)
        give_back(address, 9 * HUGE)
    return 480


if __name__ == "__main__":
    print("ready", flush=True)
    for _ in sys.stdin:
        print({"cache": cache, "reclaim": reclaim, "kernel": kernel, "touch": touch, "huge": huge}[sys.argv[1]](
            sys.argv[2] if len(sys.argv) > 2 else None), flush=True)
