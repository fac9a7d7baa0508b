# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A counter block (include/pymem_block.h) that the test itself writes. Profiled functions call grow(), so
the block knows what each line changes."""
import mmap
import os
import struct
import threading

BLOCK_BYTES, THREADS_AT, THREADS, PROBES = 16384, 512, 992, 8
STATE_AT, MISSED_AT, RSS_AT, TREE_AT = 4, 8, 24, 32
NEW, LIVE, ENDED = range(3)
UNIT = mmap.PAGESIZE
START = 1000


_lock = threading.Lock()


def _after_fork():
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class Block:
    """A counter for LineProfiler. fd: what its fileno() gives."""

    def __init__(self, fd=None):
        self.block = mmap.mmap(-1, BLOCK_BYTES)
        self.fd = fd
        struct.pack_into("=IIII3q", self.block, 0, 2, LIVE, 0, 1, START, START, START)

    def fileno(self):
        return self.fd

    def _add(self, at, amount):
        struct.pack_into("=q", self.block, at, struct.unpack_from("=q", self.block, at)[0] + amount)

    def rss(self):
        return struct.unpack_from("=q", self.block, RSS_AT)[0]

    def set_state(self, state):
        struct.pack_into("=I", self.block, STATE_AT, state)

    def grow(self, pages, child=0, tid=None):
        """This thread changes RSS by so many pages, a child by `child`."""
        tid = threading.get_native_id() if tid is None else tid
        with _lock:
            self._grow(pages, child, tid)

    def _grow(self, pages, child, tid):
        for probe in range(PROBES):
            at = THREADS_AT + 16 * ((tid + probe) % THREADS)
            found, = struct.unpack_from("=I", self.block, at)
            if found in (0, tid):
                struct.pack_into("=I", self.block, at, tid)
                self._add(at + 8, pages)
                break
        else:
            struct.pack_into("=I", self.block, MISSED_AT, 1)
        self._add(RSS_AT, pages)
        self._add(TREE_AT, pages + child)
