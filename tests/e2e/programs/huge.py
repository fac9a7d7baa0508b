# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Huge pages, if the kernel gives them: one fault, 512 pages. The truth is read from the page
tables, since it depends on the kernel's settings and free memory. `huge` is how much of it
is in huge pages."""
import ctypes

from truth import MADV_HUGEPAGE, MADV_NOHUGEPAGE, MIB, begin, end, libc, region, resident, rollup


SIZE = 64 * MIB


def small_pages():
    """What the interpreter asked huge pages for (3.15, for its arenas) khugepaged may collapse at any time:
    it would add what was not there before."""
    with open("/proc/self/smaps") as f:
        for line in f.read().splitlines():
            words = line.split()
            if words[0][-1] != ":":
                start, stop = (int(address, 16) for address in words[0].split("-"))
            elif words[0] == "VmFlags:" and "hg" in words:
                libc.madvise(start, stop - start, MADV_NOHUGEPAGE)


small_pages()
begin()
resident()
address = region(SIZE, advice=MADV_HUGEPAGE)
before = resident()
ctypes.memset(address, 1, SIZE)  # L:touch
grown, size = resident() - before, rollup()["AnonHugePages"]
libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(SIZE))  # L:unmap
end({"touch": {"increment": grown}, "unmap": {"increment": -grown}}, grown=grown, huge=size)
