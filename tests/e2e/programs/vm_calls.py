# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory system calls of known number and size, some of which fail."""
import ctypes
import mmap

from truth import MADV_DONTNEED, MIB, PAGE, PRIVATE, begin, end, libc

READ, WRITE, FIXED, MAYMOVE = mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE, 0x10, 1
FAILED = 2 ** 64 - 1
SIZE, TIMES = 1 * MIB, 10
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
libc.sbrk.argtypes = (ctypes.c_long,)
libc.sbrk.restype = ctypes.c_void_p
at, done = [0] * TIMES, [0] * TIMES


def repeat(function, results):
    for i in range(TIMES):
        results[i] = function(i)


def mapped(i):
    return libc.mmap(None, SIZE, WRITE, PRIVATE, -1, 0)  # L:mapped


def refused(i):
    return libc.mmap(None, 1 << 46, READ, PRIVATE, -1, 0)  # L:refused


def replaced(i):
    return libc.mmap(at[i], SIZE, WRITE, PRIVATE | FIXED, -1, 0)  # L:replaced


def given(i):
    ctypes.memset(at[i], 1, SIZE)
    return libc.madvise(at[i], SIZE, MADV_DONTNEED)  # L:given


def shrunk(i):
    return libc.mremap(at[i], SIZE, SIZE // 2, 0)  # L:shrunk


def moved(i):
    # A page behind it, so that it can't grow where it is.
    libc.mmap(at[i] + SIZE // 2, PAGE, READ, PRIVATE | FIXED, -1, 0)
    return libc.mremap(at[i], SIZE // 2, 2 * SIZE, MAYMOVE)  # L:moved


def stuck(i):
    libc.mmap(at[i] + 2 * SIZE, PAGE, READ, PRIVATE | FIXED, -1, 0)
    return libc.mremap(at[i], 2 * SIZE, 4 * SIZE, 0)  # L:stuck


def unmapped(i):
    return libc.munmap(at[i], 2 * SIZE)  # L:unmapped


def wrong(i):
    return libc.munmap(at[i] + 1, 2 * SIZE)  # L:wrong


def grown(i):
    return libc.sbrk(SIZE)  # L:grown


def fallen(i):
    return libc.sbrk(-SIZE)  # L:fallen


for function in (refused, wrong):  # what they need of the heap, they have before
    repeat(function, done)
begin()
repeat(mapped, at)
assert FAILED not in at
repeat(refused, done)
assert set(done) == {FAILED}
repeat(replaced, done)
assert done == at
repeat(given, done)
repeat(shrunk, done)
assert done == at
repeat(moved, done)
assert FAILED not in done and not set(done) & set(at)
at[:] = done
repeat(stuck, done)
assert set(done) == {FAILED}
repeat(wrong, done)
assert set(done) == {-1}
repeat(unmapped, done)
assert set(done) == {0}
repeat(grown, done)
repeat(fallen, done)
end({})
