# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which interpreters there are and what they can import, asked once for the session."""
import functools
import json
import os
import subprocess

import pytest

import harness

PROBE = """
import json, sys
has = []
for name in ("numpy", "greenlet", "_xxsubinterpreters", "_interpreters"):
    try:
        __import__(name)
        has.append(name)
    except ImportError:
        pass
print(json.dumps([list(sys.version_info[:3]), has]))
"""


class Python:
    def __init__(self, name, command):
        self.name, self.command = name, command
        said = subprocess.run(command + ["-c", PROBE], check=True, stdout=subprocess.PIPE,
                              env=harness.environment(), timeout=60).stdout
        version, self.modules = json.loads(said.decode())
        self.version = tuple(version)


@functools.lru_cache(maxsize=None)
def pythons():
    return [Python(*pair) for pair in harness.list_pythons()]


def pytest_generate_tests(metafunc):
    """`python`: every interpreter. `python_program`: every program each can run."""
    if "python_program" in metafunc.fixturenames:
        programs = metafunc.module.PROGRAMS
        pairs = [(python, name) for python in pythons() for name, needs in programs.items()
                 if not needs or needs & set(python.modules)]
        metafunc.parametrize("python_program", pairs, ids=["%s-%s" % (p.name, n) for p, n in pairs])
    elif "python" in metafunc.fixturenames:
        metafunc.parametrize("python", pythons(), ids=lambda p: p.name)


@pytest.fixture(scope="session", autouse=True)
def data_folder():
    os.makedirs(harness.DATA, exist_ok=True)


@pytest.fixture
def system():
    """One interpreter for tests that are not about interpreters."""
    return pythons()[0]
