# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A second interpreter in the process runs its own code."""
import sys

from truth import MIB, begin, end

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

begin()
other = interpreters.create()
interpreters.run_string(other, "x = 1\nkeep = bytearray(%d)\n" % (20 * MIB))
mine = bytearray(12 * MIB)  # L:main
# Making an interpreter imports much; only the two lines are known exactly.
NAME = "<string>:2" if sys.version_info < (3, 14) else "<script>:2"
end({NAME: {"increment": 20 * MIB}, "main": {"increment": 12 * MIB}})
