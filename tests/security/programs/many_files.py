# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes COUNT files, a page each, in the folder that is named on the command line."""
import os
import sys

print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    with open(os.path.join(sys.argv[1], "file%05d" % number), "wb") as f:
        f.write(b"x")  # L:put
print("done", flush=True)
sys.stdin.readline()
