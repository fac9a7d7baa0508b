# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Corrupts its interpreter's own structures while it grows, and repairs them. argv[1]:
length (a file name of 2 GiB), cycle (a frame that is its own caller), wild (a caller at an
invalid address). Frames are corrupted only up to CPython 3.10, where they are plain objects."""
import ctypes
import sys

from truth import MIB, begin, end

LENGTH, BACK = 16, 24  # of PyASCIIObject.length and PyFrameObject.f_back


def spoil(address, value):
    field = ctypes.c_uint64.from_address(address)
    old = field.value
    field.value = value
    return field, old


def grow():
    mode, frame = sys.argv[1], sys._getframe()
    if mode == "length":
        field, old = spoil(id(grow.__code__.co_filename) + LENGTH, 1 << 31)
    elif mode == "cycle":
        field, old = spoil(id(frame) + BACK, id(frame))
    else:
        field, old = spoil(id(frame) + BACK, 0x5000)
    block = bytearray(16 * MIB)  # L:grow
    field.value = old
    return block


begin()
kept = grow()
end({"grow": {"increment": 16 * MIB}})
