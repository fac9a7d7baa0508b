# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The capabilities that the DaemonSet (packaging/pymem-bpf-agent.yaml) asks for: `check` finds them enough, and each is for
something."""
import os
import re
import shutil
import subprocess
import tempfile

import harness
import pytest
import yaml
from harness import Tool

NOBODY = 65534
# Without one of these, the main job can't run; check names it.
REQUIRED = {"BPF", "PERFMON", "SYS_PTRACE", "CHECKPOINT_RESTORE"}
# Without one of these, sources of some users are not shown.
FOR_SOURCES = {"SETUID", "SETGID", "DAC_READ_SEARCH"}
# Before Linux 5.11, where maps are limited by RLIMIT_MEMLOCK; the check `accounts` has it on such a kernel (docs/TESTING.md).
FOR_OLD_KERNELS = {"SYS_RESOURCE"}
STEPS = """
import sys
kept = []
print("ready", flush=True)
for word in sys.stdin:
    kept.append(bytearray(4 << 20))
    print("done", flush=True)
"""
SHOWN = "kept.append(bytearray(4 << 20))"


def packaged(name):
    with open(os.path.join(harness.PROJECT, "packaging", name), encoding="utf-8") as f:
        return f.read()


def rights():
    pod = yaml.safe_load(packaged("pymem-bpf-agent.yaml"))["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    assert context["runAsUser"] == 0 and context["capabilities"]["drop"] == ["ALL"]
    return context["capabilities"]["add"]


def limited(names):
    return ["setpriv", "--bounding-set", "-all," + ",".join("+" + name.lower() for name in sorted(names))]


def check(names):
    """Status and output of check with these capabilities."""
    done = subprocess.run(limited(names) + [harness.TOOL, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=harness.PATIENCE)
    return done.returncode, done.stdout.decode()


def test_each_is_for_something():
    assert sorted(rights()) == sorted(REQUIRED | FOR_SOURCES | FOR_OLD_KERNELS)


def test_those_of_the_unit():
    """A service and a Pod have the same job."""
    line, = re.findall(r"^CapabilityBoundingSet=(.*)$", packaged("pymem-bpf-agent.service.in"), re.MULTILINE)
    assert sorted(line.replace("CAP_", "").split()) == sorted(rights())


def test_check_finds_them_enough():
    status, said = check(rights())
    assert status == 0 and said.endswith("pymem-bpf can do its main job here\n"), said


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_check_names_what_is_missing(name):
    status, said = check(set(rights()) - {name})
    assert status == 3 and said.endswith("pymem-bpf can't do its main job here\n"), said
    missing = re.search(r"CAP_[A-Z_]+(?:, CAP_[A-Z_]+)*", said)
    assert missing and missing.group() == "CAP_" + name, said


@pytest.fixture
def source():
    """A program in a file that only nobody may read, in a folder that all may enter."""
    folder = tempfile.mkdtemp(prefix="pymem-rights.")
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "grows.py")
    with open(path, "w", encoding="ascii") as f:
        f.write(STEPS)
    os.chmod(path, 0o600)
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(folder)


def report(command, names):
    """The report of a program that is started by the command and does one step."""
    with harness.Stepping(command) as target, \
            Tool("-p", target.pid, "-n", "0", output=False, before=limited(names)) as tool:
        tool.attached()
        target.step()
        assert tool.stop() == 0, tool.stderr
        text = tool.stdout().decode()
    assert "grows.py:6" in text, text
    return text


def command_of(name, path):
    """Whose source needs that capability: a user's; or a root's to whom every file is open."""
    python = ["/usr/bin/python3", path]
    if name == "DAC_READ_SEARCH":
        return python
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] + python


@pytest.mark.parametrize("name", sorted(FOR_SOURCES))
def test_sources(name, source):
    command = command_of(name, source)
    assert SHOWN in report(command, rights())
    assert SHOWN not in report(command, set(rights()) - {name})
