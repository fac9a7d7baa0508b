# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--format openmetrics: what its real readers say of it is what the JSON has, to the byte. The readers are the reference
parser of Prometheus' Python client, promtool, and node_exporter's textfile collector, over HTTP."""
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.request

import pytest

import harness
from harness import Target, Tool
from test_formats import truth_of

HOSTILE = 'a"b\\c\x1b[2J\nd.py'


def parsed(text):
    """{name of the family: {labels: value}}; only what the specification allows."""
    parser = pytest.importorskip("prometheus_client.openmetrics.parser",
                                 reason="python3-prometheus-client is missing: tools/install-deps test installs it")
    found = {}
    for family in parser.text_string_to_metric_families(text):
        samples = {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples}
        assert len(samples) == len(family.samples), family.name
        assert family.name not in found and family.documentation
        found[family.name] = samples
    return found


def only(samples, **wanted):
    """The values of those with these labels."""
    return [value for labels, value in samples.items() if wanted.items() <= dict(labels).items()]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Reports on one process, as JSON and as metrics of one line; the latter's path."""
    from conftest import pythons
    folder = tmp_path_factory.mktemp("metrics")
    # Two profilers of one process at once.
    with Target(pythons()[0].command, "seed") as target, \
            Tool("-p", target.pid, "-o", folder / "seed.json", "--format", "json", output=False) as one, \
            Tool("-p", target.pid, "-o", folder / "seed.prom", "--format", "openmetrics", "-n", "1", "--mode", "644",
                 output=False) as other:
        for tool in (one, other):
            tool.attached()
        target.go()
        for tool in (one, other):
            assert tool.stop() == 0, tool.stderr
    return json.loads((folder / "seed.json").read_text()), folder / "seed.prom"


def test_sums(both):
    report, path = both
    metrics, (process,) = parsed(path.read_text()), report["processes"]
    truth, place = truth_of(report), {"program": "seed.py"}
    assert only(metrics["pymem_processes"], **place) == [1]
    assert only(metrics["pymem_rss_bytes"], **place) == [process["rss_end_bytes"]]
    assert only(metrics["pymem_rss_peak_bytes"], **place) == [process["rss_peak_bytes"]]
    assert only(metrics["pymem_rss_change_bytes"], **place) == [truth["net"]]
    lines = metrics["pymem_line_change_bytes"]
    lost = sum(metrics["pymem_unattributed_bytes"].values())
    assert sum(lines.values()) + lost == truth["net"]
    assert lost == sum(process["lost_bytes"].values())
    assert sum(metrics["pymem_grown_bytes"].values()) == sum(line["grown_bytes"] for line in process["lines"])
    assert sum(metrics["pymem_freed_bytes"].values()) == sum(line["freed_bytes"] for line in process["lines"])
    if "pymem_faults" in metrics:
        assert sum(metrics["pymem_faults"].values()) == truth["faults"]
    # The one that changed most, and all others.
    assert len(lines) == 2 and len(only(lines, file="(other)", line="")) == 1
    by_place = collections.Counter()
    for line in process["lines"]:
        by_place[line["file"], str(line["line"]), line["function"]] += line["increment_bytes"]
    sizes = sorted(map(abs, by_place.values()), reverse=True)
    named = [(dict(labels), value) for labels, value in lines.items() if dict(labels)["line"]]
    assert sorted((abs(value) for _, value in named), reverse=True) == sizes[:1]
    for labels, value in named:
        assert by_place[labels["file"], labels["line"], labels["function"]] == value


def test_promtool(both):
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: tools/install-deps test installs prometheus")
    with open(both[1], "rb") as text:
        done = subprocess.run(["promtool", "check", "metrics"], stdin=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
    assert (done.returncode, done.stdout) == (0, b"")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def collected(folder, names):
    """What node_exporter's textfile collector makes of a folder, once it has `names`."""
    if not shutil.which("prometheus-node-exporter"):
        pytest.skip("prometheus-node-exporter is missing: tools/install-deps test installs it")
    address, seen = "127.0.0.1:%d" % free_port(), []

    def answered():
        try:
            with urllib.request.urlopen("http://%s/metrics" % address, timeout=harness.PATIENCE) as answer:
                seen[:] = answer.read().decode().splitlines()
        except OSError:
            return False
        return all(any(line.startswith(name) for line in seen) for name in names)
    exporter = subprocess.Popen(["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
                                 "--collector.textfile.directory=%s" % folder, "--web.listen-address=" + address],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.until(answered, "collected")
    finally:
        exporter.send_signal(signal.SIGTERM)
        exporter.wait(harness.PATIENCE)
    return seen


def test_node_exporter(both):
    report, path = both
    seen = collected(path.parent, ["node_textfile_scrape_error", "pymem_rss_bytes"])
    assert "node_textfile_scrape_error 0" in seen
    rss, = [line for line in seen if line.startswith('pymem_rss_bytes{program="seed.py"')]
    assert float(rss.split()[-1]) == report["processes"][0]["rss_end_bytes"]
    changes = [float(line.split()[-1]) for line in seen if line.startswith("pymem_line_change_bytes{")]
    assert len(changes) == 2


@pytest.mark.attack("who reads the metrics", "quotes, backslashes, line feeds and escapes in names")
def test_hostile_names(tmp_path):
    """They are one label each, and the sums still hold."""
    script = tmp_path / HOSTILE
    script.write_text("def grow():\n    return [bytes(1000) for i in range(9000)]\nkept = grow()\n")
    out = tmp_path / "out.prom"
    with Tool("-q", "--format", "openmetrics", "-o", out, "--", "/usr/bin/python3", script, output=False) as tool:
        assert tool.wait() == 0, tool.stderr
    text = out.read_text()
    assert "\x1b" not in text and "\r" not in text
    metrics = parsed(text)
    (labels, change), = metrics["pymem_rss_change_bytes"].items()
    assert dict(labels)["program"] == 'a"b\\c\\x1b[2J\\nd.py'
    parts = metrics["pymem_line_change_bytes"], metrics["pymem_unattributed_bytes"]
    assert sum(sum(samples.values()) for samples in parts) == change
    # A name that has to be escaped might look like another one: it has no series of its own.
    assert not any("\\x1b" in dict(labels)["file"] for labels in metrics["pymem_line_change_bytes"])
