# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Page faults of which each needs a walk: Python code writes a byte here and there into blocks that are fresh from
malloc. The argument is the number of Python frames of the stack."""
import sys

from timing import measure, scaled

PAGE = 4096
BLOCK = 12 * PAGE  # less than what malloc maps by itself
BLOCKS = 800


def walks(rounds):
    for _ in range(rounds):
        blocks = []
        for _ in range(BLOCKS):
            block = bytearray(BLOCK)
            block[2 * PAGE] = 1
            block[5 * PAGE] = 1
            block[8 * PAGE] = 1
            blocks.append(block)
        del block, blocks


def under(frames, rounds):
    return under(frames - 1, rounds) if frames > 0 else walks(rounds)


FRAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 4
# Besides walks(): the last under(), the lambda, measure() and the module.
measure(lambda: under(FRAMES - 5, scaled(30)) if FRAMES > 4 else walks(scaled(30)))
