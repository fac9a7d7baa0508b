# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory that can't be read, or is none of RSS: other allocators, swap, huge pages of hugetlbfs. It is named, with its
amount, and the balance is RSS to the page all the same."""
import contextlib
import glob
import os
import subprocess

import pytest

import harness
import heaps
from harness import MIB

PYTHON = "/usr/bin/python3"
KEPT = """
import ctypes, mmap, sys
kept = [str(i) * 20 for i in range(200000)]
large = [bytes(2000 + i % 500) for i in range(15000)]
"""
WAIT = """
print("ready", flush=True)
sys.stdin.read()
"""
SWAP_OUT = """
MADV_PAGEOUT = 21
madvise = ctypes.CDLL(None, use_errno=True).madvise
for line in open("/proc/self/maps"):
    words = line.split()
    if words[1] == "rw-p" and (len(words) < 6 or words[5] == "[heap]"):
        begin, end = (int(word, 16) for word in words[0].split("-"))
        madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_PAGEOUT)
"""
HUGE = """
MAP_HUGETLB = 0x40000
huge = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
huge[0], huge[2 << 20] = 1, 1
"""


@contextlib.contextmanager
def running(program, **environment):
    with subprocess.Popen([PYTHON, "-c", KEPT + program + WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=dict(os.environ, **environment)) as target:
        try:
            assert target.stdout.readline() == b"ready\n"
            yield target.pid
        finally:
            target.kill()


def status(pid, key):
    """Bytes."""
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(key + ":"))


@pytest.mark.parametrize("malloc", ["pymalloc", "malloc"])
@pytest.mark.parametrize("library, name", [("libjemalloc.so.2", "jemalloc"), ("libtcmalloc_minimal.so.4", "tcmalloc"),
                                           ("libmimalloc.so.[23]", "mimalloc")])
def test_allocator(library, name, malloc):
    """One that a service is started with: opaque, by name; what CPython's own pools have is told all the same."""
    found = glob.glob("/usr/lib/*-linux-gnu/" + library)
    assert found, library + " is missing: tools/install-deps test"
    with running("", LD_PRELOAD=found[0], PYTHONMALLOC=malloc) as pid:
        look = heaps.look(pid)
    assert look.data["opaque"] == name
    assert look.data["allocator"] == ("pymalloc+" + name if malloc == "pymalloc" else name)
    assert "Memory of %s can't be read" % name in look.verdict
    opaque = look.balance["anonymous_other"]
    # 15,000 of 2,000 to 2,500 bytes are nobody's pools'.
    assert opaque >= 32 * MIB, look.balance
    assert (look.live() >= 20 * MIB) == (malloc == "pymalloc"), look.balance
    assert look.balance["unexplained"] <= look.rss / 100, look.balance


@contextlib.contextmanager
def swap_file(folder):
    path = os.path.join(folder, "swap")
    with open(path, "wb") as f:
        os.fchmod(f.fileno(), 0o600)
        os.posix_fallocate(f.fileno(), 0, 256 * MIB)
    try:
        subprocess.run(["mkswap", "-q", path], check=True)
        on = subprocess.run(["swapon", path], stderr=subprocess.PIPE, text=True)
        if on.returncode:
            pytest.skip("this machine takes no swap file: " + on.stderr.strip())
        try:
            yield
        finally:
            subprocess.run(["swapoff", path], check=True)
    finally:
        os.unlink(path)


def test_swapped_out(tmp_path):
    """It is counted, and left where it is, but for the interpreter's own structures; the verdict says that it was not
    read."""
    with swap_file(str(tmp_path)), running(SWAP_OUT) as pid:
        before = status(pid, "VmSwap")
        assert before >= 40 * MIB
        for options in (), ("--pause",):
            look = heaps.look(pid, *options)
            assert abs(look.data["swapped_bytes"] - before) <= MIB // 4
            assert "%.1f MiB more are swapped out" % (look.data["swapped_bytes"] / MIB) in look.verdict, look.verdict
        assert before - status(pid, "VmSwap") <= MIB // 4


@contextlib.contextmanager
def huge_pages(count):
    path = "/proc/sys/vm/nr_hugepages"
    with open(path) as f:
        before = int(f.read())
    try:
        with open(path, "w") as f:
            f.write(str(before + count))
        with open(path) as f:
            if int(f.read()) < before + count:
                pytest.skip("this machine has no room for huge pages of hugetlbfs")
        yield
    finally:
        with open(path, "w") as f:
            f.write(str(before))


def test_huge_pages_of_hugetlbfs():
    """The kernel does not count them in RSS: they disturb nothing."""
    with huge_pages(4), running(HUGE) as pid:
        assert status(pid, "HugetlbPages") == 4 * MIB
        look = heaps.look(pid)
        assert look.holder("__main__.kept")["entries"] == 200000
        assert look.balance["unexplained"] <= look.rss / 100, look.balance
