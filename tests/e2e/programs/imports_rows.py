# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Waits, imports the module that is named, and ends. The module lies in the folder that comes
first."""
import os
import sys

os.read(0, 1)
sys.path.insert(0, sys.argv[1])
__import__(sys.argv[2])  # L:imports
