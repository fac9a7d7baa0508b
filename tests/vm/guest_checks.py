# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Amounts on lines, conservation and clean ends on the kernel of a guest.

Uses the harness of tests/e2e without pytest, and prints one TAP comment for each check.
Run by in_guest.sh; the exit status is the number of failed checks.

Everything is some 15 times slower here, loading the programs most of all: so one profiler
watches all programs of a kind, one after the other.
"""
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.dont_write_bytecode = True

import harness  # noqa: E402
import serving  # noqa: E402
import test_ends  # noqa: E402

PYTHON = [sys.executable]
# Named by what a kernel could do differently; file_map needs a disk, which a guest has not.
PROGRAMS = ("grow", "free", "threads", "madvise", "munmap", "mremap", "fork", "cow", "shared",
            "seed", "killed")
CHECKS = ("programs", "kill_9", "lines", "serve", "memit")
# Kernels before 6.2 keep what a task counts to themselves for a while: so many pages may be
# on their way.
BATCH = 64
BATCHED = tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 2)


def tolerance(name):
    """Two threads that hand over what they counted in the same instant may swap it (ACCURACY.md):
    here, where both CPUs are one thread, the instant is long."""
    return harness.TOLERANCE + (2 * BATCH * 4096 if BATCHED and name == "threads" else 0)


def after_work(target):
    """Its Rss once it has done its work; None if that was its end."""
    if target.name != "killed":
        return harness.rss_at_rest(target.pid)
    target.process.wait(harness.PATIENCE)
    return None


def programs():
    """Each program's lines, and conservation, under one profiler."""
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(harness.Target(PYTHON, n)) for n in PROGRAMS]
        for target in targets:
            harness.rss_at_rest(target.pid)
        tool = stack.enter_context(harness.Tool("-p", ",".join(str(t.pid) for t in targets)))
        tool.attached()
        done = []
        for target in targets:
            before = harness.rss_at_rest(target.pid)
            truth = target.go()
            done.append((target, truth, before, after_work(target)))
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
        for target in targets:
            assert target.name == "killed" or target.end() == 0, target.name
    for target, truth, before, after in done:
        print("# %s" % target.name, flush=True)
        report.check_conservation(target.pid)
        if after is not None:
            report.check_at_rest(target.pid, before, after)
        lines = {k: dict({"tolerance": tolerance(target.name)}, **v)
                 for k, v in truth["lines"].items()}
        report.check_lines(target.pid, target.path, lines)
        for child in truth.get("children", []):
            report.check_conservation(child["pid"])
            report.check_lines(child["pid"], target.path, child["lines"])


def kill_9():
    with harness.Target(PYTHON, "grow") as target, harness.Tool("-p", target.pid) as tool:
        tool.attached()
        tool.process.send_signal(signal.SIGKILL)
        tool.wait()
        target.go()
        assert target.end() == 0
    if not any(os.access(p + "/bpftool", os.X_OK) for p in ("/usr/sbin", "/usr/bin")):
        raise AssertionError("bpftool is not installed")
    test_ends.assert_nothing_left(set())


def lines():
    """The exact engine: runs to the one, increments to some pages."""
    with harness.Target(PYTHON, "counted") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            harness.rss_at_rest(target.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    report.check_conservation(target.pid)
    for label, want in truth["lines"].items():
        file, line = harness.find_line(target.path, label)
        rows = [r for r in report.rows(target.pid, file, line) if r["occurrences"] is not None]
        assert sum(r["occurrences"] for r in rows) == want["occurrences"], (label, rows)
        got = sum(r["run_increment_bytes"] for r in rows)
        # A fault's page may be told of one fault late before 6.2.
        slack = (16 + want["occurrences"]) * 4096
        assert abs(got - want["run_increment"]) <= slack, (label, got, want)


def serve():
    """Figures on the page, for an ordinary user's process, against the page tables."""
    path = os.path.join(harness.DATA, "socket")
    os.chmod(harness.DATA, 0o755)
    with serving.Server(harness.TOOL, path) as server, serving.Client(path, 65534) as client:
        assert client.track()["status"] == serving.OK
        page = client.page()
        for what in (("grow", 2000), ("fork", 500), ("reset",), ("grow", 3000), ("shrink",)):
            client.tell(*what)
            truth = harness.rss_at_rest(client.pid) // serving.PAGE
            assert abs(page.rss - truth) <= BATCH, (what, page.rss, truth)
            if what[0] == "fork":
                assert page.tree - page.rss > 500
            if what[0] == "reset":
                assert page.resets == 1 and page.peak_now() - page.rss <= BATCH
        assert page.peak_now() - page.rss >= 3000 - BATCH
        client.tell("end_children")
        assert abs(page.tree - page.rss) <= BATCH
        assert server.stop() == 0
        assert page.state == serving.ENDED
    test_ends.assert_nothing_left(set())


def memit():
    """The peak of a command against VmHWM."""
    code = ("block = bytearray(60 << 20)\ndel block\n"
            "print([l.split()[1] for l in open('/proc/self/status') if 'VmHWM' in l][0])")
    done = subprocess.run([harness.TOOL, "memit", "--", sys.executable, "-c", code], check=True,
                          stdout=subprocess.PIPE).stdout.decode().splitlines()
    peak = float(done[1].split()[2])
    assert done[1].startswith("peak memory: ") and abs(peak - int(done[0]) / 1024) < 1, done


def main():
    failed = 0
    harness.DATA = tempfile.mkdtemp()
    for name in sys.argv[1:] or CHECKS:
        start = time.monotonic()
        try:
            globals()[name]()
            print("# good: %s (%.0f s)" % (name, time.monotonic() - start), flush=True)
        except Exception:
            failed += 1
            print("# BAD: %s" % name, flush=True)
            traceback.print_exc(file=sys.stdout)
    return failed


if __name__ == "__main__":
    sys.exit(main())
