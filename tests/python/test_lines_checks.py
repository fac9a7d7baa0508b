# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The line profiler on each Python, without a helper: lines_checks.py, whose counter block the checks write
themselves. Plain, under -X dev, and with the extension under AddressSanitizer."""
import functools
import glob
import json
import os
import re
import shutil
import subprocess

import pytest
from conftest import HERE, PACKAGE, PROJECT

CHECKS = os.path.join(HERE, "lines_checks.py")
SECONDS = 600


def names_of_checks():
    names = []
    for path in sorted(glob.glob(os.path.join(HERE, "lines_checks_*.py"))):
        with open(path) as f:
            names += re.findall(r"^def (check_\w+)", f.read(), re.M)
    return names


def run_checks(command, **environment):
    """{check: None or its traceback}"""
    env = dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1")
    env.update(environment)
    done = subprocess.run(command + [CHECKS], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=SECONDS)
    assert done.returncode == 0, (done.returncode, done.stderr.decode()[-3000:])
    found = json.loads(done.stdout.decode().splitlines()[-1])
    assert set(found) == set(names_of_checks())
    return found, done.stderr.decode()


@functools.lru_cache(maxsize=None)
def found_by(command):
    return run_checks(list(command))[0]


@pytest.mark.parametrize("check", names_of_checks())
def test_check(python, check):
    trouble = found_by(tuple(python.command))[check]
    assert trouble is None, trouble


def test_development_mode(python):
    found, said = run_checks(python.command + ["-X", "dev", "-W", "error"])
    assert not [trouble for trouble in found.values() if trouble], found
    assert not said


def test_address_sanitizer(sanitized, tmp_path):
    """Leaks are not looked for: the interpreter's own are many."""
    python, include = sanitized
    library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"]).decode().strip()
    shutil.copytree(PACKAGE, tmp_path / "python",
                    ignore=shutil.ignore_patterns("*.so", "__pycache__", "build"))
    sources = sorted(glob.glob(os.path.join(PACKAGE, "pymem_bpf", "native", "_lines*.c")))
    subprocess.run(["gcc", "-std=gnu11", "-g", "-O1", "-fsanitize=address,undefined",
                    "-fno-sanitize-recover=all", "-fPIC", "-shared", "-fvisibility=hidden", "-D_GNU_SOURCE",
                    *["-DPy_LIMITED_API=0x030c0000"][:python.version >= (3, 12)], "-I" + include,
                    "-I" + os.path.join(PROJECT, "include"), *sources, "-o",
                    str(tmp_path / "python" / "pymem_bpf" / "_lines.so")], check=True)
    found, said = run_checks(python.command, PYTHONPATH=str(tmp_path / "python"), LD_PRELOAD=library,
                             PYTHONMALLOC="malloc",
                             ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=1")
    assert not [trouble for trouble in found.values() if trouble], found
    assert "Sanitizer" not in said
