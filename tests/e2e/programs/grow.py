# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One line grows by 64 MiB and keeps it."""
from truth import MIB, begin, end

begin()
keep = bytearray(64 * MIB)  # L:grow
end({"grow": {"increment": 64 * MIB, "grown": 64 * MIB, "freed": 0, "anon": 64 * MIB,
              "file": 0, "shmem": 0, "faults": 64 * MIB // 4096}})
