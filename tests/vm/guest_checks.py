# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Amounts on lines, conservation and clean ends on the kernel of a guest.

Uses the harness of tests/e2e without pytest, and prints one TAP comment for each check.
Run by in_guest.sh; the exit status is the number of failed checks.
"""
import os
import signal
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.dont_write_bytecode = True

import harness  # noqa: E402
import test_ends  # noqa: E402

PYTHON = [sys.executable]
# Named by what a kernel could do differently; file_map needs a disk, which a guest has not.
PROGRAMS = ("grow", "free", "threads", "madvise", "munmap", "mremap", "fork", "cow", "shared",
            "seed", "killed_check", "kill_9")


def killed_check():
    with harness.Target(PYTHON, "killed") as target:
        with harness.Tool("-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            target.process.wait(harness.PATIENCE)
            report = tool.report()
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])


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


def main():
    only = sys.argv[1:] or PROGRAMS
    harness.DATA = tempfile.mkdtemp()
    failed = 0
    for name in only:
        try:
            special = {"killed_check": killed_check, "kill_9": kill_9}.get(name)
            if special:
                special()
            else:
                harness.profile(PYTHON, name)
            print("# good: %s" % name, flush=True)
        except Exception:
            failed += 1
            print("# BAD: %s" % name, flush=True)
            traceback.print_exc(file=sys.stdout)
    return failed


if __name__ == "__main__":
    sys.exit(main())
