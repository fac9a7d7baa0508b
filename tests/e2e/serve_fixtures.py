# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fixtures for the tests of the server: a server, targets of any user, patience."""
import os
import shutil
import subprocess
import tempfile
import time

import pytest

import harness
from harness import TOOL
from serving import HELLO, OK, PAGE, Server

USER, OTHER_USER = 65534, 12345
BLOCK = 2048  # pages


def eventually(true, seconds=harness.PATIENCE):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def folder():
    """Open to all users, unlike pytest's own."""
    path = tempfile.mkdtemp(prefix="pymem-serve.")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(folder):
    with Server(TOOL, os.path.join(folder, "s"), "-v") as running:
        yield running
        if running.process.poll() is None:
            assert running.stop() == 0
        assert not os.path.exists(running.path)


def rss_pages(pid):
    return harness.rss_at_rest(pid) // PAGE


def sleeper(uid, command=("sleep", "1000")):
    """A process of that user, once it sleeps."""
    user = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
    process = subprocess.Popen(list(command), stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd="/",
                               **user)
    harness.rss_at_rest(process.pid)
    return process


def end(process):
    harness.end_process(process)


def answers(server):
    """Is it there for others?"""
    connection = server.connect()
    reply = connection.ask(HELLO)
    connection.close()
    return reply["status"] == OK
