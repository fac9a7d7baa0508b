# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Huge pages where the kernel gives them: one fault, 512 pages. The truth is read from the
page tables, since it depends on how the kernel is set and on its free memory; `huge` is how much of it
is in huge pages."""
import ctypes

from truth import MADV_HUGEPAGE, MIB, begin, end, libc, region, resident, rollup


SIZE = 64 * MIB
begin()
resident()
address = region(SIZE, advice=MADV_HUGEPAGE)
before = resident()
ctypes.memset(address, 1, SIZE)  # L:touch
grown, size = resident() - before, rollup()["AnonHugePages"]
libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(SIZE))  # L:unmap
end({"touch": {"increment": grown}, "unmap": {"increment": -grown}}, grown=grown, huge=size)
