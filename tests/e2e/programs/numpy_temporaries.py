# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""numpy fills an array, and an expression makes temporaries that are gone at its end."""
import numpy as np

from truth import MIB, begin, end

N = 4 * MIB
warm = np.sqrt(np.ones(8) + np.ones(8))
begin()
a = np.ones(N)  # L:ones
c = np.sqrt(a + a) * 2.0 + 1.0  # L:expression
end({"ones": {"total": 8 * N}, "expression": {"anon": 8 * N, "grown_min": 8 * N}})
