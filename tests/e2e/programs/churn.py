# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs programs one after the other: each has hundreds of stacks and then ends. Several run at a time:
what has ended makes room when the profiler has seen it."""
import subprocess
import sys

from truth import begin, end, pause

CODE = "import argparse, json, unittest\nblock = b'x' * (2 << 20)"

begin()
for i in range(int(sys.argv[1])):
    subprocess.check_call([sys.executable, "-c", CODE])
    if i % 5 == 4:
        pause()
end({})
