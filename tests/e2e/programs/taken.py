# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Maps the file that is named on the command line and touches it; then others reclaim its pages. `taken` is what is gone
then, says the kernel."""
import ctypes
import mmap
import os
import sys

from truth import PAGE, begin, end, libc, pause, rollup

size = os.path.getsize(sys.argv[1])
file = os.open(sys.argv[1], os.O_RDONLY)
address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, file, 0)
rollup()
begin()
total = sum(ctypes.string_at(address, size)[::PAGE])  # L:touch
before = rollup()["Rss"]
pause(rss=before)
end({}, before=before)
