# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Much at once, for PYMEM_STRESS_SECONDS: processes that fork, exec and die under -a; thousands of threads; a
profiler that is killed again and again. Amounts are checked as everywhere else."""
import os
import random
import time

import pytest

import harness
from harness import KIB, PAGE, Target, Tool
from test_ends import assert_nothing_left, bpf_objects

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
# Of the swarm; other tests do more where it is long.
SECONDS = float(os.environ.get("PYMEM_STRESS_SECONDS", "6"))
SEED = int(os.environ.get("PYMEM_STRESS_SEED", "1"))
WORKERS, EXECS = 200, 400


def path_of(name):
    return os.path.join(PROGRAMS, name + ".py")


class Record:
    """What the swarm says it did, by PID. A PID that was used again has the sum of both."""

    def __init__(self, path):
        self.grown, self.execed, self.killed, self.pids, self.parent = {}, set(), set(), set(), {}
        with open(path) as f:
            for line in f:
                words = line.split()
                pid = int(words[1])
                self.pids.add(pid)
                if words[0] == "f":
                    self.parent[pid] = int(words[2])
                elif words[0] == "g":
                    self.grown[pid] = self.grown.get(pid, 0) + int(words[2])
                elif words[0] == "e":
                    self.execed.add(pid)
                elif words[0] == "k":
                    self.killed.add(pid)


    def follows_exec(self, pid):
        """Did it, or one that it was forked from, exec? Nobody may have had a look at that one before
        both had ended."""
        seen = set()
        while pid not in self.execed and pid in self.parent and pid not in seen:
            seen.add(pid)
            pid = self.parent[pid]
        return pid in self.execed


def unexamined(report):
    return sum(int(n.split()[0]) for n in report.data["notes"] if "could be examined" in n)


def check_swarm(report, record, line):
    """Every worker is there, or named, or counted; each that is there has what it grew by, on its
    line. What it did before its interpreter was found is lost by that name."""
    images = {}
    for image in report.data["processes"]:
        images.setdefault(image["pid"], []).append(image)
    named = set(images) | {s["pid"] for s in report.data["skipped"]}
    missing = record.pids - named
    assert all(map(record.follows_exec, missing)), "forked from what is profiled, and left out"
    assert len(missing) <= unexamined(report)
    exact = known = 0
    for pid in record.pids & set(images):
        report.check_conservation(pid)
        # A child also maps again the file pages that fork left out.
        grown = sum(row["anon_bytes"] for image in images[pid] for row in image["lines"]
                    if row["line"] == line and os.path.basename(row["file"]) == "swarm.py")
        lost = sum(abs(image["lost_bytes"][cause]) for image in images[pid]
                   for cause in ("unidentified", "undelivered", "unreadable", "replaced", "unsettled"))
        said = record.grown.get(pid, 0)
        # Of what an exec began there may be no row at all.
        unseen = said if pid in record.execed else 0
        more = harness.MIB if pid in record.killed else 0
        slack = 4 * PAGE + said // 64
        assert said - lost - unseen - slack <= grown <= said + more + slack, (pid, said, lost, report.top(pid))
        exact += bool(said) and abs(grown - said) <= slack
        known += bool(said) and not lost and pid not in record.execed | record.killed
    assert exact >= known >= len(record.grown) // 10, "of few workers the amount is known"
    return exact


@pytest.mark.attack("memory that is missing from the report",
                    "hundreds of processes fork, exec and are killed at once, under -a")
def test_swarm(system, tmp_path):
    with Target(system, "swarm", path_of("swarm"),
                [str(SECONDS), str(WORKERS), str(SEED), str(tmp_path / "record"), str(EXECS)]) as target:
        # Each is to be there one by one.
        with Tool("-a", "--max-stacks", 1 << 18, "--ended-processes", 1 << 20) as tool:
            tool.attached()
            target.tell(b"GO")
            started = harness.json.loads(target.lines.next(SECONDS + harness.PATIENCE).decode())["started"]
            tool.process.send_signal(harness.signal.SIGINT)
            assert tool.process.wait(SECONDS + harness.PATIENCE) == 0, tool.stderr
            report = tool.report()
        assert target.end() == 0
    record = Record(str(tmp_path / "record"))
    assert started >= WORKERS
    for pid in set(report.pids()):
        report.check_conservation(pid)
    exact = check_swarm(report, record, harness.labels(path_of("swarm"))["grow"])
    print("seed %d: %d processes, %d execed, %d exact, notes %s" % (
        SEED, len(record.pids), len(record.execed), exact, report.data["notes"]))


def test_threads_by_the_thousand(system):
    """What each grew by is on the line, to a page a thread: of stacks that are touched there too."""
    count = 5000 if SECONDS >= 30 else 2000
    target, truth, report = harness.profile(system, "many_threads", path_of("many_threads"),
                                            [str(count)], check=False)
    file, line = harness.find_line(target.path, "grow")
    grown = sum(r["grown_bytes"] for r in report.rows(target.pid, file, line))
    assert truth["lines"]["grow"]["grown"] == count * 256 * KIB
    assert 0 <= grown - count * 256 * KIB <= 64 * PAGE, report.top(target.pid)


def kill_over_and_over(command, arguments, rounds):
    dice, before, attached = random.Random(SEED), bpf_objects(), 0
    with Target(command, "steady", path_of("steady")) as target:
        target.tell(b"GO")
        for _ in range(rounds):
            with Tool("-p", target.pid, *arguments) as tool:
                if dice.random() < 0.5:
                    tool.attached()
                    attached += 1
                time.sleep(dice.random() * 0.3)
                tool.process.kill()
                assert tool.wait() == -harness.signal.SIGKILL
            assert harness.state(target.pid) in "RSD", "the target must go on"
        assert_nothing_left(before)
        target.tell(b"END")
        assert target.said()["right"], "the target's own results must be right"
        assert target.process.wait(harness.PATIENCE) == 0
    assert attached


@pytest.mark.parametrize("arguments", [[], ["--lines"]], ids=["walk", "lines"])
def test_killed_over_and_over(system, arguments):
    """Half of the times it is killed while it starts, else while it runs."""
    kill_over_and_over(system, arguments, 50 if SECONDS >= 30 else 12)
