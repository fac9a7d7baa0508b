# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A line that writes a file which is larger than the limit of its control group (version 1): the thread has to wait until
pages are written before it can free any. The truth is the kernel's own delay accounting, before and after."""
import os
import sys

from delays import delays
from truth import MIB, begin, end

buffer = bytearray(os.urandom(MIB))
delays()
begin()
asked = [delays()]
for _ in range(3):
    file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for _ in range(160):
        os.write(file, buffer)  # L:write
    os.close(file)
asked.append(delays())
end({}, truth=[after - before for before, after in zip(*asked)])
