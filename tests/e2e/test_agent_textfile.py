# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent's text file for node_exporter: it is the same as what is served, is there as a whole or not at all, and is written
without another port, and without rights that the agent has not anyway."""
import collections
import os
import re
import shutil
import signal
import stat
import subprocess

import pytest

import harness
from harness import MIB
from test_agent import Agent, is_recorded, rights_of_the_unit, stepping
from test_agent_metrics import ask, listening, rss_of, total, url_of
from test_metrics import collected

pytestmark = pytest.mark.host


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "collected"
    folder.mkdir()
    return folder / "pymem.prom"


def metrics_of(path):
    """{name without _total: {labels: value}}, in the older format. Empty: it is not there yet."""
    parser = pytest.importorskip("prometheus_client.parser",
                                 reason="python3-prometheus-client is missing: tools/install-deps test installs it")
    found = collections.defaultdict(dict)
    for family in parser.text_string_to_metric_families(path.read_text() if path.exists() else ""):
        for sample in family.samples:
            found[re.sub("_total$", "", sample.name)][tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_collected(store, path, tmp_path):
    """node_exporter and promtool read it; it is renewed, and gone at the end."""
    with stepping(tmp_path) as target, Agent(store, "--textfile", path, "--metrics-lines", "2") as agent:
        agent.says("writes metrics to %s" % path)
        harness.until(lambda: total(metrics_of(path), "pymem_processes", program="steps.py") == 1, "written")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644 and path.stat().st_uid == os.getuid()
        assert "# EOF" not in path.read_text()
        target.step()
        harness.until(lambda: total(metrics_of(path), "pymem_grown_bytes", program="steps.py") >= 4 * MIB, "renewed")
        assert total(metrics_of(path), "pymem_rss_bytes", program="steps.py") == rss_of(target.pid)
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=path.read_bytes(), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
            assert (done.returncode, done.stdout) == (0, b"")
        seen = collected(path.parent, ["node_textfile_scrape_error", "pymem_rss_bytes", "pymem_grown_bytes_total"])
        assert "node_textfile_scrape_error 0" in seen
        assert any(line.startswith('pymem_rss_bytes{program="steps.py"') for line in seen)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert not path.exists() and not list(path.parent.iterdir())


def test_both(store, path):
    """With a port, too, the figures are the same ones."""
    with listening(store, "--textfile", path) as agent:
        url = url_of(agent)
        harness.until(path.exists, "written")
        served = ask(url, headers={"Accept": "text/plain"})[2]
        names = {line for line in served.splitlines() if line.startswith("#")}
        assert names == {line for line in path.read_text().splitlines() if line.startswith("#")}
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_second(store, path):
    """A second agent that may not run leaves the file of the first one alone."""
    with Agent(store, "--textfile", path) as agent:
        harness.until(path.exists, "written")
        with Agent(store, "--textfile", path) as second:
            assert second.wait() == 1
        assert path.exists(), second.text()
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert not path.exists()


def test_rights(store, path):
    """It takes no more capabilities than the unit has."""
    limited = ["setpriv", "--bounding-set", "-all," + ",".join("+" + name.lower() for name in rights_of_the_unit())]
    with Agent(store, "--textfile", path, before=limited) as agent:
        harness.until(path.exists, "written")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_folder_of_another_user(store, path, tmp_path):
    """It may not write there, says so once, and records. When it may, it goes on."""
    os.chown(path.parent, 65534, 65534)
    os.chmod(path.parent, 0o755)
    with stepping(tmp_path) as target, Agent(store, "--textfile", path) as agent:
        agent.says("--textfile %s: Permission denied" % path)
        target.step()
        harness.until(lambda: is_recorded(store, target.pid, 4 * MIB), "recorded")
        os.chmod(path.parent, 0o777)
        agent.says("--textfile %s: is written again" % path)
        assert path.exists()
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert agent.text().count("Permission denied") == 1


@pytest.mark.attack("another's file removed by root", "links in the folder of the agent's text file")
def test_links(store, path, tmp_path):
    """What others put there is replaced, and not followed."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    os.chmod(path.parent, 0o1777)
    path.symlink_to(mine)
    (path.parent / (path.name + ".tmp")).symlink_to(mine)
    with Agent(store, "--textfile", path) as agent:
        harness.until(lambda: path.exists() and not path.is_symlink(), "replaced")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert mine.read_text() == "mine" and not path.exists()


@pytest.mark.parametrize("name, words, status", [
    ("pymem.txt", "node_exporter reads files whose names end with .prom", 2),
    ("nowhere/pymem.prom", "its folder can't be opened: No such file or directory", 1),
])
def test_refused(store, tmp_path, name, words, status):
    with Agent(store, "--textfile", tmp_path / name) as agent:
        assert agent.wait() == status
    assert words in agent.text() and not store.exists()


def test_reload(store, path, tmp_path):
    config = tmp_path / "agent.toml"
    config.write_text('textfile = "%s"\n' % path)
    with Agent(store, "--config", config) as agent:
        harness.until(path.exists, "written")
        config.write_text("pprof = true\n")
        agent.process.send_signal(signal.SIGHUP)
        agent.says("--textfile can't be changed while it runs: restart it")
        agent.says("--pprof can't be changed while it runs: restart it")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
