# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Containers in `pymem-bpf top`: the outermost level, from real cgroups that are named as runtimes name them."""
import contextlib
import os
import re
import shutil

import pytest

import harness
from terminals import Terminal, compare
from test_top import KEEP, Steps, quits, start

pytestmark = [pytest.mark.host,
              pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is missing: tools/install-deps test installs it")]

ID = "0123456789abcdef" * 4
DOCKER, MACHINE, PLAIN = "docker-%s.scope" % ID, "machine-web.scope", "cron.service"


def cgroup_mount():
    """Where cgroup v2 is, alone or beside version 1."""
    with open("/proc/mounts") as f:
        for line in f:
            words = line.split()
            if words[2] == "cgroup2":
                return words[1]
    return None


@contextlib.contextmanager
def cgroups(*names):
    """Cgroups in one of their own; function to put a process into one."""
    mount = cgroup_mount()
    if not mount:
        pytest.skip("cgroup v2 is not mounted: containers can't be tried")
    parent = os.path.join(mount, "pymem-test-%d" % os.getpid())
    made = [parent, *(os.path.join(parent, name) for name in names)]
    try:
        for folder in made:
            os.mkdir(folder)
    except OSError as error:
        pytest.skip("no cgroup can be made in %s: containers can't be tried: %s" % (mount, error))

    def put(target, name):
        with open(os.path.join(parent, name, "cgroup.procs"), "w") as f:
            f.write(str(target.pid))

    def empty():
        for folder in made:
            with open(os.path.join(folder, "cgroup.procs")) as f:
                if f.read():
                    return False
        return True
    try:
        yield put
    finally:
        harness.until(empty, "without processes")
        for folder in reversed(made):
            os.rmdir(folder)


@pytest.fixture
def containers(system, tmp_path):
    """Two of a program in one container, one in another, and one in none."""
    with cgroups(DOCKER, MACHINE, PLAIN) as put, contextlib.ExitStack() as targets:
        made = []
        for name, where in (("shop.py", DOCKER), ("shop.py", DOCKER), ("batch.py", MACHINE), ("cron.py", PLAIN)):
            made.append(targets.enter_context(Steps(system, tmp_path, name=name)))
            put(made[-1], where)
        yield made


@pytest.mark.parametrize("columns, rows", [(40, 10), (80, 24), (120, 40), (200, 50)])
def test_containers(containers, columns, rows):
    shop, other, batch, _ = containers
    with Terminal(columns, rows) as terminal:
        start(terminal, "-p", ",".join(str(target.pid) for target in containers))
        for target in shop, other, batch:
            target.step()
        terminal.see(r"^> .*\+1[67]\.\dM.* 2 docker:0123456789")
        terminal.see(r"^  .*\+8\.\dM.* 1 nspawn:web$")
        terminal.see(r"^RSS .*/min")
        compare("top-containers-%d.txt" % columns, terminal.see(r"^  .* 1 \(no container\)$"))
        # In, down to the source, and out again.
        terminal.keys("Enter")
        terminal.see(r"^docker:0123456789ab > programs$")
        seen = terminal.see(r"^>.* 2 shop\.py$")
        assert "batch.py" not in seen and "cron.py" not in seen, seen
        terminal.keys("Enter")
        terminal.see(r" %d " % other.pid)
        seen = terminal.see(r" %d " % shop.pid)
        assert " %d " % batch.pid not in seen, seen
        terminal.keys("Enter")
        terminal.see(r"^>.*:%d keep" % KEEP)
        terminal.keys("Enter")
        terminal.see(r"^> +%d .*kept\.append" % KEEP)
        terminal.keys("BSpace", "BSpace", "BSpace", "BSpace")
        terminal.see(r"^> .* 2 docker:0123456789")
        terminal.keys("Down", "Enter")
        terminal.see(r"^nspawn:web > programs$")
        terminal.see(r"^>.* 1 batch\.py$")
        terminal.keys("BSpace", "End", "Enter")
        terminal.see(r"^programs$")
        terminal.see(r"^>.* 1 cron\.py$")
        quits(terminal)
