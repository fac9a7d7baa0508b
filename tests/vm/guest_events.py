# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of a guest of what its kernel tells beside RSS: memory system calls, --events, the memory of control groups, kills."""
import contextlib
import glob
import lzma
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import types

import harness
import kernel_side
import memory_table
import test_cache
import test_extras
import test_kernel
import test_last_words
import test_memory_cgroup
import test_memory_high
import test_reclaim
import test_vm_calls
from guest_common import CAPABILITIES, PYTHON, comment, unstarved, with_memory

EVENTS = "reclaim,cache,kernel,huge,swap,external"


def vm_calls():
    """All memory system calls, on their lines, at the kernel's functions: all of these kernels let programs be
    attached there. Nothing is attached where all system calls pass."""
    assert test_vm_calls.can(test_vm_calls.FUNCTIONS)
    with harness.Target(PYTHON, "vm_calls") as target, harness.Tool("-p", target.pid) as tool:
        tool.attached()
        assert "rss_stat" in kernel_side.attached(tool.process.pid)
        assert not kernel_side.at_all_calls(tool.process.pid)
        target.go()
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
        assert target.end() == 0, "the program must not notice"
    report.check_conservation(target.pid)
    test_vm_calls.check(report, target, dict(test_vm_calls.TRUTH, **test_vm_calls.ADVICE))
    assert not test_vm_calls.advised(report)


def preempts():
    with open("/proc/cmdline") as f:
        return "preempt=full" in f.read().split()


def preempted():
    """Programs are preempted, at the ends of functions, and from 7.0 on at tracepoints, by threads of which RSS changes:
    no change is lost by that, and the end of each process is seen. For a kernel with preempt=full (VM_APPEND)."""
    assert preempts(), "VM_APPEND=preempt=full"
    for _ in range(3):
        storm_on_one_cpu()


def storm_on_one_cpu():
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "calls_storm.py")
    with contextlib.ExitStack() as stack:
        storms = []
        for _ in range(6):
            storm = subprocess.Popen(PYTHON + [program, "800"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.callback(harness.end_process, storm)
            os.sched_setaffinity(storm.pid, {0})
            assert storm.stdout.readline() == b"ready\n"
            storms.append(storm)
        tool = stack.enter_context(harness.Tool("-p", ",".join(str(storm.pid) for storm in storms)))
        tool.attached()
        for storm in storms:
            storm.stdin.write(b"x\n")
            storm.stdin.flush()
        for storm in storms:
            storm.wait(harness.PATIENCE)
        tool.process.wait(harness.PATIENCE)
        report = tool.report()
    comment("notes: %s" % "; ".join(report.data["notes"]))
    touched = 0
    for storm in storms:
        image = report.image(storm.pid)
        assert image["exited"], storm.pid
        report.check_conservation(storm.pid)
        assert image["lost_bytes"].get("recursion", 0) == 0, image["lost_bytes"]
        touched += sum(line["grown_bytes"] for line in image["lines"] if line["function"] == "work")
        calls = sum(line.get("vm_calls", {}).get("mmap", {}).get("calls", 0) for line in image["lines"])
        comment("PID %d: %d calls of mmap are some line's, of 800" % (storm.pid, calls))
    assert touched >= 6 * 800 * harness.PAGE, touched


def library(least):
    """A file on the host's disk, the smallest with so many bytes: a guest's own files are in memory. A guest that does not see
    the host's files has one that is made for it."""
    made = os.environ.get("PYMEM_GUEST_FILE")
    if made:
        assert os.path.getsize(made) >= least, made
        return made
    with os.scandir("/usr/lib/x86_64-linux-gnu") as entries:
        found = [(e.stat().st_size, e.path) for e in entries if e.is_file(follow_symlinks=False)]
    return min(pair for pair in found if pair[0] >= least)[1]


def page_cache():
    """What a line brings into the page cache, to the page, whatever the size of this kernel's folios: a file of 64 MiB at least,
    read cold, and nothing where it is read again; what of it is there when half of it was dropped."""
    cached(library(64 << 20), ["--events", "cache"])


def cached(path, options, before=()):
    with harness.Target(PYTHON, "caches_one", arguments=(path,)) as target, \
            harness.Tool("-p", target.pid, *options, before=before) as tool:
        tool.attached()
        truth = target.go()
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
        assert target.end() == 0
    image = report.image(target.pid)
    test_cache.check_sums(image)
    file = test_cache.named(image, os.path.basename(path))
    size = os.path.getsize(path)
    assert truth["brought"] >= size and truth["again"] == 0 and file["bytes"] == truth["brought"], (file, truth)
    assert file["there_bytes"] == truth["there"] < truth["brought"], (file, truth)
    assert file["line"]["line"] == harness.labels(target.path)["read"], file
    # Whoever reads pays: the program has been in one group since it began.
    assert file["own_group_bytes"] == file["bytes"] and file["other_group_bytes"] == 0, file
    comment("page cache: %d bytes, %d there" % (file["bytes"], file["there_bytes"]))


@contextlib.contextmanager
def without_khugepaged():
    """An emulator takes so long that khugepaged comes by, and puts together what the program meant to have small."""
    path = "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"
    with open(path) as f:
        before = f.read()
    try:
        with open(path, "w") as f:
            f.write("3600000")
        yield
    finally:
        with open(path, "w") as f:
            f.write(before)


def huge_pages():
    """Huge pages that become resident as a whole, and those that a line puts together (from 6.1 on)."""
    with without_khugepaged():
        truth, image, target = test_extras.run(types.SimpleNamespace(command=PYTHON), "huge_filled", "huge")
    test_extras.check_huge(truth, image, target)
    comment("huge pages: %r, collapse: %s" % (image["huge"], "refused" if truth["collapsed"] else "done"))


@contextlib.contextmanager
def swap(size=64 << 20):
    """Swap in a file: by a loop device, since the guest's only disks are others' folders and memory."""
    if not os.path.exists("/sys/module/loop"):
        load_loop()
    with tempfile.NamedTemporaryFile(dir="/tmp") as f:
        os.posix_fallocate(f.fileno(), 0, size)
        device = subprocess.run(["losetup", "--find", "--show", f.name], check=True,
                                stdout=subprocess.PIPE).stdout.decode().strip()
        try:
            subprocess.run(["mkswap", device], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["swapon", device], check=True)
            yield
        finally:
            subprocess.run(["swapoff", device], check=True)
            subprocess.run(["losetup", "--detach", device], check=True)


def load_loop():
    """The module of loop devices, which are no part of these kernels."""
    cache = os.environ.get("PYMEM_CACHE") or os.path.expanduser("~/.cache/pymem-bpf")
    module, = glob.glob("%s/kernels/*/**/modules/%s/kernel/drivers/block/loop.ko*" % (cache, os.uname().release),
                        recursive=True)
    with (lzma.open(module) if module.endswith(".xz") else open(module, "rb")) as packed, \
            tempfile.NamedTemporaryFile(dir="/tmp", suffix=".ko") as plain:
        plain.write(packed.read())
        plain.flush()
        subprocess.run(["busybox", "insmod", plain.name], check=True)


def swapped():
    """What goes to swap and comes back, on the line that brings it back, and the wait for it; by stack, of a recording."""
    system = types.SimpleNamespace(command=PYTHON)
    with swap(), tempfile.TemporaryDirectory() as folder:
        test_extras.check_swap(system)
        test_extras.check_swap_stacks(system, pathlib.Path(folder))
        if test_extras.sees_touches():
            test_extras.check_in_swap(system)
        else:
            comment("of which lines what is in swap is: not here, --touched needs 6.2 or newer on x86-64")


def reclaims():
    """A limit of a control group, a file that is larger: each line has the stalls that the kernel's own delay accounting has."""
    with_memory()
    truth = test_reclaim.check_lines(types.SimpleNamespace(command=PYTHON), library(test_reclaim.FILE))
    comment("stalls, nanoseconds, of that clock: %r" % truth)


def memory_high():
    """The sleep of a group beyond its memory.high, as long as the program itself says, on its line."""
    with open("/sys/fs/cgroup/cgroup.subtree_control", "w") as f:
        f.write("+memory")
    found, truth = test_memory_high.check_high(types.SimpleNamespace(command=PYTHON))
    comment("memory.high: %r; passed, slept, memory.pressure: %r" % (found, truth))


def taken():
    """What another task reclaims of a program, and that it was this one."""
    with_memory()
    gone = test_extras.check_external(types.SimpleNamespace(command=PYTHON), library(16 << 20),
                                      ("--touched",) if test_extras.sees_touches() else ())
    assert gone >= 1 << 20, "the kernel took %d bytes" % gone
    comment("taken: %d bytes" % gone)


def few_capabilities():
    """`check`, and all events, without CAP_SYS_ADMIN: the kernel then lists no modules, in which libbpf looks for what the
    kernel itself does not have."""
    names = [name for name in CAPABILITIES.split(",") if name != "+sys_resource" or memlock_limits_maps()]
    before = ["setpriv", "--bounding-set", "-all," + ",".join(names)]
    done = subprocess.run(before + [harness.TOOL, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    comment(done.stdout.decode("utf-8", "replace"))
    assert done.returncode == 0, "status %d" % done.returncode
    with harness.Target(PYTHON, "tables") as target, harness.Tool("-p", target.pid, "--events", EVENTS, before=before) as tool:
        tool.attached()
        truth = target.go(tool.polled)
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
        assert target.end() == 0
    report.check_conservation(target.pid)
    image = report.image(target.pid)
    test_kernel.check_tables(image, target, truth)
    test_cache.check_sums(image)
    for name in ("huge", "swap"):
        test_extras.check_sums(image, name)
    assert image["taken"]["bytes"] == -image["lost_bytes"]["other-task"], image["taken"]
    assert image["stalls"] is not None
    cached(library(16 << 20), ["--events", EVENTS], before)


def release():
    """The kernel's, as far as features depend on it."""
    return tuple(map(int, os.uname().release.split(".")[:2]))


def memlock_limits_maps():
    """Before 5.11 memory of maps counts against RLIMIT_MEMLOCK."""
    return release() < (5, 11)


def memory_cgroup():
    """What a group of version 2 uses, by kind, beside what lines added; the table of docs/EVENTS.md has it. What kernels
    before 6.1 do not tell of objects is in the remainder: all else is checked there as well."""
    with_memory()
    unstarved(balance, types.SimpleNamespace(command=PYTHON), library(24 << 20))


def balance(system, path):
    # Open all the time: of a folder that is shared without a cache of names, a file's pages go with its last user.
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        truth, group = test_memory_cgroup.check_all_kinds(system, path, release() >= (6, 1))
    for row in memory_table.rows_of(group):
        comment(row)
    comment("memory of a group: %r" % truth)


def kernel_memory():
    """Page tables by line, and their sum to the byte; sockets, pipes and threads, as far as this kernel tells of
    them."""
    system = types.SimpleNamespace(command=PYTHON)
    unstarved(test_kernel.test_page_tables, system)
    truth, target, image, whole = test_kernel.counted(system, False, 30)
    comment("kernel memory: %r%s" % (image["kernel_memory"], "" if whole else ", in part"))
    # Where all is slow, an interrupt comes more often while a program runs.
    test_kernel.check_objects(truth, target, image, whole, 20)


def last_words():
    """Kills in control groups of version 2, by another process, and a crash: each with its line."""
    with_memory()
    system = types.SimpleNamespace(command=PYTHON)
    unstarved(test_last_words.test_out_of_memory, system)
    unstarved(test_last_words.test_group, system)
    unstarved(test_last_words.test_killed_by_another, system)
    unstarved(test_last_words.test_crash, system, "crash", "SIGSEGV", 1)
    unstarved(test_last_words.test_ordinary_end, system, "end")


@contextlib.contextmanager
def little_memory(left=192 << 20):
    """Leaves so many bytes for others: an emulator takes long to fill memory page by page."""
    with open("/proc/meminfo") as f:
        available = int(re.search(r"MemAvailable:\s+(\d+)", f.read())[1]) << 10
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100%", "none", folder], check=True)
        try:
            with open(os.path.join(folder, "held"), "wb") as f:
                os.posix_fallocate(f.fileno(), 0, available - left)
                yield
        finally:
            subprocess.run(["umount", folder], check=True)


def last_words_of_host():
    """The OOM killer of the host, without any control group."""
    unstarved(test_last_words.everywhere, types.SimpleNamespace(command=PYTHON), little_memory)


CHECKS = (vm_calls, preempted, page_cache, huge_pages, swapped, reclaims, memory_high, taken, few_capabilities, memory_cgroup, kernel_memory,
          last_words, last_words_of_host)
