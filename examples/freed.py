# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes strings and lets go of all but one in a thousand, which keep the memory of the others from going back."""
import time

rows = ["row %d" % n for n in range(2000000)]
kept = rows[::1000]
del rows
time.sleep(600)
