# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""-a, ps, check, help, and the shape of JSON."""
import contextlib
import json
import os
import platform
import subprocess

import pytest

import harness
from conftest import pythons
from harness import PROJECT, Target, Tool

FIELDS = {"pid", "ns_pid", "ppid", "comm", "cmdline", "cgroup", "python", "engine", "rss_start_bytes",
          "rss_end_bytes", "rss_peak_bytes", "charged_bytes", "lost_bytes", "lines"}
LINE_FIELDS = {"file", "line", "function", "increment_bytes", "total_bytes", "grown_bytes",
               "freed_bytes", "peak_bytes", "mem_usage_bytes", "occurrences", "anon_bytes",
               "file_bytes", "shmem_bytes", "minor_faults", "major_faults", "cow_faults"}


def run(*arguments):
    return subprocess.run([harness.TOOL] + list(arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE)


def programs():
    """What each process of the host has mapped executable: {pid: (start, files)}."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        # Another user namespace's, or one that ends.
        with contextlib.suppress(OSError):
            with open("/proc/%d/maps" % pid, errors="surrogateescape") as f:
                files = frozenset(w[0] + " " + w[5] for w in (line.split(None, 5) for line in f)
                                  if len(w) > 5 and "x" in w[1] and w[4] != "0")
            with open("/proc/%d/stat" % pid, errors="replace") as f:
                found[pid] = (f.read().rsplit(")", 1)[1].split()[19], files)
    return found


def is_python(pid, files):
    """Has it a file of Python's runtime mapped, as far as one can tell by names in there? None: it has ended."""
    for file in files:
        name = "-".join("%x" % int(part, 16) for part in file.split()[0].split("-"))
        try:
            with open("/proc/%d/map_files/%s" % (pid, name), "rb") as f:
                text = f.read()
        except OSError:
            return None
        if b"PyRuntime" in text or b"_PyThreadState_Current" in text:
            return True
    return False


def assert_pythons(others, before, after):
    """None of these images, of processes not ours, is of a process that was no Python before the report was
    asked for and is the same still. What has ended, or runs another program by now, can't be told."""
    wrong = [p for p in others if not p["exited"] and before.get(p["pid"]) == after.get(p["pid"], ()) and
             is_python(p["pid"], before[p["pid"]][1]) is False]
    assert not wrong, "no Python: %s" % [(p["pid"], p["comm"], p["cmdline"]) for p in wrong]


@pytest.mark.host
def test_all_finds_fifty_and_nothing_else():
    """50 processes of all interpreters, some started after the attach, among others that
    are none; each that worked has its line."""
    choice = pythons()
    targets, others = [], []
    try:
        for i in range(40):
            targets.append(Target(choice[i % len(choice)].command, "grow" if i < 8 else "idle"))
        others = [subprocess.Popen(["sleep", "600"]), subprocess.Popen(["cat"], stdin=subprocess.PIPE),
                  subprocess.Popen(["sh", "-c", "read python"], stdin=subprocess.PIPE)]
        with Tool("-a") as tool:
            tool.attached()
            for i in range(40, 50):
                targets.append(Target(choice[i % len(choice)].command, "idle"))
            truths = {t.pid: t.go() for t in targets}
            tool.polled()
            before = programs()
            tool.process.send_signal(harness.signal.SIGINT)
            report = tool.report()
            after = programs()
        ours = {t.pid for t in targets}
        missing = ours - set(report.pids())
        assert not missing, "not found: %s" % missing
        # Other Pythons of the host are found as well, whatever their names are.
        assert_pythons([p for p in report.data["processes"] if p["pid"] not in ours], before, after)
        assert not {p.pid for p in others} & set(report.pids())
        for target in targets:
            report.check_conservation(target.pid)
            report.check_lines(target.pid, target.path, truths[target.pid]["lines"])
    finally:
        for process in [t.process for t in targets] + others:
            process.kill()
            process.wait()


def test_ps(python):
    """PID, version, build, engine, RSS and command of each; nothing that is no Python."""
    with Target(python.command, "idle") as target, subprocess.Popen(["sleep", "600"]) as sleeper:
        done = run("ps", "-v")
        sleeper.kill()
    assert done.returncode == 0, done.stderr
    rows = {int(line.split()[0]): line for line in done.stdout.decode().splitlines()
            if line.split() and line.split()[0].isdigit()}
    assert target.pid in rows and sleeper.pid not in rows
    row = rows[target.pid]
    assert "%d.%d.%d" % python.version in row and "walk" in row and "MiB" in row
    assert "idle.py" in row


def test_check():
    """This host can do the main job; one line per requirement."""
    done = run("check")
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout.decode()
    assert "BTF" in text and len(text.splitlines()) >= 5


def test_check_without_root():
    done = subprocess.run(["setpriv", "--inh-caps=-all", "--bounding-set=-all", harness.TOOL, "check"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 3 and b"CAP_" in (done.stdout + done.stderr).upper()


def test_help_and_version():
    done = run("--help")
    assert done.returncode == 0 and done.stderr == b""
    for word in (b"-p", b"-a", b"-o", b"--format", b"help options", b"check", b"ps"):
        assert word in done.stdout
    with open(os.path.join(PROJECT, "VERSION")) as f:
        version = f.read().strip()
    done = run("--version")
    assert done.returncode == 0 and version in done.stdout.decode()


@pytest.mark.parametrize("name", ["/dev/full"])
def test_help_to_a_full_disk(name):
    with open(name, "wb") as full:
        for arguments in (["--help"], ["--version"], ["ps"], ["check"]):
            done = subprocess.run([harness.TOOL] + arguments, stdout=full, stderr=subprocess.PIPE,
                                  timeout=harness.PATIENCE)
            assert done.returncode == 1, arguments


def test_json_has_every_field(few_python):
    target, _, report = harness.profile(few_python.command, "free")
    for name in ("host", "kernel", "version", "start", "end"):
        assert name in report.data
    assert report.data["start"] <= report.data["end"]
    image = report.image(target.pid)
    assert FIELDS <= set(image), FIELDS - set(image)
    assert image["cmdline"][-1] == target.path
    assert image["lines"]
    for row in image["lines"]:
        assert LINE_FIELDS <= set(row), LINE_FIELDS - set(row)
        assert row["occurrences"] is None, "the walk engine does not count them"


def test_json_follows_its_schema(system):
    """The schema in docs/ describes what is written."""
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    _, _, report = harness.profile(system.command, "fork")
    with open(os.path.join(PROJECT, "docs", "json-schema.json")) as f:
        jsonschema.validate(report.data, json.load(f))


def test_largest_change_comes_first(system):
    """Of several processes, not in the order in which the kernel has them."""
    names = ["idle", "grow", "idle", "idle", "grow"]
    targets = [Target(system.command, name) for name in names]
    try:
        with Tool("-p", ",".join(str(t.pid) for t in targets)) as tool:
            tool.attached()
            for target in targets:
                target.go()
            tool.process.send_signal(harness.signal.SIGINT)
            report = tool.report()
    finally:
        for target in targets:
            target.process.kill()
            target.process.wait()
    changes = [abs(p["rss_end_bytes"] - p["rss_start_bytes"]) for p in report.data["processes"]]
    assert changes == sorted(changes, reverse=True)
    assert sorted(report.pids()[:2]) == sorted(t.pid for t, n in zip(targets, names) if n == "grow")


def test_map_full(system):
    """More stacks than there is room for: lost by name, and still conserved."""
    with Target(system.command, "wide") as target:
        before = harness.rss_at_rest(target.pid)
        with Tool("-p", target.pid, "--max-stacks", "64") as tool:
            tool.attached()
            target.go()
            after = harness.rss_at_rest(target.pid)
            tool.process.send_signal(harness.signal.SIGINT)
            report = tool.report()
    report.check_conservation(target.pid)
    report.check_at_rest(target.pid, before, after)
    image = report.image(target.pid)
    assert image["lost_bytes"].get("map-full", 0) > 0
    if platform.machine() != "aarch64":
        assert image["lost_faults"] > 0, "a fault of a stack that is lost is lost too"
    # 64 stacks have been seen to map memory; there is room for the calls of 16.
    notes = [n for n in report.data["notes"] if "memory system calls were not counted" in n]
    assert len(notes) == 1 and int(notes[0].split()[0]) >= 10, report.data["notes"]
