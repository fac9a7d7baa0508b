# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lives for 50 ms after GO and grows by 20 MiB: afterwards nothing of it can be read."""
import os
import time

from truth import MIB, begin, say

begin()
say(pid=os.getpid(), lines={"grow": {"grown": 20 * MIB}})
block = bytearray(20 * MIB)  # L:grow
time.sleep(0.04)
os._exit(0)
