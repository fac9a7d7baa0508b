# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a profiler has in the kernel: its BPF maps and global variables, found by the descriptors that it
holds."""
import contextlib
import json
import mmap
import os
import re
import subprocess

import pytest

import harness
from serving import take_descriptor


def bpftool(*words):
    """What bpftool says. It fails where an object goes while it lists them: then again."""
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin")
    said = []

    def runs():
        done = subprocess.run(["bpftool", "-j", *map(str, words)], stdout=subprocess.PIPE, env=env)
        said.append(done.stdout)
        return done.returncode == 0
    harness.until(runs, "listed by bpftool %s" % " ".join(map(str, words)))
    return json.loads(said[-1] or "[]")


def maps(pid):
    """(descriptor, what bpftool says of it) of each map that the process holds."""
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
                found = re.search(r"^map_id:\s*(\d+)", f.read(), re.M)
        except FileNotFoundError:
            continue  # closed meanwhile
        if found:
            yield int(fd), bpftool("map", "show", "id", found.group(1))


def attached(pid):
    """Names of all that programs of the process are attached to: of a tracepoint where the kernel tells it, else
    of the program."""
    names = set()
    for fd in os.listdir("/proc/%d/fdinfo" % pid):
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
                text = f.read()
        except FileNotFoundError:
            continue  # closed meanwhile
        number = re.search(r"^link_id:\s*(\d+)", text, re.M)
        if number:
            link = bpftool("link", "show", "id", number.group(1))
            names.add(link.get("tp_name") or link.get("tracepoint") or
                      bpftool("prog", "show", "id", link["prog_id"])["name"])
    return names


def at_all_calls(pid):
    """Those among them that all system calls of the host pass, which takes them the slower, traced path."""
    return {name for name in attached(pid) if "sys_exit" in name or "sys_enter" in name or "syscall" in name}


def keys(pid, name):
    """The keys of a hash that the process holds, as bytes."""
    number, = {known["id"] for _, known in maps(pid) if known.get("name") == name}
    return [bytes(int(byte, 16) for byte in entry["key"]) for entry in bpftool("map", "dump", "id", number)]


@contextlib.contextmanager
def variable(pid, name):
    """The 32-bit words of a global variable of its BPF programs, to be read and written."""
    (fd, known), = ((fd, known) for fd, known in maps(pid) if known.get("name", "").endswith(".bss"))
    types = {t["id"]: t for t in bpftool("btf", "dump", "id", known["btf_id"])["types"]}
    variables, = (t["vars"] for t in types.values() if t["kind"] == "DATASEC" and t["name"] == ".bss")
    place, = (v for v in variables if types[v["type_id"]]["name"] == name)
    copy = take_descriptor(pid, fd)
    with mmap.mmap(copy, known["bytes_value"]) as memory, memoryview(memory) as whole, \
            whole[place["offset"]:place["offset"] + place["size"]] as part, part.cast("I") as words:
        os.close(copy)
        yield words


@contextlib.contextmanager
def limited(bytes_):
    """A control group that may take so much memory: (folder, its file of members)."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        base, limit = "/sys/fs/cgroup", "memory.max"
        with open("/sys/fs/cgroup/cgroup.subtree_control") as f:
            usable = "memory" in f.read().split()
    else:
        base, limit = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        usable = os.path.isdir(base)
    folder = os.path.join(base, "pymem-test.%d" % os.getpid())
    if not usable or os.geteuid() != 0:
        pytest.skip("no control groups of memory here")
    try:
        os.mkdir(folder)
    except OSError as e:
        pytest.skip("no control groups of memory here: %s" % e.strerror)
    try:
        with open(os.path.join(folder, limit), "w") as f:
            f.write(str(bytes_))
        yield os.path.join(folder, "cgroup.procs")
    finally:
        def gone():
            with contextlib.suppress(OSError):
                os.rmdir(folder)
            return not os.path.exists(folder)
        harness.until(gone, "without members")
