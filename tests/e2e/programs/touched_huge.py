# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Huge pages whose first toucher is known. One stays whole, of the other a part is dropped. `huge`
is how much of it is in huge pages."""
import ctypes

from truth import MADV_DONTNEED, MADV_HUGEPAGE, MIB, PAGE, begin, end, libc, region, rollup

libc.prctl(41, *[ctypes.c_ulong(0)] * 4)  # PR_SET_THP_DISABLE, which truth.py has set
HUGE = 2 * MIB
rollup()
begin()
address = region(4 * HUGE, advice=MADV_HUGEPAGE)
address += -address % HUGE
ctypes.memset(address, 1, 1)  # L:whole
whole = HUGE if rollup()["AnonHugePages"] else PAGE
ctypes.memset(address + HUGE, 1, HUGE)  # L:part
libc.madvise(address + HUGE, MIB, MADV_DONTNEED)
end({"whole": {"resident": whole}, "part": {"resident": MIB}}, huge=rollup()["AnonHugePages"])
