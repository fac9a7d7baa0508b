# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent's PSS: what workers share counts once, each figure says how old it is and what it lacks, and nothing that happens
to the process that reads it ends the recording."""
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import time

import pytest

import harness
from harness import MIB
from test_agent import Agent, files, stepping
from test_agent_metrics import check_sums, fresh, listening, rss_of, total, url_of
from test_metrics import only

pytestmark = pytest.mark.host

SHARE = """
import os, sys
kept = bytearray(64 << 20)
for at in range(0, len(kept), 4096):
    kept[at] = 1
children = []
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid:
        os.read(0, 1)
        os._exit(0)
    children.append(pid)
print(*children, flush=True)
os.read(0, 1)
"""
SHARED = 64 * MIB


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@contextlib.contextmanager
def sharing(tmp_path, workers):
    """PIDs of a process with 64 MiB and of its workers, which share them."""
    path = tmp_path / "share.py"
    path.write_text(SHARE)
    process = subprocess.Popen(["/usr/bin/python3", str(path), str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=harness.environment())
    try:
        yield [process.pid] + [int(word) for word in process.stdout.readline().split()]
    finally:
        # Its workers read from the same pipe.
        process.communicate()


def pss_of(pid, name="Pss"):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return int(re.search(r"^%s:\s+(\d+) kB" % name, f.read(), re.M).group(1)) * harness.KIB


def all_read(url, program, processes):
    """Metrics in which all processes of the program are read."""
    seen = []

    def is_read():
        seen.append(fresh(url))
        return total(seen[-1], "pymem_processes", program=program) == processes and \
            only(seen[-1]["pymem_pss_unread_processes"], program=program) == [0]
    harness.until(is_read, "read")
    return seen[-1]


def check_pss(metrics):
    """Sums over programs and over containers are the same; what is unknown is counted, and is no 0."""
    check_sums(metrics)
    for name in "pss_bytes", "swap_pss_bytes", "pss_unread_processes":
        assert total(metrics, "pymem_" + name) == total(metrics, "pymem_container_" + name), name
    states = metrics["pymem_agent_pss_processes"]
    assert sum(states.values()) == total(metrics, "pymem_processes")
    assert sum(states.values()) - sum(only(states, state="read")) == total(metrics, "pymem_pss_unread_processes")
    for labels, unread in metrics["pymem_pss_unread_processes"].items():
        known = metrics["pymem_processes"][labels] - unread
        assert (labels in metrics["pymem_pss_age_seconds"]) == (known > 0), labels
        assert (labels in metrics["pymem_pss_bytes"]) == (known > 0 or not unread), labels


def test_shared_once(store, tmp_path):
    """Three processes have 64 MiB together: RSS has these three times, PSS once, as what the kernel says of each says."""
    with sharing(tmp_path, 2) as pids, listening(store, "--pss") as agent:
        url = url_of(agent)
        metrics = all_read(url, "share.py", 3)
        check_pss(metrics)
        own = sum(map(pss_of, pids))
        found = total(metrics, "pymem_pss_bytes", program="share.py")
        assert SHARED < found < 2 * SHARED < 3 * SHARED < total(metrics, "pymem_rss_bytes", program="share.py")
        # Files are shared with other Pythons of the host, which come and go.
        assert abs(found - own) < 2 * MIB, (found, own)
        assert total(metrics, "pymem_swap_pss_bytes", program="share.py") <= sum(map(pss_of, pids, ["SwapPss"] * 3)) + MIB
        assert 0 <= total(metrics, "pymem_pss_age_seconds", program="share.py") < 600
        assert total(metrics, "pymem_agent_pss_readings", result="read") >= 3
        # It is read again: what one has alone, when the others have ended, is its own.
        for pid in pids[1:]:
            os.kill(pid, signal.SIGKILL)
        harness.until(lambda: total(fresh(url), "pymem_pss_bytes", program="share.py") > SHARED and
                      total(fresh(url), "pymem_processes", program="share.py") == 1, "read again")
        metrics = all_read(url, "share.py", 1)
        assert total(metrics, "pymem_pss_bytes", program="share.py") <= rss_of(pids[0])
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_recorded(store, tmp_path):
    """Recordings have it, too."""
    with sharing(tmp_path, 1) as pids, listening(store, "--pss", "--no-sources") as agent:
        all_read(url_of(agent), "share.py", 2)
        time.sleep(2)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    path, = files(store)
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        rows = dict(db.execute("SELECT image.pid, max(bytes) FROM pss JOIN image ON image.id = pss.image GROUP BY image.pid"))
    assert all(SHARED / 2 < rows[pid] < SHARED for pid in pids), rows


def test_share_of_the_time(store, tmp_path):
    """Readings take about a 500th of the time; without --pss there are none."""
    with stepping(tmp_path), listening(store, "--pss") as agent:
        url = url_of(agent)
        first = fresh(url)
        time.sleep(20)
        second = fresh(url)
        took = total(second, "pymem_agent_pss_seconds") - total(first, "pymem_agent_pss_seconds")
        passed = total(second, "pymem_profile_seconds") - total(first, "pymem_profile_seconds")
        # The rest comes after a reading: the last one may have begun just now.
        assert took < passed / 500 + 0.5, (took, passed)
        readings = total(second, "pymem_agent_pss_readings") - total(first, "pymem_agent_pss_readings")
        assert readings <= passed / 0.05 + 1, (readings, passed)
        assert total(second, "pymem_agent_pss_readings") > total(first, "pymem_agent_pss_readings")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    with stepping(tmp_path), listening(tmp_path / "other") as agent:
        assert not [name for name in fresh(url_of(agent)) if "pss" in name]
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_helper_is_killed(store, tmp_path):
    """It is said, all that was read is unknown from then on, and the recording goes on."""
    with stepping(tmp_path) as target, listening(store, "--pss") as agent:
        url = url_of(agent)
        all_read(url, "steps.py", 1)
        helper, = harness.children_of(agent.process.pid, "pymem-pss")
        os.kill(helper, signal.SIGKILL)
        agent.says("--pss: the helper that reads PSS is gone")
        metrics = fresh(url)
        check_pss(metrics)
        assert total(metrics, "pymem_agent_pss_processes", state="no-helper") == total(metrics, "pymem_processes")
        assert not only(metrics["pymem_pss_bytes"], program="steps.py")
        target.step()
        harness.until(lambda: total(fresh(url), "pymem_grown_bytes", program="steps.py") >= 4 * MIB, "goes on")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_reload(store, tmp_path):
    """It can't be turned on while the agent runs, since nobody has the right to start the helper any more."""
    config = tmp_path / "agent.toml"
    config.write_text("no-sources = true\n")
    with Agent(store, "--config", config) as agent:
        agent.says("records")
        config.write_text("no-sources = true\npss = true\n")
        agent.process.send_signal(signal.SIGHUP)
        agent.says("--pss can't be changed while it runs: restart it")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
