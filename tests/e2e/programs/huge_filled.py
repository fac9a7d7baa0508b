# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Huge pages of which little was touched: one byte in each; all of them; and small pages that the line itself has put
together (MADV_COLLAPSE, from 6.1 on; `collapsed` is its result)."""
import ctypes

from truth import MADV_HUGEPAGE, MIB, PAGE, begin, end, libc, region, rollup

libc.prctl(41, *[ctypes.c_ulong(0)] * 4)  # PR_SET_THP_DISABLE, which truth.py has set
HUGE, SPARSE, DENSE, FEW, MADV_COLLAPSE = 2 * MIB, 16, 4, 100, 25


def huge_pages(count, advice):
    address = region((count + 1) * HUGE, advice=advice)
    return address + -address % HUGE


rollup()
sparse, dense = huge_pages(SPARSE, MADV_HUGEPAGE), huge_pages(DENSE, MADV_HUGEPAGE)
few = huge_pages(1, 15)  # MADV_NOHUGEPAGE
begin()
for i in range(SPARSE):
    ctypes.memset(sparse + i * HUGE, 1, 1)  # L:sparse
ctypes.memset(dense, 1, DENSE * HUGE)  # L:dense
had = rollup()["AnonHugePages"]
for i in range(FEW):
    ctypes.memset(few + i * PAGE, 1, 1)  # L:few
libc.madvise(few, HUGE, MADV_HUGEPAGE)
collapsed = libc.madvise(few, HUGE, MADV_COLLAPSE)  # L:collapse
end({}, had=had, collapsed=collapsed, few=FEW, huge=rollup()["AnonHugePages"])
