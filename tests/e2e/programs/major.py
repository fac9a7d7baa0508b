# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A file that is not in memory is read through a mapping: faults that wait for the disk.
The harness says where the file may be, on a real file system."""
import mmap
import os
import resource

from truth import MIB, PAGE, begin, end

SIZE = 8 * MIB
path = os.path.join(os.environ["PYMEM_E2E_DATA"], "major.%d" % os.getpid())
with open(path, "wb") as f:
    f.write(b"\1" * SIZE)
    f.flush()
    os.fsync(f.fileno())
begin()
with open(path, "rb") as f:
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    view = mmap.mmap(f.fileno(), SIZE, access=mmap.ACCESS_READ)
os.unlink(path)
before, total = resource.getrusage(resource.RUSAGE_SELF), 0
for i in range(0, SIZE, PAGE):
    total += view[i]  # L:read
after = resource.getrusage(resource.RUSAGE_SELF)
major = after.ru_majflt - before.ru_majflt
end({"read": {"increment": SIZE, "file": SIZE, "anon": 0}}, major=major,
    faults=major + after.ru_minflt - before.ru_minflt)
