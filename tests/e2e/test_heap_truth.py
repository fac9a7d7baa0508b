# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a census finds, against what CPython says of itself from inside: pools and blocks of its allocator by size
(sys._debugmallocstats()), objects by type (all that the collector leads to), RSS (smaps)."""
import json
import os
import re
import subprocess

import pytest

import harness
from harness import KIB, MIB, PATIENCE, Target, until

DUMP = os.path.join(harness.PROJECT, "build", "heap-dump")
FAULTS = os.path.join(harness.PROJECT, "build", "heap-faults")
# Blocks that come and go between a figure and the look: a bytes object that os.read() fills, and what
# CPython keeps for the next call.
BLOCKS_OFF = 6
ROW = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*$", re.M)


def dump(pid, *options):
    assert os.access(DUMP, os.X_OK), "%s is not built: run make unit" % DUMP
    done = subprocess.run([DUMP] + list(options) + [str(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.decode())


class Known(Target):
    """programs/heap_truth.py."""

    def __init__(self, python, folder, **env):
        self.stats_file = str(folder / "stats")
        Target.__init__(self, python.command, "heap_truth", PYMEM_HEAP_STATS=self.stats_file, **env)

    def rest(self):
        until(lambda: harness.in_read(self.pid), "at rest in read()")

    def make(self):
        self.rest()
        self.tell(b"make")
        self.said()
        self.rest()

    def stats(self):
        """{bytes of a block: (pools, blocks in use)}"""
        self.rest()
        os.truncate(self.stats_file, 0)
        self.tell(b"stats")
        until(lambda: os.path.getsize(self.stats_file), "written")
        self.rest()
        return {int(size): (int(pools), int(used)) for _, size, pools, used, _ in ROW.findall(self.text())}

    def text(self):
        with open(self.stats_file, errors="replace") as f:
            return f.read()

    def truth(self):
        self.rest()
        self.tell(b"truth")
        return self.said()["counts"]


def readable(python):
    if python.version < (3, 8) or python.free_threaded:
        pytest.skip("no layout of its heap")


@pytest.mark.parametrize("pause", [(), ("--pause",)], ids=["runs", "paused"])
def test_pools(python, tmp_path, pause):
    readable(python)
    with Known(python, tmp_path) as target:
        target.make()
        truth = target.stats()
        found = dump(target.pid, *pause)
    assert found["broken_pools"] == 0
    pools = {size: (count, used) for size, count, used, _ in found["pools"]}
    assert {size: count for size, (count, _) in pools.items()} == {size: count for size, (count, _) in truth.items()}
    for size, (_, used) in truth.items():
        assert abs(pools[size][1] - used) <= BLOCKS_OFF, "blocks of %d bytes" % size
    assert (found["paused_ms"] >= 0) == bool(pause)


def found_and_true(target):
    """{type: objects} as found, and as counted after that."""
    target.rest()
    found = dump(target.pid)
    return {name: row[0] for name, row in found["types"].items()}, target.truth()


def difference(after, before, name):
    return after.get(name, 0) - before.get(name, 0)


def test_types(python, tmp_path):
    """What was made is found, by type, to 0.2 %; and nothing that is there is missed."""
    readable(python)
    with Known(python, tmp_path) as target:
        found_before, true_before = found_and_true(target)
        target.make()
        found, truth = found_and_true(target)
    made = {name: difference(truth, true_before, name) for name in truth}
    wrong = {name: (difference(found, found_before, name), count) for name, count in made.items()
             if difference(found, found_before, name) != count}
    missed = {name: (found.get(name, 0), count) for name, count in truth.items() if found.get(name, 0) < count}
    total = sum(made.values())
    assert total > 250000
    assert sum(abs(a - b) for a, b in wrong.values()) <= total * 0.002, wrong
    assert sum(b - a for a, b in missed.values()) <= total * 0.002, missed


def test_balance(python, tmp_path):
    readable(python)
    with Known(python, tmp_path) as target:
        target.make()
        found = dump(target.pid)
        rss = harness.rss(target.pid)
    balance = found["balance"]
    assert sum(balance.values()) == found["rss_bytes"]
    assert found["rss_bytes"] == rss
    assert balance["unexplained"] <= rss / 100
    assert balance["anonymous_other"] <= rss / 100
    assert found["broken_chunks"] == 0


def test_trim(python):
    """What malloc could give back is what it gives back: whole pages of free chunks."""
    readable(python)
    with Target(python.command, "heap_trim", path=harness.program_path("heap_trim")) as target:
        until(lambda: harness.in_read(target.pid), "at rest in read()")
        found = dump(target.pid)
        given = target.go()["given"]
        target.end()
    assert given > 50 * MIB
    assert abs(found["malloc_trimmable_bytes"] - given) <= 64 * KIB, given


def test_spoilt(python, tmp_path):
    """Words of its copy are replaced, hundreds to thousands: bounded, and what must hold of any census holds."""
    readable(python)
    with Known(python, tmp_path) as target:
        target.make()
        done = subprocess.run([FAULTS, "3", "1", str(target.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE)
    assert done.returncode == 0 and done.stdout == b"3 rounds\n", done.stderr.decode()


def test_survey(python, tmp_path):
    """Looked at through windows, the heap is the same."""
    readable(python)
    with Known(python, tmp_path) as target:
        target.make()
        found = dump(target.pid)
        survey = dump(target.pid, "--survey")
    for name in set(found["types"]) | set(survey["types"]):
        assert found["types"].get(name) == survey["types"].get(name), name
    assert survey["rss_bytes"] == found["rss_bytes"] == sum(survey["balance"].values())
    # Values of instances that still look like an object of before are free there: nobody says that they are values.
    # Stacks of threads that run are told by what lies in memory that is not looked at.
    for one, other, most in (("buffers", "pool_free", 0.001), ("stacks", "anonymous_other", 0.002)):
        moved = survey["balance"].pop(one) - found["balance"].pop(one)
        assert found["balance"].pop(other) - survey["balance"].pop(other) == moved
        assert abs(moved) <= found["rss_bytes"] * most
    assert survey["balance"] == found["balance"]


def test_survey_takes_little_memory(system, tmp_path):
    """What is kept of a heap of some 200 MiB; how large the program is that starts the survey does not count."""
    readable(system)
    starter = b"x" * (100 * MIB)
    with Target(system.command, "heap_many", path=harness.program_path("heap_many")) as target:
        found = dump(target.pid, "--survey")
    del starter
    assert found["rss_bytes"] > 190 * MIB
    assert found["own_kib"] * KIB <= 64 * MIB
