# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Expressions over arrays of 64 MiB: each temporary is mapped, touched and unmapped, with
the interpreter's lock released."""
import numpy as np

from timing import measure, scaled


def work():
    base = np.arange(8 * 1024 * 1024, dtype=np.float64)
    for _ in range(scaled(8)):
        result = np.sqrt(base * 0.5 + 1.0) - base
        assert result[0] == 1.0
        del result


measure(work)
