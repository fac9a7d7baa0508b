# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Alarms of the agent: a leak is told once and by its line, with a report; what a collection frees again is not. The agent
watches the whole host, so only lines of the processes that a test has started count."""
import json
import os
import re
import signal
import stat
import subprocess

import harness
import pytest
import test_agent_metrics
from harness import MIB, TOOL
from test_agent import Agent, files, size_of, store, stepping  # noqa: F401 (a fixture)
from test_by import DELEGATED, LIMIT, memory  # noqa: F401 (a fixture)
from test_metrics import only
from test_top_levels import ID, cgroups

pytestmark = pytest.mark.host

LEAK = """
import sys, time
kept = []
def remember():
    kept.append(b"x" * (1 << 20))
print("ready", flush=True)
while True:
    remember()
    time.sleep(0.1)
"""
REMEMBER = 5  # the line
SAWTOOTH = """
import sys, time
kept = []
print("ready", flush=True)
while True:
    for _ in range(20):
        kept.append(b"x" * (1 << 20))
        time.sleep(0.1)
    kept.clear()
"""


class Target:
    """A program of this text, that runs until the end of the block."""

    def __init__(self, tmp_path, name, text):
        path = tmp_path / name
        path.write_text(text)
        self.process = subprocess.Popen(["/usr/bin/python3", str(path)], stdout=subprocess.PIPE,
                                        env=harness.environment())
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()


def alarms(agent, word):
    return [line for line in agent.text().splitlines() if line.startswith("pymem-bpf agent: alarm ") and word in line]


def told(agent, word):
    """The first alarm with the word in it."""
    harness.until(lambda: agent.waits() and alarms(agent, word), "told: " + word)
    return alarms(agent, word)[0]


def report_of(line):
    """The report that the line names; it must be as docs/json-schema.json has it."""
    path = line.rsplit("; ", 1)[1]
    assert os.path.basename(path).startswith("alarm-") and path.endswith(".json"), line
    mode = os.stat(path).st_mode
    assert stat.S_ISREG(mode) and stat.S_IMODE(mode) == 0o600
    with open(path) as f:
        report = json.load(f)
    schema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    with open(os.path.join(harness.PROJECT, "docs", "json-schema.json")) as f:
        schema.Draft202012Validator(json.load(f)).validate(report)
    process, = report["processes"]
    assert sum(line["increment_bytes"] for line in process["lines"]) == process["charged_bytes"]
    assert process["charged_bytes"] + sum(process["lost_bytes"].values()) == \
        process["rss_end_bytes"] - process["rss_start_bytes"]
    return process


def test_leak_and_sawtooth(store, tmp_path):  # noqa: F811
    """Some 9 MiB/s: one alarm, that names the line; none of what grows as fast and is freed every 2 s."""
    with Target(tmp_path, "leak.py", LEAK) as leak, Target(tmp_path, "saw.py", SAWTOOTH) as saw, \
            Agent(store, "--alarm", "process:growth>2MiB/s over 10s") as agent:
        line = told(agent, "PID %d" % leak.pid)
        assert line.startswith("pymem-bpf agent: alarm process:growth>2MiB/s over 10s: leak.py, PID %d" % leak.pid), line
        assert " MiB/s (" in line and " over 1" in line and "leak.py:%d remember: +" % REMEMBER in line, line
        process = report_of(line)
        first = process["lines"][0]
        assert process["pid"] == leak.pid and first["line"] == REMEMBER and first["increment_bytes"] > 10 * MIB
        # It goes on, and is told once.
        text = agent.text()
        harness.until(lambda: harness.rss(leak.pid) > process["rss_end_bytes"] + 50 * MIB, "went on")
        agent.waits()
        assert len(alarms(agent, "PID %d" % leak.pid)) == 1, text
        assert not alarms(agent, "PID %d" % saw.pid), agent.text()
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert len(files(store)) == 1


def test_rss_and_reload(store, tmp_path):  # noqa: F811
    """SIGHUP takes over what the config file has now; an alarm is on a size, too, and of a program together."""
    config = tmp_path / "agent.toml"
    config.write_text("no-sources = true\n")
    with stepping(tmp_path) as target, Agent(store, "--config", config) as agent:
        pid = target.process.pid
        agent.says("records")
        target.step()
        config.write_text("no-sources = true\nalarm = [\"process:rss > 1 GiB\", 'program:rss>64MiB']\n")
        agent.process.send_signal(signal.SIGHUP)
        agent.says(", 2 alarms")
        assert not alarms(agent, "steps.py")
        for _ in range(15):
            target.step()
        line = told(agent, "steps.py")
        assert "alarm program:rss>64MiB: steps.py" in line and "1 Python: RSS " in line, line
        assert "; steps.py, PID %d grew most at " % pid in line and "steps.py:5 grow: +" in line, line
        assert report_of(line)["pid"] == pid
        # The same again: it is as it was, and is not told again.
        agent.process.send_signal(signal.SIGHUP)
        harness.until(lambda: agent.waits() and agent.text().count(", 2 alarms") == 2, "read again")
        target.step()
        config.write_text("no-sources = true\nalarm = 'rss>1GB'\n")
        agent.process.send_signal(signal.SIGHUP)
        agent.says("goes on as it was")
        assert "--alarm rss>1GB: column 6: \"GB\" is not understood: write KiB, MiB or GiB" in agent.text()
        assert len(alarms(agent, "steps.py")) == 1, agent.text()
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_metrics(store, tmp_path):  # noqa: F811
    """How often each was told, and how many are in it now."""
    with stepping(tmp_path) as target, Agent(store, "--alarm", "program:rss>64MiB", "--alarm", "program:rss>64GiB",
                                             "--listen", "127.0.0.1:0") as agent:
        agent.says("records")
        for _ in range(16):
            target.step()
        told(agent, "steps.py")
        # Others of the host may be as large.
        found = test_agent_metrics.fresh(test_agent_metrics.url_of(agent))
        for name in "pymem_alarm_raised", "pymem_alarms_told":
            large, = only(found[name], alarm="program:rss>64MiB")
            larger, = only(found[name], alarm="program:rss>64GiB")
            assert large >= 1 and larger == 0 and len(found[name]) == 2, found[name]
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_limit(store, tmp_path, memory):  # noqa: F811
    """A container's use of its limit, which a forecast names, too."""
    with Target(tmp_path, "leak.py", LEAK.replace("0.1", "0.2")) as leak:
        memory(leak)
        with Agent(store, "--alarm", "limit>20%", "--alarm", "container:growth>1MiB/s over 10s") as agent:
            growth = told(agent, "container:growth>1MiB/s over 10s: docker:" + ID[:12])
            assert "; at this rate its limit of %.1f MiB in " % (LIMIT / MIB) in growth, growth
            assert ", 1 Python: RSS " in growth and "leak.py, PID %d grew most at " % leak.pid in growth
            line = told(agent, "limit>20%: docker:" + ID[:12])
            assert " of its limit of %.1f MiB (2" % (LIMIT / MIB) in line, line
            process = report_of(line)
            assert process["pid"] == leak.pid and process["lines"][0]["line"] == REMEMBER
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


@pytest.mark.parametrize("scope, who", [("process", "leak.py, PID %d, in docker:"), ("program", "leak.py in docker:")])
def test_part_of_limit(store, tmp_path, memory, scope, who):  # noqa: F811
    """What one process, or one program, has of the limit of its control group; who is in none has no such alarm."""
    alarm = scope + ":limit>20%"
    with Target(tmp_path, "leak.py", LEAK) as leak, Target(tmp_path, "free.py", LEAK) as free:
        memory(leak)
        with Agent(store, "--alarm", alarm) as agent:
            line = told(agent, "alarm %s: %s%s" % (alarm, who % leak.pid if "%d" in who else who, ID[:12]))
            share = re.search(r"RSS (\d+\.\d) MiB of its control group's limit of %.1f MiB \((\d+) %%\)" % (LIMIT / MIB), line)
            assert share, line
            assert 20 <= int(share[2]) < 40 and abs(float(share[1]) * MIB / LIMIT * 100 - int(share[2])) <= 1, line
            process = report_of(line)
            assert process["pid"] == leak.pid and process["lines"][0]["line"] == REMEMBER
            harness.until(lambda: harness.rss(free.pid) > 0.3 * LIMIT, "the other one is as large")
            agent.waits()
            assert not alarms(agent, "free.py"), agent.text()
            assert len(alarms(agent, "leak.py")) == 1, agent.text()
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_forecast_of_limit(store, tmp_path, memory):  # noqa: F811
    """It is told when at its rate the group of a process, or of a program, is full."""
    with Target(tmp_path, "leak.py", LEAK.replace("0.1", "0.2")) as leak:
        memory(leak)
        grows = "growth>1MiB/s over 10s"
        with Agent(store, "--alarm", "process:" + grows, "--alarm", "program:" + grows) as agent:
            for who in "process:%s: leak.py, PID %d," % (grows, leak.pid), "program:%s: leak.py in docker:" % grows:
                assert "; at this rate its limit of %.1f MiB in " % (LIMIT / MIB) in told(agent, who)
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_odd_names(store, tmp_path):  # noqa: F811
    """A name is cut between two characters, so that the line is UTF-8; and not behind whose the group is."""
    where = DELEGATED[-1] + "/lxc.payload." + 200 * "\udcff"
    with cgroups(*DELEGATED, where) as put, Target(tmp_path, 99 * "x" + "ä.py", LEAK) as leak:
        put(leak, where)
        with Agent(store, "--alarm", "rss>64MiB") as agent:
            told(agent, "PID %d" % leak.pid)
            line, = [line for line in agent.stderr.splitlines() if b" alarm " in line and b"PID %d," % leak.pid in line]
            said = line.decode()
            assert "rss>64MiB: %s, PID %d, in lxc:\\xff\\xff" % (99 * "x", leak.pid) in said, said
            assert "\\xff of user 7: RSS " in said, said
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_bounded(store, tmp_path):  # noqa: F811
    """Ten lines a minute; reports have an eighth of --size, and are removed with the oldest first."""
    store.mkdir(mode=0o700)
    for i in range(70):
        path = store / ("alarm-20200101T00%02d%02dZ-5.json" % divmod(i, 60))
        path.write_bytes(b"{}" + b" " * 4000)
        path.chmod(0o600)
    (store / "alarm-2020.json").write_text("mine")
    with Forks(tmp_path, 14) as targets, \
            Agent(store, "--size", "8", "--no-sources", "--alarm", "rss>100MiB") as agent:
        def many():
            mine = [line for pid in targets for line in alarms(agent, "PID %d," % pid) + alarms(agent, "PID %d:" % pid)]
            return agent.waits() and len(alarms(agent, "rss>100MiB")) == 10 and mine
        harness.until(many, "ten are told")
        harness.until(lambda: len(list(store.glob("alarm-*Z-*.json"))) <= 64, "trimmed")
        assert len(alarms(agent, "rss>100MiB")) == 10
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert (store / "alarm-2020.json").exists() and not (store / "alarm-20200101T000000Z-5.json").exists()
    assert size_of(store) <= 8 * MIB


class Forks:
    """Pythons of some 110 MiB each, that share all of it but little: forks."""

    def __init__(self, tmp_path, count):
        self.count, self.path = count, tmp_path / "many.py"

    def __enter__(self):
        self.path.write_text(
            "import os, time\nkept = bytearray(110 << 20)\nkept[::4096] = b'x' * len(kept[::4096])\npids = []\n"
            "for _ in range(%d):\n    pid = os.fork()\n    if not pid:\n        sum(kept[::4096])\n        time.sleep(600)\n"
            "    pids.append(pid)\nprint(*pids, flush=True)\ntime.sleep(600)\n" % (self.count - 1))
        self.process = subprocess.Popen(["/usr/bin/python3", str(self.path)], stdout=subprocess.PIPE,
                                        env=harness.environment())
        self.pids = [int(word) for word in self.process.stdout.readline().split()] + [self.process.pid]
        return self.pids

    def __exit__(self, *error):
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()


@pytest.mark.parametrize("alarm, words", [
    ("growth>50MB/h", 'column 10: "MB/h" is not understood: write KiB, MiB or GiB, as in growth>50MiB/h'),
    ("growth>50MiB", "column 13: it ends too early: write / and s, min, h or d, as in growth>50MiB/h"),
    ("process:limit>90", "column 17: it ends too early: write %, as in limit>90%"),
    ("", "column 1: it ends too early: write growth, rss or limit"),
])
def test_refused(store, tmp_path, alarm, words):  # noqa: F811
    """On the command line and in the file: status 2, the column, and what to write."""
    with Agent(store, "--alarm", alarm) as agent:
        assert agent.wait() == 2
    assert "--alarm %s: %s" % (alarm, words) in agent.text(), agent.text()
    config = tmp_path / "agent.toml"
    config.write_text("size = 64\nalarm = [\"rss>1GiB\",\n  \"%s\"]\n" % alarm)
    with Agent(store, "--config", config) as agent:
        assert agent.wait() == 2
    assert words in agent.text(), agent.text()
    assert "--config %s: that is wrong in it, in line 3, column 3\n" % config in agent.text(), agent.text()
    assert not store.exists()


def test_too_many(store):  # noqa: F811
    options = [word for i in range(17) for word in ("--alarm", "rss>%dGiB" % (i + 1))]
    done = subprocess.run([TOOL, "agent", "--store", str(store), *options], stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 2 and b"one alarm too many: at most 16" in done.stderr, done.stderr


# Nothing else of the host does that.
GROWS = "growth>2MiB/s over 10s"


def looks_of(store, pid):  # noqa: F811
    return sorted(p for p in store.iterdir() if ("-%d.heap." % pid) in p.name)


def heap_told(agent, pid):
    """What is told of the heap of that process."""
    def lines():
        return [line for line in agent.text().splitlines() if line.startswith("pymem-bpf agent: heap of ") and
                ", PID %d" % pid in line]
    harness.until(lambda: agent.waits() and lines(), "looked at")
    line, = lines()
    return line


def rights_of(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return {name: value.strip() for name, value in (line.split(":", 1) for line in f)}


def test_heap(store, tmp_path):  # noqa: F811
    """Who keeps the memory is beside the report, and told; the process is looked at once an hour, by a helper that has the
    rights of an examiner."""
    with Target(tmp_path, "leak.py", LEAK) as leak, \
            Agent(store, "--alarm", "process:" + GROWS, "--alarm", "program:" + GROWS, "--alarm-heap") as agent:
        agent.says("records")
        helper, = harness.children_of(agent.process.pid, "pymem-looker")
        keeper, _ = harness.helpers_of(agent.process.pid)
        for name in "CapPrm", "CapEff", "CapBnd", "CapAmb", "Seccomp", "NoNewPrivs":
            assert rights_of(helper)[name] == rights_of(keeper)[name], name
        with open("/proc/%d/oom_score_adj" % helper, encoding="ascii") as f:
            assert f.read() == "1000\n"
        harness.until(lambda: agent.waits() and len(alarms(agent, "PID %d" % leak.pid)) == 2, "both are told")
        first, = [line for line in alarms(agent, "PID %d" % leak.pid) if "; its heap is looked at; " in line]
        other, = [line for line in alarms(agent, "PID %d" % leak.pid) if line != first]
        assert "; its heap is not looked at: that was asked for 0 min ago; once an hour is all; " in other, other
        line = heap_told(agent, leak.pid)
        assert "leak.py, PID %d: " % leak.pid in line and "__main__.kept" in line, line
        path = line.rsplit("; ", 1)[1]
        assert path == first.rsplit("; ", 1)[1].replace(".json", ".heap.txt")
        assert len(looks_of(store, leak.pid)) == 2
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    report_of(first)
    with open(first.rsplit("; ", 1)[1]) as f:
        assert any("its heap is looked at: the look is beside this file" in note for note in json.load(f)["notes"])
    for each in looks_of(store, leak.pid):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    with open(path) as f:
        text = f.read()
    assert "__main__.kept" in text and text.startswith("PID %d" % leak.pid), text
    schema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    with open(path.replace(".txt", ".json")) as f, \
            open(os.path.join(harness.PROJECT, "docs", "json-schema-heap.json")) as rules:
        look = json.load(f)
        schema.Draft202012Validator(json.load(rules)).validate(look)
    assert look["processes"][0]["pid"] == leak.pid


def test_heap_of_a_program(store, tmp_path):  # noqa: F811
    """Of a program it is the largest process that is looked at."""
    with Target(tmp_path, "leak.py", LEAK) as leak, \
            Agent(store, "--alarm", "program:" + GROWS, "--alarm-heap") as agent:
        line = told(agent, "program:%s: leak.py" % GROWS)
        assert "; leak.py, PID %d grew most at " % leak.pid in line and "; its heap is looked at; " in line, line
        assert "__main__.kept" in heap_told(agent, leak.pid)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_heap_too_large(store, tmp_path):  # noqa: F811
    """Larger ones are left alone, which the line and the report say. SIGHUP changes what is large."""
    config = tmp_path / "agent.toml"
    config.write_text("alarm-heap = true\nalarm-heap-rss = 2048\nalarm = 'process:%s'\nno-sources = true\n" % GROWS)
    with Agent(store, "--config", config) as agent:
        agent.says("records")
        config.write_text(config.read_text().replace("2048", "16"))
        agent.process.send_signal(signal.SIGHUP)
        agent.says(", 1 alarm")
        with Target(tmp_path, "leak.py", LEAK) as leak:
            line = told(agent, "process:%s: leak.py, PID %d" % (GROWS, leak.pid))
            assert "; its heap is not looked at: RSS " in line and " is more than --alarm-heap-rss, " in line, line
        assert not looks_of(store, leak.pid)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    with open(line.rsplit("; ", 1)[1]) as f:
        assert any("its heap is not looked at: RSS" in note for note in json.load(f)["notes"])


def test_heap_without_helper(store, tmp_path):  # noqa: F811
    """It is killed: that is said, alarms are told, and the recording goes on."""
    with Agent(store, "--alarm", "process:" + GROWS, "--alarm-heap") as agent:
        agent.says("records")
        helper, = harness.children_of(agent.process.pid, "pymem-looker")
        os.kill(helper, signal.SIGKILL)
        agent.says("--alarm-heap: the helper that looks at heaps is gone")
        with Target(tmp_path, "leak.py", LEAK) as leak:
            line = told(agent, "process:%s: leak.py, PID %d" % (GROWS, leak.pid))
            assert "; its heap is not looked at: the helper that looks is gone; " in line, line
            report_of(line)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_heap_needs_an_alarm(store):  # noqa: F811
    with Agent(store, "--alarm-heap") as agent:
        assert agent.wait() == 2 and "--alarm-heap needs an --alarm" in agent.text(), agent.text()
    assert not store.exists()
