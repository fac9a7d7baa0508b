# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs that it runs, one after the other: each is in hundreds of stacks and then gone."""
import subprocess
import sys

from truth import begin, end

CODE = "import argparse, json, unittest\nblock = b'x' * (2 << 20)"

begin()
for _ in range(int(sys.argv[1])):
    subprocess.check_call([sys.executable, "-c", CODE])
end({})
