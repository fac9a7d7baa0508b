# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""As many idle Pythons as the argument says, forked by one, so that they share what memory they can."""
import os
import signal
import sys

children = []
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    children.append(child)
os.write(1, b"ready\n")
os.read(0, 1)
for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
