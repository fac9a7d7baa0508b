# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
def sum_of_lists(N):
    total = 0
    for i in range(5):
        L = [j ^ (j >> i) for j in range(N)]
        total += sum(L)
        del L # remove reference to L
    return total
