# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Grows on one line; the test edits a copy of this file while it runs."""
from truth import MIB, begin, end

begin()
keep = bytearray(16 * MIB)  # L:grow
end({"grow": {"increment": 16 * MIB}})
