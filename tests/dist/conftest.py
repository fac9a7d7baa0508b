# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `make dist` made, and an empty root to run it in."""
import glob
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading

import pytest

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DIST = os.path.join(PROJECT, "dist")
ARCH = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
PATIENCE = float(os.environ.get("PYMEM_E2E_PATIENCE", 30))


def archives():
    found = sorted(glob.glob(os.path.join(DIST, "*.tar.xz")))
    assert found, "there is no archive in %s: make dist" % DIST
    return found


class Root:
    """A root in which there is the program, /proc and /sys, and nothing else: no C library, no /etc."""

    def __init__(self, folder, program):
        self.folder = str(folder)
        for name in "proc", "sys", "tmp":
            os.mkdir(os.path.join(self.folder, name))
        shutil.copy(program, os.path.join(self.folder, "pymem-bpf"))

    def path(self, name):
        """Where the host has a file of the root."""
        return os.path.join(self.folder, name.lstrip("/"))

    def command(self, *words):
        """As a command of the host. The mounts are in a namespace of its own, and go with it."""
        script = ('cd "$0" && mount --rbind /proc proc && mount --rbind /sys sys && exec chroot . /pymem-bpf "$@"')
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, self.folder, *words]

    def run(self, *words, env=None):
        """(status, output, errors)"""
        done = subprocess.run(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=4 * PATIENCE,
                              env=dict({"PATH": os.environ["PATH"]}, **(env or {})))
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """The archive of this architecture, unpacked as docs/INSTALL.md says: its prefix."""
    prefix = tmp_path_factory.mktemp("local")
    archive = [path for path in archives() if path.endswith("-linux-%s.tar.xz" % ARCH)]
    assert len(archive) == 1, archive
    with tarfile.open(archive[0]) as tar:
        tar.extractall(prefix)
    return os.path.join(str(prefix), os.path.basename(archive[0])[:-len(".tar.xz")])


@pytest.fixture
def root(tmp_path, unpacked):
    if os.geteuid() != 0:
        pytest.skip("only root can make an empty root")
    folder = tmp_path / "root"
    folder.mkdir()
    return Root(folder, os.path.join(unpacked, "sbin", "pymem-bpf"))


class Target:
    """A program of the host that does something each time a line comes in, and says that it has."""

    def __init__(self, path, *words):
        self.path = str(path)
        self.process = subprocess.Popen([sys.executable, "-B", self.path, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.pid = str(self.process.pid)
        assert self.process.stdout.readline() == b"ready\n"

    def step(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def steps_during(target, job):
    """Runs `job` while the target does something several times a second."""
    ended = threading.Event()

    def go_on():
        while not ended.wait(0.2):
            target.step()
    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        return job()
    finally:
        ended.set()
        thread.join(PATIENCE)
