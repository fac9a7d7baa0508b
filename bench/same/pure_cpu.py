# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W2: arithmetic on integers that CPython caches. No memory is touched for the first time."""
from measured import at_peak, profile, run, scaled


@profile
def mix(rounds):
    state = 1
    for i in range(rounds):
        for step in range(200):
            left = state & 63
            right = (step ^ left) & 63
            state = (left + right + 1) & 127
    at_peak()
    return state


PROFILED = ["mix"]


def work():
    mix(scaled(45000))


if __name__ == "__main__":
    run(work)
