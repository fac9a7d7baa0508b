# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is shipped for those who look at the agent's metrics: a dashboard of Grafana whose queries are right and are about
metrics that there are; configurations of what collects profiles; and VictoriaMetrics, which collects metrics."""
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse

import pytest
import yaml

import harness
from test_agent import stepping
from test_agent_metrics import ask, is_told, listening, query, url_of
from test_metrics import free_port

PACKAGING = os.path.join(harness.PROJECT, "packaging")
KINDS = {"row", "timeseries", "stat", "table"}
RULES = """
groups:
- name: dashboard
  rules:
%s
"""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def dashboard():
    with open(os.path.join(PACKAGING, "grafana", "pymem-bpf.json"), encoding="utf-8") as f:
        return json.load(f)


def panels():
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_schema():
    """What Grafana wants of a dashboard that is imported: numbers of panels, places that do not overlap, variables that
    there are."""
    board = dashboard()
    assert board["id"] is None and board["uid"] and board["title"] and isinstance(board["schemaVersion"], int)
    assert {"from", "to"} <= set(board["time"])
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert len(names) == len(set(names)) and "datasource" in names
    assert {panel["type"] for panel in board["panels"]} == KINDS
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers)) and all(isinstance(number, int) and number > 0 for number in numbers)
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["w"] > 0 and place["h"] > 0 and place["x"] + place["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"] and panel["targets"] and panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        assert all(target["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for target in panel["targets"])
    # $__rate_interval is Grafana's own.
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__rate_interval", "__all"}
    assert used == set(names), used


def test_queries(tmp_path):
    """Prometheus understands them."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: tools/install-deps test installs prometheus")
    rules = "".join("  - record: panel:%d\n    expr: %s\n" % (number, json.dumps(text.replace("$__rate_interval", "5m")))
                    for number, text in enumerate(queries()))
    (tmp_path / "rules.yml").write_text(RULES % rules)
    done = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yml")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stdout.decode()
    assert "%d rules found" % len(queries()) in done.stdout.decode()


def test_sums_of_hosts():
    """RSS is added up over programs only where there is no PSS, and then it says that what is shared counts in each."""
    for panel in panels():
        for target in panel["targets"]:
            if not re.search(r"\bsum\((?:delta\()?pymem_(?:rss|swap)_bytes", target["expr"]):
                continue
            assert "in each" in (target["legendFormat"] + panel["description"]), panel["title"]
            assert "delta(" in target["expr"] or " unless on (instance) pymem_" in target["expr"], panel["title"]


@pytest.mark.host
def test_metrics_of_dashboard(store, tmp_path):
    """The agent has all that they ask for, with the labels that they name."""
    with stepping(tmp_path), listening(store, "--metrics-lines", "2", "--pprof", "--pss") as agent:
        url = url_of(agent)
        harness.until(lambda: "\npymem_pss_bytes{" in ask(url, headers={"Accept": "text/plain"})[2], "PSS is read")
        text = ask(url, headers={"Accept": "text/plain"})[2]
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    known = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    named = {name for board in (json.dumps(dashboard()),) for name in re.findall(r"\bpymem_\w+", board)}
    assert named <= known, named - known
    labels = set(re.findall(r'(\w+)="', text)) | {"instance"}
    for expression in queries():
        for names in re.findall(r"(?:by|on|without) \(([^)]*)\)", expression):
            assert {name.strip() for name in names.split(",")} <= labels, expression
    for legend in (target["legendFormat"] for panel in panels() for target in panel["targets"]):
        assert set(re.findall(r"{{(\w+)}}", legend)) <= labels, legend


def test_parca():
    """Its keys are those of Parca's documentation; Parca itself is not run."""
    with open(os.path.join(PACKAGING, "profiles", "parca.yaml"), encoding="utf-8") as f:
        config = yaml.safe_load(f)
    assert set(config) == {"object_storage", "scrape_configs"}
    for job in config["scrape_configs"]:
        interval = int(job["scrape_interval"].rstrip("s"))
        profiles = job["profiling_config"]["pprof_config"]
        assert profiles["rss"] == {"enabled": True, "delta": True, "path": "/debug/pprof/rss"}
        assert profiles["kept"] == {"enabled": True, "path": "/debug/pprof/kept"}
        # It asks for as many seconds as are between two scrapes.
        assert 1 <= interval <= 60 and int(job["scrape_timeout"].rstrip("s")) > interval
        assert all(not profiles[name]["enabled"] for name in ("memory", "block", "goroutine", "mutex", "process_cpu"))


def test_alloy():
    """The same of Alloy."""
    with open(os.path.join(PACKAGING, "profiles", "config.alloy"), encoding="utf-8") as f:
        text = re.sub(r"^\s*//.*\n", "", f.read(), flags=re.M)
    assert text.count("{") == text.count("}") and text.count("[") == text.count("]")
    paths = dict(re.findall(r'profile\.custom "(\w+)" \{[^}]*path\s*= "([^"]*)"', text))
    assert paths == {"rss": "/debug/pprof/rss", "kept": "/debug/pprof/kept"}
    interval, timeout = (int(re.search(name + r'\s*= "(\d+)s"', text)[1]) for name in ("scrape_interval", "scrape_timeout"))
    assert 2 <= interval <= 61 and timeout > interval


@pytest.fixture
def victoria():
    if not shutil.which("victoria-metrics"):
        pytest.skip("victoria-metrics is missing: tools/install-deps test installs it where there is a package")
    return "victoria-metrics"


def test_configuration_of_victoria_metrics(victoria):  # pylint: disable=redefined-outer-name
    """It reads that of Prometheus."""
    done = subprocess.run([victoria, "-promscrape.config=" + os.path.join(PACKAGING, "prometheus", "prometheus.yml"),
                           "-promscrape.config.dryRun", "-promscrape.config.strictParse=false"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
    # A sample has no certificate of yours.
    assert done.returncode == 0 or b"/etc/prometheus/pymem-bpf" in done.stdout, done.stdout


@pytest.mark.host
def test_victoria_metrics(store, tmp_path, victoria):  # pylint: disable=redefined-outer-name
    """A real one collects from the agent, and tells which program grows."""
    with stepping(tmp_path) as target, listening(store) as agent:
        at = urllib.parse.urlsplit(url_of(agent)).netloc
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: pymem\n  static_configs:\n  - targets: [%r]\n" % at)
        port = free_port()
        server = subprocess.Popen([victoria, "-promscrape.config=%s" % (tmp_path / "prometheus.yml"),
                                   "-storageDataPath=%s" % (tmp_path / "vm"), "-httpListenAddr=127.0.0.1:%d" % port],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            harness.until(lambda: is_told(port, target), "told")
            assert query(port, "up")[0]["value"][1] == "1"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(harness.PATIENCE)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
