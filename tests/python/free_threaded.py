#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The line profiler in a free-threaded CPython, which is built first, if it is not in the cache: the extension compiles
without a warning, leaves the GIL off, and all of lines_checks.py holds.

  free_threaded.py VERSION       3.13

Exit status 77: its sources can't be had here; the last line says so. `make check-free-threaded` runs more.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
PACKAGE = os.path.join(PROJECT, "python", "src", "pymem_bpf")
SKIPPED = 77
SECONDS = 900
GIL = "import sys, pymem_bpf.line_profiler; sys.exit(sys._is_gil_enabled())"


def interpreter(version):
    """Its path; SystemExit: it can't be built, or (SKIPPED) its sources can't be had."""
    done = subprocess.run([os.path.join(PROJECT, "tests", "free_threaded.sh"), version], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode:
        print(done.stderr.decode().strip())
        sys.exit(SKIPPED if done.returncode == SKIPPED else 1)
    return done.stdout.decode().strip()


def check(python, folder):
    """What is wrong, as a list of texts."""
    shutil.copytree(PACKAGE, os.path.join(folder, "pymem_bpf"), ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    env = dict(os.environ, PYTHONPATH=folder, PYTHONDONTWRITEBYTECODE="1", WERROR="1")
    env.pop("PYTHON_GIL", None)
    built = subprocess.run([python, os.path.join(PROJECT, "tools", "build-extension"), "--into",
                            os.path.join(folder, "pymem_bpf")], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if built.returncode:
        return [built.stdout.decode()]
    if subprocess.run([python, "-W", "error", "-c", GIL], env=env).returncode:
        return ["importing the extension switches the GIL on"]
    return run_checks(python, env) + run_checks(python, dict(env, PYTHON_GIL="1"))


def run_checks(python, env):
    done = subprocess.run([python, os.path.join(HERE, "lines_checks.py")], env=env, stdout=subprocess.PIPE, timeout=SECONDS)
    if done.returncode:
        return ["lines_checks.py ended with status %d" % done.returncode]
    found = json.loads(done.stdout.decode().splitlines()[-1])
    print("%d checks in %s, PYTHON_GIL=%s" % (len(found), python, env.get("PYTHON_GIL", "")))
    if not found:
        return ["lines_checks.py has no checks"]
    return ["%s: %s" % pair for pair in found.items() if pair[1]]


def main():
    python = interpreter(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        wrong = check(python, folder)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
