# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Imports the module that is named, once told to, and ends: what it is is in the folder that comes
first."""
import os
import sys

os.read(0, 1)
sys.path.insert(0, sys.argv[1])
__import__(sys.argv[2])  # L:imports
