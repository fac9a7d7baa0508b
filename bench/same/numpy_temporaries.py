# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W5: arrays of 64 MiB, and an expression with temporaries that no name ever holds."""
import numpy as np

from measured import at_peak, profile, run, scaled


@profile
def expressions(rounds, n):
    total = 0.0
    for _ in range(rounds):
        first = np.arange(n, dtype=np.float64)  # truth: first
        second = first * 2.0  # truth: second
        third = np.sqrt(first + second) + 1.0  # truth: third
        at_peak()
        total += float(third.sum())
        del first, second, third  # truth: del
    return total


PROFILED = ["expressions"]


def work():
    expressions(scaled(8), 8 * 1024 * 1024)


if __name__ == "__main__":
    run(work)
