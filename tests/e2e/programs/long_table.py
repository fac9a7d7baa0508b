# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A code object whose line table is longer than one event sends (64 KiB) in each encoding, and
which allocates behind all of it."""
import ctypes

from truth import MIB, begin, end, region

LINES = 40000
source = "".join("x = %d\n" % (i & 1) for i in range(LINES)) + "ctypes.memset(region(%d), 1, %d)\n" % (
    8 * MIB, 8 * MIB)
code = compile(source, "<long>", "exec")
table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
assert len(table) > 65536, len(table)
begin()
exec(code)
end({"<long>:%d" % (LINES + 1): {"increment": 8 * MIB}})
