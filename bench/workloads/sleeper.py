# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An idle Python."""
import os

os.write(1, b"ready\n")
os.read(0, 1)
