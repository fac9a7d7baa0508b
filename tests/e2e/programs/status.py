# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ends as its arguments say: `exit N` or `signal N`."""
import os
import sys

block = bytearray(4 << 20)
if sys.argv[1] == "exit":
    sys.exit(int(sys.argv[2]))
os.kill(os.getpid(), int(sys.argv[2]))
