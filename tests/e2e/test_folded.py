# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program that forks without end: its report is bounded, and has what each child did on its line."""
import csv
import io
import json
import os
import signal
import subprocess

import pytest

import harness

COUNT, KEPT, EACH = 1500, 200, harness.MIB // 4  # as many as forks_many.py makes; by default; by each
PATH = harness.program_path("forks_many")
LINE = harness.labels(PATH)["child"]


def profile(command, arguments, count=COUNT):
    """(the report, the parent's PID)"""
    with harness.Target(command, "forks_many", arguments=[str(count)]) as target:
        with harness.Tool(*[target.pid if a is None else a for a in arguments]) as tool:
            tool.attached()
            target.go(tool.polled)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
    return report, target.pid


def mine(rows):
    return [r for r in rows if r["line"] == LINE and os.path.basename(r["file"]) == "forks_many.py"]


def check(report, pid, kept, count=COUNT):
    one_by_one = [p for p in report.data["processes"] if p["ppid"] == pid]
    sums = [p for p in report.data["ended"]["programs"] if p["program"] == "forks_many.py"]
    assert len(one_by_one) <= kept and len(sums) == 1
    # On a busy machine one may be over before the profiler has had a look at it.
    unseen = [int(n.split()[0]) for n in report.data["notes"] if "could be examined" in n]
    seen = len(one_by_one) + sums[0]["processes"]
    assert count - sum(unseen) <= seen <= count
    assert sums[0]["rss_peak_bytes"] < 200 * harness.MIB
    # Of each child, what it made is on its line, to the page.
    grown = sum(r["anon_bytes"] for r in mine(sums[0]["lines"]))
    assert 0 <= grown - sums[0]["processes"] * EACH <= 4 * harness.PAGE * sums[0]["processes"], sums[0]["lines"][:3]
    for one in report.data["ended"]["programs"]:
        assert sum(r["increment_bytes"] for r in one["lines"]) + one["other_lines_bytes"] == one["charged_bytes"]
        assert one["charged_bytes"] + sum(one["lost_bytes"].values()) == one["change_bytes"]
    for figure in "processes", "change_bytes", "charged_bytes":
        assert sum(p[figure] for p in report.data["ended"]["programs"]) <= report.data["ended"][figure]
    for process in one_by_one:
        report.check_conservation(process["pid"])
    return sums[0]


def test_bounded(system):
    report, pid = profile(system.command, ["-p", None])
    check(report, pid, KEPT)
    assert any("--ended-processes" in n for n in report.data["notes"])
    assert len(json.dumps(report.data)) < (KEPT + 1) * 64 * 1024
    schema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    with open(os.path.join(harness.PROJECT, "docs", "json-schema.json")) as f:
        schema.Draft202012Validator(json.load(f)).validate(report.data)


@pytest.mark.host
def test_bounded_on_a_host(system):
    report, pid = profile(system.command, ["-a"])
    check(report, pid, KEPT)


def test_one_by_one(system):
    """As many as are asked for."""
    report, pid = profile(system.command, ["-p", None, "--ended-processes", 1000], 300)
    unseen = [int(n.split()[0]) for n in report.data["notes"] if "could be examined" in n]
    assert 300 - sum(unseen) <= len([p for p in report.data["processes"] if p["ppid"] == pid]) <= 300
    assert "ended" not in report.data


def text_of(path, *arguments):
    """A report of the recording."""
    return subprocess.run([harness.TOOL, "report", path, "-q", *arguments], stdout=subprocess.PIPE,
                                  check=True).stdout.decode()


def test_a_recording(system, tmp_path):
    """Its report has the same limits, and each format has all children's bytes."""
    path = str(tmp_path / "forks.pymem")
    report, pid = profile(system.command, ["-p", None, "--ended-processes", 50, "--record", path], 400)
    check(report, pid, 50, 400)
    played = json.loads(text_of(path, "--format", "json"))
    assert played["ended"]["processes"] == report.data["ended"]["processes"]
    lines = [r for p in played["processes"] + played["ended"]["programs"] for r in mine(p["lines"])]
    all_bytes = sum(r["increment_bytes"] for r in lines)
    rows = list(csv.DictReader(io.StringIO(text_of(path, "--format", "csv"))))
    rows = [r for r in rows if r["row"] == "line" and r["file"].endswith("forks_many.py") and r["line"] == str(LINE)]
    assert sum(int(r["increment_bytes"]) for r in rows) == all_bytes
    assert any(not r["pid"] for r in rows)
    stacks = [s for s in text_of(path, "--format", "folded", "--metric", "net").splitlines() if "forks_many.py:%d)" % LINE in s]
    assert sum(int(s.rsplit(" ", 1)[1]) * (-1 if "[freed on balance]" in s else 1) for s in stacks) == all_bytes
    assert any(" ended processes);[callers not kept];" in s for s in stacks)
    table = text_of(path)
    assert "%d processes" % (1 + 400) in table or "could be examined" in str(played["notes"]), table
    assert "more processes, ended" not in table
