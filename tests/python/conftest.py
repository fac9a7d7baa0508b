# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Finds the interpreters, builds the package for each, and starts one server for all."""
import functools
import os
import subprocess
import sys
import tempfile
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.join(PROJECT, "build", "pymem-bpf")
PACKAGE = os.path.join(PROJECT, "python", "src")
ASK = "import sys; print('%d.%d' % sys.version_info[:2], sys.abiflags + '.')"

sys.path.insert(0, os.path.join(PROJECT, "tests"))
import matrix  # noqa: E402


# What an increment may be from the truth, in bytes.
SLACK = 64 << 10
# Of the kernel's per-CPU counters, in bytes: 32 pages, or 2 for each CPU if that is more.
BATCH = max(32, 2 * os.cpu_count()) * os.sysconf("SC_PAGE_SIZE")
SWAPS = 2  # of one line in one attempt: more are no accident


def swapped_batches(errors):
    """Are amounts wrong (bytes, for each line) as two threads can make them that overflow one of the
    kernel's counters in the same instant (docs/ACCURACY.md)? Where the host stops a virtual CPU in the
    middle of an update, that instant is long. Then lines have a batch too much or too little,
    twice at most, and nothing else is wrong: only such an attempt may be made once more."""
    wrong = [abs(error) for error in errors if abs(error) > SLACK]
    return bool(wrong) and os.cpu_count() > 1 and all(
        round(error / BATCH) <= SWAPS and abs(error - round(error / BATCH) * BATCH) <= SLACK // 4
        for error in wrong)


class Python:
    def __init__(self, name, command):
        self.name, self.command = name, command
        said = subprocess.run(command + ["-c", ASK], check=True, stdout=subprocess.PIPE).stdout
        version, flags = said.decode().split()
        self.version, self.abiflags = tuple(map(int, version.split("."))), flags[:-1]
        # What the package says it does not support.
        self.refused = self.version < (3, 8)


def build(command):
    """Builds the extension for an interpreter; what went wrong, or None."""
    done = subprocess.run(command + [os.path.join(PROJECT, "tools", "build-extension")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode() if done.returncode else None


@functools.lru_cache(maxsize=None)
def every_python():
    said = subprocess.run([os.path.join(PROJECT, "tests", "pythons.sh"), "list"], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    return [Python(name, command.split()) for name, command in
            (line.split("\t") for line in said.splitlines())]


@functools.lru_cache(maxsize=None)
def pythons():
    """Every interpreter that the package supports. Those without headers use what was built for
    another of their version, or the stable ABI's: that it loads is tested, not assumed."""
    found = [p for p in every_python() if not p.refused]
    for python in found:
        build(python.command)
    return found


def pytest_configure(config):
    matrix.configure(config, "python", dict)


def pytest_collection_modifyitems(config, items):
    matrix.select(config, items)


def pytest_generate_tests(metafunc):
    if "python" in metafunc.fixturenames:
        metafunc.parametrize("python", pythons(), ids=lambda p: p.name)
    if "refused_python" in metafunc.fixturenames:
        metafunc.parametrize("refused_python", [p for p in every_python() if p.refused],
                             ids=lambda p: p.name)


HOOKS = {"evaluation": lambda version: version < (3, 12),
         "monitoring": lambda version: version >= (3, 12)}


@pytest.fixture(scope="session", params=sorted(HOOKS))
def sanitized(request):
    """(Python, folder of its headers): one for each of the two ways of being told of lines. Without
    a root folder of its own, so that a sanitizer's library can be loaded into it."""
    code = "import sysconfig; print(sysconfig.get_path('include'))"
    for python in pythons():
        if len(python.command) > 1 or not HOOKS[request.param](python.version):
            continue
        include = subprocess.check_output(python.command + ["-c", code]).decode().strip()
        if os.path.exists(os.path.join(include, "Python.h")):
            return python, include
    pytest.skip("no interpreter with headers here is told of lines by " + request.param)


@pytest.fixture(scope="session", autouse=True)
def extension():
    """For the interpreter that runs the tests."""
    problem = build([sys.executable])
    assert problem is None, problem


@pytest.fixture(scope="session")
def server():
    """Path of the socket of a `pymem-bpf serve` for all."""
    folder = tempfile.mkdtemp(prefix="pymem-bpf-test-")
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "socket")
    process = subprocess.Popen([PROGRAM, "serve", "-q", "--socket", path])
    try:
        end = time.monotonic() + 120
        while not os.path.exists(path):
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.02)
        yield path
    finally:
        process.terminate()
        process.wait()
        subprocess.run(["rm", "-rf", folder], check=True)
