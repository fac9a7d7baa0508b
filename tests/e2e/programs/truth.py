# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Shared by all programs here. A program waits until it is attached, reports what it did, and
waits again, so that its RSS can be compared while it does not change.

It talks with os.read and os.write, which don't change memory. The truth is one JSON object
per line: "lines" maps a label (or "file:line") to the amounts that this line must show, in
bytes. The harness sets MALLOC_MMAP_THRESHOLD_, and begin() leaves no room in the heap. So a
block of 128 KiB or more is a mapping of its own: it changes RSS by its size plus one page.
Python 3.6 syntax.
"""
import ctypes
import json
import mmap
import os
import sys

PAGE = mmap.PAGESIZE
MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 14, 15

libc = ctypes.CDLL(None, use_errno=True)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.mremap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                      ctypes.c_int, ctypes.c_long)
libc.mmap.restype = ctypes.c_void_p
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.malloc.restype = ctypes.c_void_p

# khugepaged may make a huge page of many at any time, which adds what was not there before and is no
# line's doing: 3.15 asks for that (MADV_HUGEPAGE) for its arenas.
PR_SET_THP_DISABLE = 41
if os.path.basename(sys.argv[0]) != "huge.py":
    libc.prctl(PR_SET_THP_DISABLE, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)

BLOCK = 128 * 1024  # from here on malloc maps, unless its heap has room
IS_MMAPPED = 2  # bit of the word before a block, glibc's malloc.c


# Free-threaded builds take blocks from mimalloc, which writes about two pages beside each.
FREE_THREADED = "t" in sys.abiflags
SLACK = 160 * 1024 if FREE_THREADED else 0


def say(**what):
    for image in [what] + what.get("children", []):
        for line in image.get("lines", {}).values():
            line["slack"] = SLACK
    os.write(1, (json.dumps(what) + "\n").encode())


def line():
    """The next line that the harness writes; None if its pipe was closed."""
    got = b""
    while not got.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        got += byte
    return got.strip()


def wait(word):
    """Until the harness writes that word (a line); its closed pipe means: give up. Not by line(): where lines are watched
    from here on, the call that ends would be one of them."""
    got = b""
    while not got.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(86)
        got += byte
    if got.strip() != word:
        os._exit(87)


def fill_heap():
    """Takes what the heap has free in pieces that blocks of programs would fit into: they would
    be resident already, or the parent's. What is left over is malloc's for small objects."""
    while not ctypes.c_size_t.from_address(libc.malloc(BLOCK) - ctypes.sizeof(ctypes.c_size_t)).value & IS_MMAPPED:
        pass


def begin(**more):
    """At rest, until attached. A warm-up first: what say() and json need is imported."""
    json.dumps({"lines": {"x": {"grown": 1}}, "pids": [1, 2]})
    fill_heap()
    if os.environ.get("PYMEM_E2E_LAUNCHED"):
        os.read(0, 1)  # the profiler is to know us before we do what it is to see
        return
    say(pid=os.getpid(), **more)
    wait(b"GO")


def pause(**more):
    """Until the profiler has dealt with what it was told of so far."""
    say(pause=True, **more)
    wait(b"ON")


def end(lines, **more):
    say(pid=os.getpid(), lines=lines, **more)
    if not os.environ.get("PYMEM_E2E_LAUNCHED"):
        wait(b"END")


def region(size, flags=PRIVATE, advice=MADV_NOHUGEPAGE):
    """Address of a fresh mapping, read and write; nothing of it is resident."""
    address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    if advice is not None:
        libc.madvise(address, size, advice)
    return address


def rollup():
    """{name: bytes} of what the process's page tables have. Without a file object, whose buffer (128 KiB
    from 3.14 on) would be part of it, or not."""
    fd = os.open("/proc/self/smaps_rollup", os.O_RDONLY)
    text = os.read(fd, 4096)
    os.close(fd)
    words = [line.split() for line in text.splitlines()]
    return {w[0][:-1].decode(): int(w[1]) * 1024 for w in words if w[-1] == b"kB"}


def resident():
    """Rss of this process as its page tables have it, in bytes."""
    return rollup()["Rss"]
