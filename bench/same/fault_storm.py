# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W3: each block of 64 MiB is touched for the first time, then unmapped: page after page is a
fault. PYMEM_BENCH_DEPTH more frames lie on the stack."""
import os

from measured import at_peak, profile, run, scaled


@profile
def storm(rounds):
    for _ in range(rounds):
        block = bytearray(64 << 20)  # truth: block
        at_peak()
        del block  # truth: del


def deeper(depth, rounds):
    return deeper(depth - 1, rounds) if depth else storm(rounds)


PROFILED = ["storm"]


def work():
    deeper(int(os.environ.get("PYMEM_BENCH_DEPTH", "0")), scaled(20))


if __name__ == "__main__":
    run(work)
