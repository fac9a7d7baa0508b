# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One line grows, another frees it."""
from truth import MIB, begin, end

begin()
block = bytearray(48 * MIB)  # L:make
del block  # L:free
end({"make": {"increment": 48 * MIB}, "free": {"increment": -48 * MIB, "freed": 48 * MIB, "grown": 0}})
