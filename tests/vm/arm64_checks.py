# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks in an arm64 guest: those of guest_checks.py, and what is different there.

  arm64_checks.py NAME…     prints a line of TAP for each; the exit status is the number of failures

A name is a program of tests/e2e whose truth is known, or one of CHECKS.
"""
import mmap
import os
import platform
import subprocess
import sys
import tempfile
import traceback

import guest_checks
import guest_events
import harness

NO_FAULTS = "this kernel has no page fault tracepoints"


def run(*arguments):
    """(status, stdout, stderr) of the profiler."""
    done = subprocess.run([harness.TOOL] + list(arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def check():
    """`check` says what arm64 has not, and that the main job can be done."""
    status, said, _ = run("check")
    sys.stdout.write("# " + said.replace("\n", "\n# ").rstrip("# "))
    assert status == 0, status
    assert "limited page fault tracepoints\n        arm64 has none" in said
    assert "ok      BPF programs attach" in said


def accessed_by_processor():
    """Where the processor marks pages as accessed, a child's memory can be read."""
    assert "ok      memory of forked children" in run("check")[1]


def accessed_by_kernel():
    """ARMv8.0: the kernel marks them, and `check` says what that means."""
    said = run("check")[1]
    assert "limited memory of forked children" in said and "lost as unreadable" in said


def refused():
    """6.1 and older count in batches, which only page faults tell apart."""
    status, said, _ = run("check")
    assert status == 3 and "MISSING page fault tracepoints" in said, (status, said)
    status, said, why = run("--", sys.executable, "-c", "1")
    assert status == 3 and not said and "6.2 or newer is needed" in why, (status, said, why)


def no_faults():
    """None is counted, which the report says, and the table has no column for them."""
    _, _, report = harness.profile(guest_checks.PYTHON, "grow")
    assert any(note.startswith(NO_FAULTS) for note in report.data["notes"]), report.data["notes"]
    for process in report.data["processes"]:
        for row in process["lines"]:
            assert not (row["minor_faults"] or row["major_faults"] or row["cow_faults"]), row
    status, table, why = run("-v", "--", sys.executable, "-c", "b = bytearray(16 << 20)")
    assert status == 0, why
    assert NO_FAULTS in table and "Increment" in table and "Faults" not in table, table


def killed_check():
    """A process that kills itself: nothing can be read from it afterwards."""
    with harness.Target(guest_checks.PYTHON, "killed") as target:
        with harness.Tool("-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            target.process.wait(harness.PATIENCE)
            report = tool.report()
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])


def lines():
    """As in other guests, but for numpy, which the files of these lack, and the seed's function, whose
    million line events take minutes here: a breakpoint costs an emulator of arm64 more."""
    guest_checks.together([name for name in guest_checks.LINES
                           if name not in ("numpy_temporaries", "seed")], ["--lines"])


def pages_16k():
    assert mmap.PAGESIZE == 16384, mmap.PAGESIZE


CHECKS = {f.__name__: f for f in (
    check, accessed_by_processor, accessed_by_kernel, refused, no_faults, killed_check, pages_16k,
    lines, guest_checks.counted_lines, guest_checks.counted_functions,
    guest_checks.kill_9, guest_checks.serve, guest_checks.memit,
    guest_events.page_cache, guest_events.huge_pages, guest_events.swapped, guest_events.reclaims,
    guest_events.memory_high, guest_events.taken, guest_events.memory_cgroup, guest_events.kernel_memory)}


def main():
    harness.DATA = tempfile.mkdtemp()
    title = "%s, Python %s" % (os.uname().release, platform.python_version())
    failed = 0
    for name in sys.argv[1:]:
        try:
            if name in CHECKS:
                CHECKS[name]()
            else:
                harness.profile(guest_checks.PYTHON, name)
            print("ok - %s: %s" % (title, name), flush=True)
        except Exception:
            failed += 1
            print("# " + traceback.format_exc().rstrip().replace("\n", "\n# "))
            print("not ok - %s: %s" % (title, name), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
