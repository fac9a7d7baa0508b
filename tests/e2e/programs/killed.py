# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Kills itself with SIGKILL right after it has grown."""
import os
import signal

from truth import MIB, begin, say

begin()
say(pid=os.getpid(), lines={"grow": {"grown": 40 * MIB}})
block = bytearray(40 * MIB)  # L:grow
os.kill(os.getpid(), signal.SIGKILL)
