# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W1: lists of a million integers, built, summed and dropped."""
from measured import at_peak, profile, run, scaled


@profile
def sum_of_lists(n):
    total = 0
    for i in range(5):
        numbers = [j ^ (j >> i) for j in range(n)]  # truth: list
        at_peak()
        total += sum(numbers)
        del numbers  # truth: del
    return total


PROFILED = ["sum_of_lists"]


def work():
    for _ in range(2):
        sum_of_lists(scaled(1000000))


if __name__ == "__main__":
    run(work)
