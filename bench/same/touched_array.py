# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An array of 512 MiB of which PYMEM_BENCH_PERCENT % is touched: the case that is brought against
profilers of resident memory. `allocate` asks for address space; `touch` takes memory."""
import os

import numpy as np

from measured import at_peak, profile, run, scaled

SIZE = scaled(512) << 20
TOUCHED = SIZE * int(os.environ.get("PYMEM_BENCH_PERCENT", "100")) // 100


@profile
def make():
    array = np.empty(SIZE, dtype=np.uint8)  # truth: allocate
    array[:TOUCHED] = 1  # truth: touch
    at_peak()
    del array  # truth: del


PROFILED = ["make"]

if __name__ == "__main__":
    run(make)
