# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The example the profiler is named for: the list grows, the del frees."""
from truth import FREE_THREADED, begin, end

N = 200000


def sum_of_lists(n):
    total = 0
    for i in range(5):
        L = [j ^ (j >> i) for j in range(n)]  # L:list
        total += sum(L)
        del L  # L:del
    return total


begin()
sum_of_lists(N)
# Most of the integers of five lists (32 bytes each) came and went (some arenas are kept
# from one to the next); the lists' own blocks
# are over-allocated and reallocated, so the upper bound is loose.
INTEGERS = 5 * 32 * N
if FREE_THREADED:
    # mimalloc keeps the integers' pages for the next list, and moves the list's block as it grows.
    lists = 5 * 8 * N
    end({"list": {"grown_min": lists + INTEGERS // 5 * 8 // 10},
         "del": {"freed_min": lists * 8 // 10}})
else:
    end({"list": {"grown_min": INTEGERS * 7 // 10, "grown_max": INTEGERS * 2},
         "del": {"freed_min": INTEGERS * 6 // 10, "freed_max": INTEGERS * 2}})
