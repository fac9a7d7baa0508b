# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Arithmetic on cached small integers: no memory is touched for the first time."""
from timing import measure, scaled


def mix(rounds):
    state = 1
    for _ in range(rounds):
        for step in range(200):
            left = state & 63
            right = (step ^ left) & 63
            state = (left + right + 1) & 127
    return state


measure(lambda: mix(scaled(45000)))
