# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines that make page tables grow and shrink: one page table for each 2 MiB that is touched. The truth is the kernel's
own size of them (VmPTE), asked before and after each line."""
import ctypes

from truth import MIB, begin, end, libc, region

SPARSE, READ = 256 * MIB, 128 * MIB
STEP = 2 * MIB


def tables():
    """Bytes of page tables. Nothing is allocated for the text that stays."""
    with open("/proc/self/status", "rb") as f:
        for line in f:
            if line.startswith(b"VmPTE:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmPTE")


def touch(address, size):
    for at in range(address, address + size, STEP):
        ctypes.memset(at, 1, 1)  # L:touch


def look(address, size):
    for at in range(address, address + size, STEP):
        ctypes.c_char.from_address(at).value  # L:look


libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
tables()
begin()
written, read = region(SPARSE), region(READ)
asked = [tables()]
touch(written, SPARSE)
asked.append(tables())
look(read, READ)
asked.append(tables())
libc.munmap(written, SPARSE)  # L:unmap
asked.append(tables())
found = dict(zip(("touch", "look", "unmap"), (after - before for before, after in zip(asked, asked[1:]))))
end({}, tables=found, all=asked[-1])
