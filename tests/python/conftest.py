# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds the extension in place for each interpreter that has headers, once a session. One built
with 3.12's or later headers serves all of these; one of 3.9, say, serves another 3.9."""
import functools
import os
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
HAS_HEADERS = ("import os, sys, sysconfig; sys.exit(sys.version_info < (3, 8) or "
               "not os.path.exists(sysconfig.get_path('include') + '/Python.h'))")


def list_pythons():
    """[(name, command)] of the interpreters from 3.8 on that there are."""
    said = subprocess.check_output([os.path.join(PROJECT, "tests", "pythons.sh"), "list"]).decode()
    found = [(line.split("\t")[0], line.split("\t")[1].split(" ")) for line in said.splitlines()]
    old = ("-3.6", "-3.7")
    return [pair for pair in found if not any(word in pair[0] for word in old)]


PYTHONS = list_pythons()


def environment(**more):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("PYTHON", "PYMEM"))}
    env.update(PYTHONPATH=os.path.join(PROJECT, "python"), PYTHONDONTWRITEBYTECODE="1", **more)
    return env


@functools.lru_cache(maxsize=None)
def build_all():
    """Each with headers; a failure to compile fails every test that needs it."""
    for _, command in PYTHONS:
        if len(command) == 1 and not subprocess.run(command + ["-c", HAS_HEADERS]).returncode:
            subprocess.run(["make", "-s", "python", "PYTHON=" + command[0]], cwd=PROJECT, check=True)


@functools.lru_cache(maxsize=None)
def missing(command):
    """Why an interpreter has no extension; "" if it has."""
    build_all()
    done = subprocess.run(list(command) + ["-c", "import pymem_bpf.line_profiler"], cwd=PROJECT,
                          env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode().strip().splitlines()[-1] if done.returncode else ""


@pytest.fixture(scope="module", params=PYTHONS, ids=[name for name, _ in PYTHONS])
def python(request):
    """Command of an interpreter that can load the extension."""
    name, command = request.param
    reason = missing(tuple(command))
    if reason:
        pytest.skip("%s: no headers of this version to build with: %s" % (name, reason))
    return command


def pytest_sessionstart(session):
    build_all()
