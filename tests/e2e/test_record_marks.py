# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Marks of recordings: full collections, as the interpreter itself counts them, and reclaims at the limit of a
control group. Both versions of control groups, and the host: tests/unit/test_cgroup_memory.c."""
import contextlib
import os
import sqlite3
import time

import harness
import pytest
from conftest import pythons
from harness import MIB, Tool

PROGRAM = os.path.join(harness.PROJECT, "tests", "e2e", "programs", "collects.py")
V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
# Reads a file again and again that does not fit into its control group.
FILLS = """
import os, sys
print("ready", flush=True)
for line in sys.stdin:
    with open(sys.argv[1], "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass
    print("done", flush=True)
"""


class Collecting(harness.Stepping):
    def __init__(self, python):
        harness.Stepping.__init__(self, python.command + [PROGRAM])
        self.python = python

    def collect(self, number):
        self.process.stdin.write(b"%d\n" % number)
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"


def asked(path, sql, *values):
    """Rows of a recording, also while it is written."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=30)) as db:
        return db.execute(sql, values).fetchall()


def collections(path, pid):
    """(full ones, younger ones) of all marks of a process."""
    return asked(path, "SELECT coalesce(sum(count), 0), coalesce(sum(more), 0) FROM mark JOIN image ON image.id = mark.image"
                       " WHERE kind = 'gc' AND pid = ?", pid)[0]


def unseen(path, pid):
    return [text.decode() for text, in asked(path, "SELECT text FROM mark JOIN image ON image.id = mark.image"
                                                   " WHERE kind = 'unseen' AND pid = ?", pid)]


def recorded_until(path, moment):
    """All that came before is written."""
    harness.until(lambda: (asked(path, "SELECT max(until) FROM interval")[0][0] or 0) > moment, "recorded")


def is_known(python):
    return python.version >= (3, 8) and not python.free_threaded


def test_collections(tmp_path):
    """As many as gc.collect() was called, on each interpreter; one that is not known is named."""
    path = tmp_path / "run.pymem"
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(Collecting(python)) for python in pythons()]
        known = [target for target in targets if is_known(target.python)]
        tool = stack.enter_context(Tool("record", "-p", ",".join(str(t.pid) for t in targets), "-o", path, output=False))
        tool.attached()

        def all_are_read():
            for target in known:
                if not collections(path, target.pid)[0]:
                    target.collect(1)
            return all(collections(path, target.pid)[0] for target in known)
        harness.until(all_are_read, "marks of each")
        recorded_until(path, time.time())
        before = {target.pid: collections(path, target.pid) for target in known}
        for target in targets:
            target.collect(7)
            target.collect(-4)
        recorded_until(path, time.time())
        for target in targets:
            target.collect(5)
        # What came last is read at the end.
        assert tool.stop() == 0, tool.stderr
    for target in known:
        full, younger = collections(path, target.pid)
        assert full - before[target.pid][0] == 12, target.python.name
        # In the interval of a mark, so all of them or none.
        assert younger - before[target.pid][1] in (0, 4), target.python.name
        assert not unseen(path, target.pid), target.python.name
    for target in targets:
        if target not in known:
            assert collections(path, target.pid) == (0, 0)
            text, = unseen(path, target.pid)
            assert text.startswith("full collections are not seen: where ") and text.endswith(" counts them is not known")
            assert ".".join(map(str, target.python.version)) in text


# --- control groups ---

def write(path, text):
    with open(path, "w") as f:
        f.write(str(text))


@pytest.fixture
def group():
    """The folder of a control group whose limit is 32 MiB."""
    if os.path.exists(os.path.join(V1, "memory.limit_in_bytes")):
        root, limit = V1, "memory.limit_in_bytes"
    else:
        root, limit = V2, "memory.max"
        with contextlib.suppress(OSError):
            write(os.path.join(V2, "cgroup.subtree_control"), "+memory")
    folder = os.path.join(root, "pymem-bpf-marks-%d" % os.getpid())
    try:
        os.mkdir(folder)
        write(os.path.join(folder, limit), 32 * MIB)
    except OSError as e:
        pytest.skip("no control group with a limit can be made here: %s" % e)
    yield folder
    harness.until(lambda: removed(folder), "removed: " + folder)


def removed(folder):
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not os.path.exists(folder)


def test_reclaims(system, tmp_path, group):
    """A group at its limit: marks with its path, how often, and what it uses."""
    path, large = tmp_path / "run.pymem", tmp_path / "large"
    with open(str(large), "wb") as f:
        for _ in range(64):
            f.write(os.urandom(MIB))
        f.flush()
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    words = ["sh", "-c", "echo $$ > %s/cgroup.procs; exec \"$@\"" % group, "sh", *system.command, "-c", FILLS, str(large)]
    with harness.Stepping(words) as target:
        with Tool("record", "-p", target.pid, "-o", path, output=False) as tool:
            tool.attached()
            recorded_until(path, time.time())

            def is_marked():
                target.step()
                return asked(path, "SELECT 1 FROM mark WHERE kind = 'reclaim' AND text IS NOT NULL")
            harness.until(is_marked, "reclaimed")
            assert tool.stop() == 0, tool.stderr
    name = "/" + os.path.basename(group)
    marks = asked(path, "SELECT text, count, more, image FROM mark WHERE kind = 'reclaim' AND text IS NOT NULL")
    assert all(text.decode().endswith(name) and count + more > 0 and image is None for text, count, more, image in marks), marks
    text, most = asked(path, "SELECT path, most FROM cgroup JOIN cgroup_sample ON cgroup = id ORDER BY interval DESC LIMIT 1")[0]
    assert text.decode().endswith(name) and most == 32 * MIB
