# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines that wait until they have freed memory, in a control group whose limit is less than the file that is named
on the command line. The truth is the kernel's own delay accounting (taskstats), asked before and after each line: how
often this thread freed memory itself, and how long that took; and the time that passed."""
import ctypes
import os
import sys

from delays import delays
from truth import MIB, begin, end, region

file = os.open(sys.argv[1], os.O_RDONLY)
compact = os.open("/proc/sys/vm/compact_memory", os.O_WRONLY)
buffer = bytearray(MIB)
size = os.fstat(file).st_size
delays()
begin()
asked = [delays()]
for _ in range(4):
    os.lseek(file, 0, os.SEEK_SET)
    while os.readv(file, [buffer]): pass  # L:read
asked.append(delays())
memory = region(24 * MIB)
asked.append(delays())
ctypes.memset(memory, 1, 24 * MIB)  # L:touch
asked.append(delays())
total = sum(range(1000000))  # L:quiet
asked.append(delays())
os.write(compact, b"1")  # L:compact
asked.append(delays())
found = [[after - before for before, after in zip(*pair)] for pair in zip(asked, asked[1:])]
end({}, truth=dict(read=found[0], touch=found[2], quiet=found[3], compact=found[4]))
