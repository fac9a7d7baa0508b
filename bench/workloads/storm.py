# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The worst case there is: every instruction that counts is a page fault. The argument is
the number of Python frames of the stack."""
import sys

from timing import measure, scaled


def storm(rounds):
    for _ in range(rounds):
        block = bytearray(64 << 20)
        del block


def under(frames, rounds):
    return under(frames - 1, rounds) if frames > 0 else storm(rounds)


FRAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 4
# Besides storm(): the last under(), the lambda, measure() and the module.
measure(lambda: under(FRAMES - 5, scaled(30)) if FRAMES > 4 else storm(scaled(30)))
