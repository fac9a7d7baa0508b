# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Bytes that the allocators of this process have handed out: those of Python's by its own count, those of malloc's by
mallinfo(3). So what letting go of something frees is known without the profiler. Python 3.8 syntax."""
import ctypes
import os
import re
import sys
import tempfile

LIBC = ctypes.CDLL(None)
FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()


class Info2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


class Info(ctypes.Structure):  # wraps at 4 GiB
    _fields_ = [(name, ctypes.c_uint) for name in FIELDS]


def of_malloc():
    """Bytes that malloc has handed out; 0 where it does not say (musl)."""
    for name, result in (("mallinfo2", Info2), ("mallinfo", Info)):
        call = getattr(LIBC, name, None)
        if call:
            call.restype = result
            info = call()
            return info.uordblks + info.hblkhd
    return 0


def of_python():
    """Bytes that Python's own allocator has handed out: it prints them to standard error only."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        sys._debugmallocstats()
        os.dup2(kept, 2)
        os.close(kept)
        file.seek(0)
        text = file.read().decode()
    found = re.search(r"# bytes in allocated blocks\s*=\s*([\d,]+)", text)
    return int(found.group(1).replace(",", "")) if found else 0


def in_use():
    return of_python() + of_malloc()
