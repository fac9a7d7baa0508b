# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the target controls is hostile: the memory of its interpreter, and its size."""
import json
import subprocess

import pytest

import harness
from harness import Target, Tool


@pytest.mark.attack("a hang of the profiler, or wrong lines",
                    "the interpreter's own structures are spoilt: lengths, circles, wild pointers")
@pytest.mark.parametrize("mode", ["length", "cycle", "wild"])
def test_corrupt_interpreter(old_python, mode):
    """The tool survives, the target too; nothing is lost without a name; with broken frames
    the innermost line is right all the same."""
    with Target(old_python.command, "hostile", arguments=[mode]) as target, Tool("-p", target.pid) as tool:
        tool.attached()
        truth = target.go()
        tool.process.send_signal(harness.signal.SIGINT)
        report = tool.report()
        assert target.end() == 0
    report.check_conservation(target.pid)
    image = report.image(target.pid)
    # A name that can't be read names nothing: then it is lost, and why.
    lost = image["lost_bytes"]["unreadable"] if mode == "length" else 0
    assert image["charged_bytes"] + lost >= 16 * harness.MIB
    if mode != "length":
        report.check_lines(target.pid, target.path, truth["lines"])
        assert image["truncated_stacks"] > 0
    assert all(len(line["file"]) <= 4096 for line in image["lines"])


@pytest.mark.attack("a report that hides what it lacks",
                    "more stacks than there is room for")
def test_map_full():
    """More stacks than there is room for: what does not fit is lost by name, and adds up."""
    report = harness.launch("--max-stacks", "16", "--", "/usr/bin/python3", "-c",
                            "import os; os.read(0, 1); import json, re, email.message, unittest")
    image = report.data["processes"][0]
    assert image["lost_bytes"]["map-full"] != 0
    assert image["lines"]
    assert image["charged_bytes"] + sum(image["lost_bytes"].values()) == \
        image["rss_end_bytes"] - image["rss_start_bytes"]


@pytest.mark.attack("a report that hides what it lacks",
                    "messages faster than they are read")
def test_ring_full(tmp_path):
    """A ring too small for the storm of names at an interpreter's start: still nothing is
    charged to a line that is not known, and the sums hold."""
    output = tmp_path / "report.json"
    done = subprocess.run([harness.TOOL, "--ring-size", "64", "--format", "json", "-o", str(output), "--",
                           "/usr/bin/python3", "-c", "import json, re, email.message, unittest"],
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    image = json.loads(output.read_text())["processes"][0]
    assert all(line["file"] and line["function"] for line in image["lines"])
    assert image["charged_bytes"] + sum(image["lost_bytes"].values()) == \
        image["rss_end_bytes"] - image["rss_start_bytes"]
