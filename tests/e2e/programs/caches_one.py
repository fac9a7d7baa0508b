# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads the file that is named on the command line twice, and drops the first half of it. The truth is mincore()."""
import ctypes
import mmap
import os
import sys

from truth import MIB, PAGE, begin, end, libc

libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


def there():
    found = ctypes.create_string_buffer((size + PAGE - 1) // PAGE)
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
    if libc.mincore(address, size, found):
        raise OSError(ctypes.get_errno(), "mincore")
    libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
    return sum(state & 1 for state in found.raw) * PAGE


file = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(file).st_size
buffer = bytearray(MIB)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
begin()
before = there()
while os.readv(file, [buffer]): pass  # L:read
read = there()
os.lseek(file, 0, os.SEEK_SET)
while os.readv(file, [buffer]): pass  # L:warm
warm = there()
os.posix_fadvise(file, 0, size // 2 // MIB * MIB, os.POSIX_FADV_DONTNEED)
end({}, brought=read - before, again=warm - read, there=there() - before)
