# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A heap of malloc's full of holes; on "GO" what it can give back is given back (malloc_trim)."""
from truth import begin, end, libc, rollup

kept = [bytes(bytearray(5000 + i % 3000)) for i in range(20000)]
del kept[::2]
small = [bytes(bytearray(900)) for _ in range(3000)]
kept = kept[::5]
begin()
before = rollup()["Anonymous"]
libc.malloc_trim(0)
end({}, given=before - rollup()["Anonymous"], kept=len(kept) + len(small))
