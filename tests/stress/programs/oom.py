# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Grows until it is killed for want of memory, and says how far it has come."""
import os

from truth import MIB, begin

begin()
blocks = []
while True:
    blocks.append(bytearray(MIB))  # L:grow
    os.write(1, b"%d\n" % (len(blocks) * MIB))
