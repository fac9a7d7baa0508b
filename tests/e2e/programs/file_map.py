# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A file read through a mapping: file pages, not anonymous memory. The harness says where
the file may be, on a real file system (tmpfs pages count as shared memory)."""
import mmap
import os

from truth import MIB, PAGE, begin, end

SIZE = 16 * MIB
path = os.path.join(os.environ["PYMEM_E2E_DATA"], "map.%d" % os.getpid())
with open(path, "wb") as f:
    for _ in range(SIZE // MIB):
        f.write(b"\1" * MIB)
begin()
with open(path, "rb") as f:
    view = mmap.mmap(f.fileno(), SIZE, access=mmap.ACCESS_READ)
os.unlink(path)
total = 0
for i in range(0, SIZE, PAGE):
    total += view[i]  # L:read
end({"read": {"increment": SIZE, "file": SIZE, "anon": 0}})
