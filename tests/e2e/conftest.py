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


@functools.lru_cache(maxsize=None)
def probed():
    """Names of the interpreters with line probes, by what the program itself says of them."""
    names = set()
    for python in pythons():
        with harness.Target(python.command, "idle") as target:
            said = subprocess.run([harness.TOOL, "ps", "--format", "json"], check=True,
                                  stdout=subprocess.PIPE).stdout
            names.update(python.name for row in json.loads(said.decode())["processes"]
                         if row["pid"] == target.pid and "lines" in row["engines"])
    return names


def pytest_generate_tests(metafunc):
    """`python`: every interpreter. `python_program`: every program each can run. `line_python`,
    `line_program`: the same of those with line probes; `plain_python`: one without."""
    for fixture in ("python_program", "line_program"):
        if fixture not in metafunc.fixturenames:
            continue
        programs = metafunc.module.PROGRAMS
        pairs = [(python, name) for python in pythons() for name, needs in programs.items()
                 if (not needs or needs & set(python.modules))
                 and (fixture == "python_program" or python.name in probed())]
        metafunc.parametrize(fixture, pairs, ids=["%s-%s" % (p.name, n) for p, n in pairs])
    if "python" in metafunc.fixturenames:
        metafunc.parametrize("python", pythons(), ids=lambda p: p.name)
    for fixture, wanted in (("line_python", True), ("plain_python", False)):
        if fixture in metafunc.fixturenames:
            chosen = [p for p in pythons() if (p.name in probed()) == wanted]
            metafunc.parametrize(fixture, chosen, ids=lambda p: p.name)


@pytest.fixture(scope="session", autouse=True)
def data_folder():
    os.makedirs(harness.DATA, exist_ok=True)


@pytest.fixture
def system():
    """One interpreter for tests that are not about interpreters."""
    return pythons()[0]
