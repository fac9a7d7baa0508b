# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""No process is left out silently: children of a process that is not identified yet, messages for which
there was no room, Pythons that no message announced, PIDs that are reused.

The profiler is stopped while such things happen, so that races do not depend on chance.
"""
import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import time

import pytest

import harness
import kernel_side
from harness import MIB, Target, Tool

# A process that forks `argv[1]` children, which say who they are, wait, and grow.
FAMILY = """
import os, sys, time
go, done = os.pipe(), os.pipe()
children = []
for i in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os.close(go[1])
        os.read(go[0], 1)
        block = bytearray(2 << 20)
        os.write(done[1], b'x')
        time.sleep(1000)
        os._exit(0)
    children.append(child)
    time.sleep(float(sys.argv[2]))
os.write(1, (' '.join(map(str, children)) + '\\n').encode())
os.read(0, 1)
os.close(go[0]); os.close(go[1])
for child in children:
    os.read(done[0], 1)
os.write(1, b'done\\n')
os.read(0, 1)
for child in children:
    os.kill(child, 9); os.wait()
"""
GROWING_LINE = 10
EXEC = ("import os, sys\nos.write(1, b'{\"pid\": %d}\\n' % os.getpid())\nos.read(0, 3)\n"
        "os.execv(sys.executable, [sys.executable, '-c', os.environ['FAMILY']] + sys.argv[1:])\n")


@contextlib.contextmanager
def program(command, code, *arguments):
    """A Python program with pipes to it, ended with all of its group."""
    process = subprocess.Popen(command + ["-c", code] + list(map(str, arguments)), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True,
                               env=harness.environment(FAMILY=FAMILY))
    try:
        yield process, harness.Lines(process.stdout)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def tell(process, text):
    process.stdin.write(text)
    process.stdin.flush()


@contextlib.contextmanager
def stopped(tool):
    """While the profiler is stopped."""
    tool.process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + harness.PATIENCE
    while harness.state(tool.process.pid) != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield
    tool.process.send_signal(signal.SIGCONT)


def unexamined(report):
    """How many programs the report says ended before anyone could look at them."""
    return sum(int(n.split()[0]) for n in report.data["notes"] if "could be examined" in n)


def grow(process, lines, tool):
    """Lets the family grow; the report then."""
    time.sleep(2)  # what is to be identified has been
    tool.polled(15)
    tell(process, b"G")
    assert lines.next() == b"done"
    tool.process.send_signal(signal.SIGINT)
    return tool.report()


def check_children(report, children):
    for pid in children:
        report.check_conservation(pid)
        # A child also maps again the file pages that fork left out.
        grown = sum(r["anon_bytes"] for r in report.rows(pid, "<string>", GROWING_LINE))
        assert abs(grown - 2 * MIB) <= harness.TOLERANCE, (pid, report.top(pid))


def test_forked_before_its_parent_is_identified(system):
    """The exec and the forks after it are read in one go: the children are identified too."""
    with program(system.command, EXEC, 4, 0) as (process, lines):
        lines.next()
        with Tool("-p", process.pid) as tool:
            tool.attached()
            with stopped(tool):
                tell(process, b"GO\n")
                children = list(map(int, lines.next().split()))
            report = grow(process, lines, tool)
    check_children(report, children)


def test_forks_while_its_parent_is_identified(system):
    """A child that the kernel side does not walk is identified by itself, whatever is known of its
    parent by the time that its fork is read."""
    with program(system.command, EXEC, 150, 0.001) as (process, lines):
        lines.next()
        with Tool("-p", process.pid, "--ring-size", 16384) as tool:
            tool.attached()
            tell(process, b"GO\n")
            children = list(map(int, lines.next().split()))
            report = grow(process, lines, tool)
    check_children(report, children)


FULL = """
import os, sys, time
os.write(1, b'{"pid": %d}\\n' % os.getpid())
os.read(0, 3)
for i in range(1200):
    if os.fork() == 0: os._exit(0)
    os.wait()
""" + FAMILY.replace("import os, sys, time\n", "")


def test_forks_that_found_the_ring_full(system):
    """No message told of them: their records do."""
    with program(system.command, FULL, 3, 0) as (process, lines):
        lines.next()
        with Tool("-p", process.pid, "--ring-size", "64", "--max-processes", 2048, "--ended-processes", 2048) as tool:
            tool.attached()
            with stopped(tool):
                tell(process, b"GO\n")
                children = list(map(int, lines.next().split()))
            report = grow(process, lines, tool)
    assert any("messages about processes did not arrive" in n for n in report.data["notes"])
    for pid in children:
        report.check_conservation(pid)
        image, rows = report.image(pid), report.rows(
            pid, "<string>", GROWING_LINE + FULL.count("\n") - FAMILY.count("\n"))
        # Its frames may have found no room in the ring either.
        grown = sum(r["anon_bytes"] for r in rows)
        assert abs(grown - 2 * MIB) <= harness.TOLERANCE or image["lost_bytes"]["undelivered"] >= 2 * MIB, \
            report.top(pid)
    named = set(report.pids()) | {s["pid"] for s in report.data["skipped"]}
    assert len(named) + unexamined(report) >= 1200 + 1 + 3


# Has a line of its own, then forks children with a code object each, the last one with two thousand, each in
# a stack of its own.
STACKS = """
import mmap, os
memory = mmap.mmap(-1, 2000 * mmap.PAGESIZE)
memory.madvise(mmap.MADV_NOHUGEPAGE)
touch = compile("memory[at] = 1\\n", "x", "exec")
def work(count):
    for i in range(count):
        exec(touch.replace(co_name="name%d" % i), {"memory": memory, "at": i * mmap.PAGESIZE})
os.write(1, b"begun\\n")
os.read(0, 1)
work(1)
os.write(1, b"worked\\n")
os.read(0, 1)
for count in [1] * 8 + [2000]:
    if os.fork() == 0:
        work(count)
        os._exit(0)
    os.wait()
os.write(1, b"done\\n")
os.read(0, 1)
"""
# struct pymem_stack_key begins with the image; struct code_key has it behind two addresses.
TABLES = {"stacks": 0, "vmcalls": 0, "codes": 16}


def images_in_tables(tool):
    """Of each table the images that it has something of."""
    return {name: {key[at:at + 4] for key in kernel_side.keys(tool.process.pid, name)}
            for name, at in TABLES.items()}


def test_tables_are_swept_of_what_nobody_knows(system):
    """Most of a child's stacks find no room in the ring, and its record none beside those of others. When it
    has ended the kernel's tables have nothing of it any more, and its places are free."""
    if system.version < (3, 8):
        pytest.skip("no code.replace()")
    with program(system.command, STACKS) as (process, lines):
        assert lines.next() == b"begun"
        with Tool("-p", process.pid, "--ring-size", "64", "--max-processes", 4) as tool:
            tool.attached()
            tell(process, b"G")
            assert lines.next() == b"worked"
            tool.polled()
            parent, = images_in_tables(tool)["codes"]
            with stopped(tool):
                tell(process, b"G")
                assert lines.next() == b"done"
                assert all(len(images_in_tables(tool)[name]) > 5 for name in ("stacks", "codes"))
            harness.until(lambda: all(images <= {parent} for images in images_in_tables(tool).values()), "swept")
            with kernel_side.variable(tool.process.pid, "places_used") as used:
                # In the order of enum pymem_table.
                assert list(used[:3]) == [len(kernel_side.keys(tool.process.pid, name)) for name in TABLES]
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
    report.check_conservation(process.pid)
    assert any("no room for its figures" in s["reason"] for s in report.data["skipped"]), report.data["skipped"]


@pytest.mark.host
def test_ended_unseen_on_the_host(system):
    """Under -a a program that ends before it is looked at is in no row: it is counted."""
    with Tool("-a") as tool:
        tool.attached()
        with stopped(tool):
            for _ in range(3):
                subprocess.run(system.command + ["-c", "pass"], check=True)
        tool.polled()
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
    assert unexamined(report) >= 3, report.data["notes"]


@pytest.mark.host
def test_forked_before_its_parent_is_found(system):
    """Under -a, of what a Python forked before it was tracked no message tells."""
    with Tool("-a") as tool:
        tool.attached()
        with stopped(tool), contextlib.ExitStack() as stack:
            process, lines = stack.enter_context(program(system.command, FAMILY, 3, 0))
            children = list(map(int, lines.next().split()))
            keep = stack.pop_all()
        with keep:
            report = grow(process, lines, tool)
    check_children(report, children)


# The kernel side tells of each mapping that may be a library, as of each exec. Far quicker than execs.
MAPPING = """
import mmap
with open("/bin/true", "rb") as f:
    for _ in range(3000):
        mmap.mmap(f.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
"""


@pytest.mark.host
def test_exec_that_found_the_ring_full(system):
    """Under -a, a Python whose exec found no room in the ring is found all the same."""
    with Tool("-a", "--ring-size", "64") as tool:
        tool.attached()
        with stopped(tool), contextlib.ExitStack() as stack:
            subprocess.run(system.command + ["-c", MAPPING], check=True)
            process, lines = stack.enter_context(program(system.command, FAMILY, 1, 0))
            children = list(map(int, lines.next().split()))
            keep = stack.pop_all()
        with keep:
            time.sleep(2)
            tool.polled(15)
            report = grow(process, lines, tool)
    assert any("messages about processes did not arrive" in n for n in report.data["notes"])
    check_children(report, children)


def test_child_that_execs_at_once(system):
    """Before its exec a child is what its parent is, not what it has become by the time that its
    fork is read."""
    code = ("import os\nos.write(1, b'{\"pid\": %d}\\n' % os.getpid())\nos.read(0, 3)\nchild = os.fork()\n"
            "if child == 0: os.execv('/bin/sleep', ['sleep', '30'])\n"
            "os.write(1, b'%d\\n' % child)\nos.read(0, 1)\nos.kill(child, 9)\n")
    with program(system.command, code) as (process, lines):
        lines.next()
        with Tool("-p", process.pid) as tool:
            tool.attached()
            with stopped(tool):
                tell(process, b"GO\n")
                child = int(lines.next())
                deadline = time.monotonic() + harness.PATIENCE
                while open("/proc/%d/comm" % child).read() != "sleep\n":
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            time.sleep(0.5)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
    parent, forked = report.image(process.pid), report.image(child)
    assert forked["ppid"] == process.pid
    assert forked["comm"] == parent["comm"] != "sleep"
    assert forked["cmdline"] == parent["cmdline"]


def test_refused_pids_are_in_the_report(system):
    with Target(system.command, "idle") as target, subprocess.Popen(["/bin/sleep", "30"]) as other:
        with subprocess.Popen(["/bin/true"]) as gone:
            gone.wait()
        with Tool("-p", "%d,%d,%d" % (target.pid, other.pid, gone.pid), "-d", "0.3") as tool:
            report = tool.report()
        other.kill()
    assert report.pids() == [target.pid]
    skipped = {s["pid"]: s for s in report.data["skipped"]}
    assert set(skipped) == {other.pid, gone.pid}
    assert "not Python" in skipped[other.pid]["reason"] and skipped[other.pid]["comm"] == "sleep"
    assert skipped[gone.pid]["reason"] == "no such process" and not skipped[gone.pid]["comm"]


def start_with_pid(pid, command):
    """Starts `command` as process `pid`, which is free."""
    class Arguments(ctypes.Structure):  # struct clone_args, include/uapi/linux/sched.h
        _fields_ = [(n, ctypes.c_uint64) for n in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
            "set_tid", "set_tid_size")]

    wanted = ctypes.c_int(pid)
    arguments = Arguments(exit_signal=signal.SIGCHLD, set_tid=ctypes.addressof(wanted), set_tid_size=1)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    got = syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if got == 0:
        try:
            os.execv(command[0], command)
        finally:
            os._exit(127)
    assert got == pid, os.strerror(ctypes.get_errno())


@pytest.mark.attack("figures of another process under one's own name",
                    "a process ends while it is examined, and its PID is used again")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="clone3 by its number on x86-64")
def test_pid_that_another_process_has(system):
    """The profile ends with the process that was asked for: another one of its number is not it."""
    with Target(system.command, "grow") as target, Tool("-p", target.pid) as tool:
        tool.attached()
        truth = target.go()
        with stopped(tool):
            target.process.kill()
            target.process.wait()
            start_with_pid(target.pid, ["/bin/sleep", "60"])
        try:
            report = tool.report()
        finally:
            os.kill(target.pid, signal.SIGKILL)
            os.waitpid(target.pid, 0)
    report.check_conservation(target.pid)
    assert len(report.images(target.pid)) == 1
    report.check_lines(target.pid, target.path, {"grow": {"grown": truth["lines"]["grow"]["grown"]}})


# Has /proc say that a process is another one than it is: as between two looks at a PID.
LIAR = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int openat(int dir, const char *name, int flags, ...)
{
	int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat");
	char text[4096], *at, *end;
	int fd = real(dir, name, flags, 0), copy, i;
	ssize_t n;

	if (fd < 0 || strcmp(name, "stat"))
		return fd;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	for (at = strrchr(text, ')') + 2, i = 3; i < 22; i++)
		at = strchr(at, ' ') + 1;
	copy = memfd_create("stat", 0);
	dprintf(copy, "%.*s%llu", (int)(at - text), text, strtoull(at, &end, 10) + SHIFT);
	dprintf(copy, "%s", end);
	lseek(copy, 0, SEEK_SET);
	return copy;
}
"""


@pytest.mark.parametrize("shift,status", [(0, 0), (1, 1)])
def test_pid_that_became_another_process(system, tmp_path, shift, status):
    """A PID is tracked together with the start time that was read with it, to a clock tick."""
    source, library = tmp_path / "liar.c", tmp_path / "liar.so"
    source.write_text(LIAR)
    subprocess.run(["gcc", "-shared", "-fPIC", "-DSHIFT=%d" % shift, "-o", str(library), str(source), "-ldl"],
                   check=True)
    with Target(system.command, "idle") as target:
        done = subprocess.run([harness.TOOL, "-p", str(target.pid), "-d", "0.2", "--format", "json"],
                              env=dict(os.environ, LD_PRELOAD=str(library)), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == status, done.stderr
    if status:
        assert re.search(rb"pid %d \(\S+\): has ended" % target.pid, done.stderr), done.stderr
    else:
        assert [p["pid"] for p in json.loads(done.stdout.decode())["processes"]] == [target.pid]
