# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many children, one after the other, then its own end: nobody waits for those that are left."""
import os

from truth import MIB, begin

begin()
for _ in range(40):
    child = os.fork()
    if not child:
        block = bytearray(MIB)
        os._exit(0)
    os.waitpid(child, 0)
os._exit(0)
