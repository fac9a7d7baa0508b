# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One line that grows and one that frees, until the program is ended."""
import time

from truth import MIB, begin

begin()
while True:
    block = bytearray(8 * MIB)
    del block
    time.sleep(0.02)
