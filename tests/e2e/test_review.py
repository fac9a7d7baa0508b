# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a review found: ends that race, names that are reused, few descriptors, native threads, a live
screen that has data."""
import os
import pty
import re
import resource
import select
import signal
import subprocess
import time

import pytest

import harness
from harness import launch

PAGE = 4096


def test_threads_exit_at_once(system):
    """What each of them holds is counted, whichever ends the process."""
    report = launch("--", *system.command, harness.program_path("exit_race"), 40)
    assert len(report.data["processes"]) == 41
    for process in report.data["processes"]:
        report.check_conservation(process["pid"])


def test_replaced_at_exit(system):
    """No line is charged with what ran after it at its address."""
    report = launch("--", *system.command, harness.program_path("exit_replaced"))
    pid = report.pids()[0]
    report.check_conservation(pid)
    first = sum(r["increment_bytes"] for r in report.rows(pid, "<first>", 4))
    second = sum(r["increment_bytes"] for r in report.rows(pid, "<second>", 4))
    lost = report.images(pid)[0]["lost_bytes"]["replaced"]
    assert first <= 2000 * PAGE + 32 * PAGE, "the second's are not the first's"
    assert first >= (2000 - 64) * PAGE
    # On kernels before 6.16 nothing can be looked at when a process ends.
    assert abs(first + second + lost - 2040 * PAGE) <= 128 * PAGE


def test_native_callbacks(system):
    harness.profile(system.command, "callbacks")


def test_old_thread_state(system):
    """A thread that was in C finds its way back to its state, however many are newer."""
    target, _, report = harness.profile(system.command, "old_state")
    assert report.image(target.pid)["lost_bytes"]["no-thread"] == 0


def test_no_children_with_vfork(system):
    """A child that runs on its parent's memory until it execs: its page is the parent's."""
    code = "import os, subprocess; os.read(0, 1)\nfor i in range(50): subprocess.run(['/bin/true'])"
    report = launch("--no-children", "--", *system.command, "-c", code)
    assert len(report.data["processes"]) == 1
    report.check_conservation(report.pids()[0])


def test_few_descriptors(system):
    """More processes than descriptors: the report comes all the same."""
    code = ("import os, time; os.read(0, 1)\nfor i in range(200):\n if not os.fork(): time.sleep(1); os._exit(0)\n"
            "for i in range(200): os.wait()")
    report = launch("--ended-processes", 1000, "--", *system.command, "-c", code,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    assert len(report.data["processes"]) == 201


def test_signal_goes_to_the_command(system):
    """SIGTERM to the profiler alone: the command decides; its end is ours."""
    code = ("import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
            "print('ready', flush=True)\nwhile True: time.sleep(.1)")
    with harness.Tool("--", *system.command, "-c", code, env=harness.environment()) as tool:
        harness.until(lambda: b"ready" in tool.stdout(), "ready")
        assert tool.stop(signal.SIGTERM) == 7


def test_live_screen_has_lines(system):
    """Drawn while it runs, the table has the lines that were charged, not `undelivered`."""
    with harness.Target(system.command, "busy") as target:
        target.tell(b"GO")
        master, slave = pty.openpty()
        tool = subprocess.Popen([harness.TOOL, "-p", str(target.pid)], stdin=slave,
                                stdout=slave, stderr=slave,
                                env=dict(os.environ, COLUMNS="100", TERM="xterm"))
        os.close(slave)
        seen, deadline = b"", time.monotonic() + harness.PATIENCE
        while time.monotonic() < deadline and not re.search(rb"busy\.py:\d+ ", seen):
            if select.select([master], [], [], 0.5)[0]:
                seen += os.read(master, 65536)
        tool.send_signal(signal.SIGINT)
        while select.select([master], [], [], 5)[0]:
            try:
                if not os.read(master, 65536):
                    break
            except OSError:
                break
        assert tool.wait(harness.PATIENCE) == 0
        os.close(master)
    assert re.search(rb"busy\.py:\d+ ", seen), seen[-2000:].decode("utf-8", "replace")
    assert b"undelivered" not in seen


def test_orphans(system):
    """A child whose parent ends at once is what its parent was: it is in the report, with its
    line."""
    code = ("import os; os.read(0, 1)\nfor i in range(100):\n r, w = os.pipe()\n if not os.fork():\n"
            "  if os.fork(): os._exit(0)\n  block = bytearray(2 << 20)\n  os._exit(0)\n"
            " os.close(w); os.read(r, 1); os.close(r); os.wait()")
    report = launch("--ended-processes", 1000, "--", *system.command, "-c", code)
    assert len(report.data["processes"]) == 201
    for process in report.data["processes"]:
        assert process["python"]
        report.check_conservation(process["pid"])
    assert sum(sum(r["increment_bytes"] for r in report.rows(pid, "<string>", 6)) >= 2 << 20
               for pid in report.pids()) == 100


def test_exec_by_a_thread(system):
    """A thread other than the first runs another program: what each had collected is counted."""
    code = ("import os, sys, threading; os.read(0, 1)\nblocks = [bytearray(1 << 20)]\ndef work():\n"
            " blocks.append(bytearray(5 << 20))\n"
            " os.execv(sys.executable, [sys.executable, '-c', 'block = bytearray(3 << 20)'])\n"
            "thread = threading.Thread(target=work)\nthread.start()\nthread.join()")
    report = launch("--", *system.command, "-c", code)
    pid, = set(report.pids())
    assert len(report.images(pid)) == 2
    report.check_conservation(pid)
    grown = sum(r["increment_bytes"] for r in report.rows(pid, "<string>", 4))
    assert 5 << 20 <= grown <= (5 << 20) + 64 * PAGE


def test_no_room_for_records(system):
    """Processes whose figures found no room are named, and the end of one is noticed all the same."""
    with harness.Target(system.command, "crowd") as target:
        with harness.Tool("-p", target.pid, "--max-processes", 4) as tool:
            tool.attached()
            tool.process.send_signal(signal.SIGSTOP)
            target.tell(b"GO")
            assert target.process.wait(harness.PATIENCE) == 0
            tool.process.send_signal(signal.SIGCONT)
            report = tool.report()
    skipped = [s["pid"] for s in report.data["skipped"] if "no room" in s["reason"]]
    assert target.pid in skipped
    assert sorted(skipped + report.pids()) == sorted(set(skipped + report.pids()))
    assert len(skipped) + len(report.pids()) == 41 and report.pids()
    for pid in report.pids():
        report.check_conservation(pid)


def churn(command, count):
    """Report on a process that runs `count` programs one after the other; the profiler's RSS."""
    with harness.Target(command, "churn", arguments=[str(count)]) as target:
        with harness.Tool("-p", target.pid, "--max-stacks", 4096) as tool:
            tool.attached()
            target.go(tool.polled)
            tool.polled()
            rss = harness.rss(tool.process.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
    return report, rss


def test_churn(system):
    """What has ended makes room in the tables for what comes, and takes little memory."""
    few, before = churn(system.command, 5)
    many, after = churn(system.command, 45)
    for report, count in (few, 6), (many, 46):
        # On a busy machine one may be over before the profiler has had a look at it.
        unseen = [int(n.split()[0]) for n in report.data["notes"] if "could be examined" in n]
        assert len(report.data["processes"]) + sum(unseen) == count, report.data["notes"]
    for process in few.data["processes"] + many.data["processes"]:
        assert not process["lost_bytes"]["map-full"]
    for report in (few, many):
        for pid in report.pids():
            report.check_conservation(pid)
    stacks = sum(len(p["lines"]) for p in many.data["processes"])
    assert stacks > 4096, "too few to fill the table"
    # 521 lines of 528 bytes are 269 KiB; measured were 291 to 312, by what the allocator keeps.
    assert after - before < 40 * 330 * harness.KIB, (before, after)


@pytest.mark.attack("the profiler's memory",
                    "processes that begin and end without end")
def test_what_has_ended_is_limited(system):
    """Processes that changed least are reported as a sum only, by name, and all still adds up."""
    with harness.Target(system.command, "churn", arguments=["45"]) as target:
        with harness.Tool("-p", target.pid, "--ended-memory", 1) as tool:
            tool.attached()
            target.go(tool.polled)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
    ended = report.data["ended"]
    unseen = [int(n.split()[0]) for n in report.data["notes"] if "could be examined" in n]
    assert ended["processes"] > 10
    assert ended["processes"] + len(report.data["processes"]) + sum(unseen) == 46
    assert ended["charged_bytes"] + sum(ended["lost_bytes"].values()) == ended["change_bytes"]
    assert any("--ended-memory" in n for n in report.data["notes"])
    for pid in report.pids():
        report.check_conservation(pid)


def test_memory_descriptor_is_used_again(system):
    """A fork gets the mm that an exec has just freed, before that exec is told."""
    # Room for all: what is tested is not how fast the profiler makes some.
    harness.profile(system.command, "reused_mm", options=["--max-processes", 2048, "--ring-size", 16384,
                                                                "--ended-processes", 1000])


def test_much_at_the_end(system):
    """What a function frees in large steps is on its line, though the function is gone before
    the process ends."""
    with harness.Target(system.command, "gone") as target:
        with harness.Tool("-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            assert target.end() == 0
            report = tool.report()
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])
    assert abs(report.image(target.pid)["lost_bytes"]["replaced"]) < harness.MIB


def test_chunks_of_the_data_stack():
    """A call that begins a chunk of the data stack, again and again: each return unmaps it, with the
    frame that Python up to 3.11 still calls the current one. Its caller is charged."""
    for _, command in harness.list_pythons():
        report = harness.launch("--", *command, harness.program_path("chunks"))
        image = report.data["processes"][0]
        report.check_conservation(image["pid"])
        assert image["lost_bytes"]["unreadable"] == 0, command


def test_chunk_that_cannot_be_read(system):
    """The frame that heads a chunk runs, though it can't be read: its caller is charged nothing of what
    it does."""
    if system.version < (3, 11):
        pytest.skip("no data stack")
    size, path = 40 * harness.MIB, harness.program_path("away")
    report = harness.launch("--", *system.command, path)
    image = report.data["processes"][0]
    report.check_conservation(image["pid"])

    def gross(label):
        return sum(r["grown_bytes"] for r in report.rows(image["pid"], *harness.find_line(path, label)))
    assert gross("caller") < harness.MIB
    assert image["lost_bytes"]["unreadable"] + sum(
        r["increment_bytes"] for r in report.rows(image["pid"], *harness.find_line(path, "grow"))) >= size // 2


def test_first_seen_deep(system):
    """A stack of 120 code objects, none known, is handed over at its first visit."""
    target, truth, report = harness.profile(system.command, "first_deep", check=False)
    report.check_lines(target.pid, target.path, truth["lines"])
