# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`pymem-bpf memit`: its line compared with the peak that the kernel reports (VmHWM)."""
import os
import re
import signal
import subprocess
import time

import pytest

import harness
from harness import KIB, MIB, TOOL, Lines

LINE = re.compile(rb"peak memory: (-?\d+\.\d\d) MiB, increment: (-?\d+\.\d\d) MiB\n")

# 100 MB for 5 ms; then the kernel's own figure.
SPIKE = """
import time
block = bytearray(100 << 20)
time.sleep(0.005)
del block
"""
SAY_PEAK = """
with open("/proc/self/status") as f:
    print([l.split()[1] for l in f if l.startswith("VmHWM")][0], flush=True)
"""


def memit(*arguments, status=0, **popen):
    done = subprocess.run([TOOL, "memit"] + list(arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE, **popen)
    assert done.returncode == status, (done.returncode, done.stderr)
    return done


def figures(output):
    """(peak, increment) in MiB, of the last line."""
    match = LINE.fullmatch(output.splitlines(keepends=True)[-1])
    assert match, output
    return float(match.group(1)), float(match.group(2))


def test_short_peak_of_a_command():
    """Within 1 MiB of VmHWM, 20 times of 20."""
    for _ in range(20):
        done = memit("--", "/usr/bin/python3", "-c", SPIKE + SAY_PEAK)
        peak, increment = figures(done.stdout)
        truth = int(done.stdout.split(b"\n")[0]) * KIB / MIB
        assert truth > 100 and abs(peak - truth) < 1, (peak, truth)
        # From an empty process on.
        assert 0 <= peak - increment < 0.5


def test_peak_of_a_command_is_not_ours():
    """What ran before the exec is left out: a small program is small."""
    peak, increment = figures(memit("--", "/bin/true").stdout)
    subprocess.run(["/bin/true"])
    assert 0.3 < peak < 3 and increment <= peak


def test_huge_pages():
    code = """
import mmap
block = mmap.mmap(-1, 64 << 20)
block.madvise(mmap.MADV_HUGEPAGE)
block.write(b"x" * len(block))
block.close()
""" + SAY_PEAK
    done = memit("--", "/usr/bin/python3", "-c", code)
    truth = int(done.stdout.split(b"\n")[0]) * KIB / MIB
    assert truth > 64 and abs(figures(done.stdout)[0] - truth) < 1


CHILDREN = """
import os, time
readable, writable = os.pipe()
pids = []
for i in range(3):
    pid = os.fork()
    if not pid:
        block = bytearray(b"x" * (40 << 20))
        os.write(writable, b"!")
        time.sleep(1000)
    pids.append(pid)
for pid in pids:
    os.read(readable, 1)
for pid in pids:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"""


def test_children():
    alone = figures(memit("--", "/usr/bin/python3", "-c", CHILDREN).stdout)[0]
    assert alone < 40
    tree = figures(memit("-C", "--", "/usr/bin/python3", "-c", CHILDREN).stdout)[0]
    assert 120 < tree < 120 + 4 * 45, tree


def test_command_through_a_shell():
    """The command's own children and execs."""
    peak = figures(memit("--", "sh", "-c", "exec /usr/bin/python3 -c 'b = bytearray(100 << 20)'").stdout)[0]
    assert 100 < peak < 130
    code = "/usr/bin/python3 -c 'b = bytearray(100 << 20)'; true"
    assert figures(memit("--", "sh", "-c", code).stdout)[0] < 10
    assert 100 < figures(memit("-C", "--", "sh", "-c", code).stdout)[0] < 130


def test_repeat_tells_the_highest(tmp_path):
    count = tmp_path / "count"
    count.write_text("")
    code = """
import sys
with open(sys.argv[1], "r+") as f:
    n = len(f.read())
    f.write("x")
b = bytearray(([20, 90, 40][n]) << 20)
"""
    done = memit("-r", "3", "--", "/usr/bin/python3", "-c", code, str(count))
    assert count.read_text() == "xxx"
    assert len(done.stdout.splitlines()) == 1
    assert 90 < figures(done.stdout)[0] < 120


@pytest.mark.parametrize("code, status", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137),
                                          ("kill -TERM $$", 143)])
def test_status_is_the_commands(code, status):
    done = memit("--", "sh", "-c", code, status=status)
    figures(done.stdout)


def test_status_of_repeats(tmp_path):
    flag = tmp_path / "flag"
    memit("-r", "2", "--", "sh", "-c", "test -e %s && exit 0; touch %s; exit 5" % (flag, flag),
          status=5)


@pytest.mark.parametrize("command, status, word", [
    (["/nonexistent/program"], 127, b"No such file"), (["/etc/passwd"], 126, b"denied")])
def test_command_that_cannot_start(command, status, word):
    done = memit("--", *command, status=status)
    assert word in done.stderr and command[0].encode() in done.stderr and not done.stdout


WAITS = """
import signal, sys, time
signal.signal(signal.SIG%s, lambda *_: sys.exit(9))
print("ready", flush=True)
# A signal just before a sleep would be handled after it.
for _ in range(10000):
    time.sleep(0.1)
"""


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_signals_are_passed_on(name):
    tool = subprocess.Popen([TOOL, "memit", "--", "/usr/bin/python3", "-c", WAITS % name],
                            stdout=subprocess.PIPE, start_new_session=True)
    try:
        lines = Lines(tool.stdout)
        assert lines.next() == b"ready"
        tool.send_signal(getattr(signal, "SIG" + name))
        assert tool.wait(harness.PATIENCE) == 9
        figures(lines.next() + b"\n")
    finally:
        os.killpg(tool.pid, signal.SIGKILL) if tool.poll() is None else None
        tool.wait()
        tool.stdout.close()


IDLE = """
import sys
for line in sys.stdin:
    block = bytearray(b"x" * (int(line) << 20))
    del block
    print("done", flush=True)
"""


class Watched:
    """A process that grows and shrinks when told, by so many MiB."""

    def __init__(self, code=IDLE):
        self.process = subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.pid, self.lines = self.process.pid, Lines(self.process.stdout)
        self.grow(1)

    def grow(self, mib):
        self.process.stdin.write(b"%d\n" % mib)
        self.process.stdin.flush()
        assert self.lines.next() == b"done"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.end_process(self.process)


def attach(*arguments, before=()):
    tool = subprocess.Popen([*before, TOOL, "memit", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    said = Lines(tool.stderr).next()
    assert said and said.startswith(b"attached"), said
    return tool


def finish(tool, status=0):
    output, _ = tool.communicate(timeout=harness.PATIENCE)
    assert tool.returncode == status
    return output


def test_running_process():
    with Watched() as target:
        # What was before does not count.
        target.grow(200)
        before = harness.rss_at_rest(target.pid) / MIB
        tool = attach("-p", str(target.pid))
        target.grow(50)
        tool.send_signal(signal.SIGINT)
        peak, increment = figures(finish(tool))
        # bytearray(b"x" * n) holds the bytes and the bytearray at one time.
        assert abs(peak - increment - before) < 0.02
        assert 100 <= increment < 103
        assert target.process.poll() is None


def test_started_by_nohup():
    """It goes on when its terminal goes."""
    with Watched() as target:
        tool = attach("-p", str(target.pid), before=["env", "--ignore-signal=HUP"])
        tool.send_signal(signal.SIGHUP)
        target.grow(50)
        tool.send_signal(signal.SIGINT)
        assert 100 <= figures(finish(tool))[1] < 103


def test_duration():
    with Watched() as target:
        begin = time.monotonic()
        done = memit("-p", str(target.pid), "-d", "0.5", "-q")
        assert time.monotonic() - begin >= 0.5
        assert not done.stderr
        assert figures(done.stdout)[1] < 0.5


def test_process_that_ends_early():
    with Watched() as target:
        tool = attach("-p", str(target.pid), "-d", "600")
        target.grow(50)
        target.process.kill()
        output, errors = tool.communicate(timeout=harness.PATIENCE)
        assert tool.returncode == 0 and b"has ended, after" in errors
        assert 100 <= figures(output)[1] < 103


def test_running_process_and_its_children():
    code = IDLE.replace("    del block\n", "").replace(
        "    block", "    import os\n    r, w = os.pipe()\n    if os.fork():\n        os.read(r, 1)\n"
        "        print('done', flush=True)\n        continue\n    block").replace(
        "    print(\"done\", flush=True)\n", "    os.write(w, b'!')\n    import time\n"
        "    time.sleep(1000)\n")
    with Watched(code) as target:
        def kill_children():
            with open("/proc/%d/task/%d/children" % (target.pid, target.pid)) as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
        try:
            # Of these, one is there before: it counts in both.
            target.grow(30)
            tool = attach("-C", "-p", str(target.pid))
            target.grow(30)
            target.grow(30)
            tool.send_signal(signal.SIGTERM)
            peak, increment = figures(finish(tool))
            assert 90 < increment < 160 and peak - increment > 30, (peak, increment)
        finally:
            kill_children()


def test_no_process_to_watch():
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    for pid, word in [(1 << 22, b"no such process"), (2, b"kernel thread"), (zombie.pid, b"ended")]:
        done = memit("-p", str(pid), status=1)
        assert word in done.stderr and not done.stdout
    zombie.wait()


@pytest.mark.parametrize("arguments, word", [
    ([], b"say what"), (["-p", "1", "--", "true"], b"exclude"), (["-p", "x"], b"whole number"),
    (["-p", "0"], b"whole number"), (["-p", "1.5"], b"whole number"), (["-r", "0", "--", "true"], b"-r 0"),
    (["-r", "2", "-p", "1"], b"-r goes"), (["-d", "5", "--", "true"], b"-d goes"),
    (["-d", "nan", "-p", "1"], b"seconds"), (["-d", "-1", "-p", "1"], b"seconds"), (["-x"], b"--help")])
def test_wrong_command_lines(arguments, word):
    done = memit(*arguments, status=2)
    assert word in done.stderr and not done.stdout


def test_output_that_cannot_be_written():
    """It says so, as other reports do: a full disk, and a reader that has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    for out, said in (open("/dev/full", "w"), b"No space left on device"), (os.fdopen(writer, "w"), b"Broken pipe"):
        with out:
            done = subprocess.run([TOOL, "memit", "--", "true"], stdout=out, stderr=subprocess.PIPE,
                                  timeout=harness.PATIENCE)
        assert done.returncode == 1 and b"the report could not be written: " + said in done.stderr, done.stderr


def test_nothing_is_left_when_killed():
    from test_ends import assert_nothing_left, bpf_objects
    before = bpf_objects()
    with Watched() as target:
        tool = attach("-p", str(target.pid))
        tool.kill()
        tool.wait()
        tool.stdout.close()
        tool.stderr.close()
        assert_nothing_left(before)
        target.grow(10)
