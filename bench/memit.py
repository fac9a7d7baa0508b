#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""%memit against memory_profiler's %memit: a 300 MB bytearray that lives 5 ms once it is touched.

  bench/memit.py [ROUNDS]      default 20

Each round is a fresh process for each of the two, in turns, and each runs IPython's own magic in
its own shell. A report is right if it is within 1 MiB of VmHWM, which the process reads behind the
magic. Printed: how many were right, the extremes of what was said and of the truth, and what the
magic took, as the median of its wall times (%memit itself, without IPython's start).
"""
import json
import os
import re
import subprocess
import sys

import common
import tables

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 120
SESSION = r'''
import contextlib, io, json, sys, time, types
name = sys.argv[1]
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell()
shell.run_line_magic("load_ext", name)
def spike():
    block = bytearray(300000000)
    time.sleep(0.005)
    del block
shell.user_ns["spike"] = spike
with contextlib.redirect_stdout(io.StringIO()) as said:
    start = time.perf_counter()
    shell.run_line_magic("memit", "spike()")
    seconds = time.perf_counter() - start
with open("/proc/self/status") as f:
    true = next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 1024.0
print("\nRESULT", json.dumps([said.getvalue(), true, seconds]))
'''


def one(name):
    """(peak said, VmHWM, seconds), in MiB."""
    env = dict(os.environ, PYTHONPATH=os.path.join(os.path.dirname(HERE), "python", "src"),
               PYMEM_BPF_SOCKET="/nonexistent", PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([sys.executable, "-c", SESSION, name], env=env, stdout=subprocess.PIPE,
                          timeout=SECONDS, check=True)
    said, true, seconds = json.loads(re.search(r"^RESULT (.*)$", done.stdout.decode(), re.M).group(1))
    return float(re.search(r"peak memory: ([\d.]+) MiB", said).group(1)), true, seconds


def main():
    rounds = int(sys.argv[1]) if sys.argv[1:] else 20
    found = {"memory_profiler": [], "pymem_bpf": []}
    data = {"machine": common.machine(), "python": "Python %d.%d.%d" % sys.version_info[:3],
            "rounds": rounds, "results": found, "skipped_names": {}}
    if sys.version_info >= (3, 12):
        del found["memory_profiler"]
        data["skipped_names"]["memory_profiler"] = "its %load_ext needs distutils (3.11 or older)"
        print("SKIP memory_profiler: " + data["skipped_names"]["memory_profiler"])
    for _ in range(rounds):
        for name, results in found.items():
            results.append(one(name))
    common.save("memit.json", data)
    print(tables.memit_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
