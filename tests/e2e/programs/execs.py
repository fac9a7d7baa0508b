# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Executes another Python program while attached. The next image does not wait for GO:
it reports the truth of both."""
import os
import sys

from truth import MIB, begin

begin()
before = bytearray(12 * MIB)  # L:before
os.environ["PYMEM_E2E_LAUNCHED"] = ""
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(__file__), "execed.py")])
