# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""More than one control group: ten thousand of them, of which many have a process, and in which of two a file's pages
are accounted. The truth is the kernel's own: mincore(), and memory.stat of each group."""
import contextlib
import os
import re
import signal
import time

import pytest

import harness
import kernel_side
import test_cache
import test_memory_cgroup
from harness import KIB, MIB, Target, Tool

# One group in each STEP gets a child: more than the 1024 groups that are read (user/os/cgroup_book.h).
GROUPS, CHILDREN, STEP, READ = 10000, 1100, 9, 1024
# As many groups as a machine makes in so many seconds, where it does not make all.
MAKING_SECONDS = 20
FILE = 16 * MIB


@contextlib.contextmanager
def made(names, seconds=MAKING_SECONDS):
    """A folder of control groups with these names: (folder, how many there are)."""
    with kernel_side.limited(64 << 30) as members:
        folder, count = os.path.dirname(members), 0
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, "cgroup.subtree_control"), "r+") as f:
            f.write("+memory")
        until = time.monotonic() + seconds
        try:
            for name in names:
                if time.monotonic() > until:
                    break
                os.mkdir(os.path.join(folder, name))
                count += 1
            yield folder, count
        finally:
            for name in names[:count]:
                path = os.path.join(folder, name)
                harness.until(lambda: test_memory_cgroup.removed(path), "without members")


def highest(pid):
    """Bytes that the process had at most."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^VmHWM:\s*(\d+)", f.read(), re.M)[1]) * KIB


def accounted(group):
    """Bytes of files that are accounted to the group, and to none below it, says the kernel."""
    with open(os.path.join(group, "memory.stat")) as f:
        found = dict(re.findall(r"^(\w+) (\d+)$", f.read(), re.M))
    # Version 1 says "cache", version 2 "file"; both have shared memory in it, of which there is none here.
    return int(found["cache"] if "cache" in found else found["file"])


def inside(system, folder, name):
    """The command of an interpreter in that group."""
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', os.path.join(folder, name, "cgroup.procs"), *system.command]


def measured(system, *options, groups=GROUPS, children=CHILDREN):
    with made(["g%d" % i for i in range(groups)]) as (folder, count):
        print("# %d control groups" % count)
        if count // STEP < children and groups == GROUPS:
            pytest.skip("only %d control groups could be made in time: too few to be more than the %d that are read" % (count, READ))
        children = min(children, count // STEP)
        assert children, count
        with Target(system.command, "cgroups_many", arguments=(folder, str(children), str(STEP))) as target, \
                Tool("-p", target.pid, "--memory", "cgroup", *options) as tool:
            tool.attached()
            first = highest(tool.process.pid)
            truth = target.go(tool.polled)
            tool.polled()
            most = highest(tool.process.pid) - first
            tool.process.send_signal(signal.SIGINT)
            found = tool.report()
            assert target.end() == 0
    assert not truth["failed"], truth
    return target, found, truth["pids"], most


def check_each(target, found, pids):
    """Each child has its memory on its line, wherever it was. What it maps of files beside that is another kind."""
    line = harness.labels(target.path)["child"]
    for pid in pids:
        found.check_conservation(pid)
        grown = sum(row["anon_bytes"] for row in found.image(pid)["lines"] if row["line"] == line)
        assert MIB <= grown <= MIB + 64 * KIB, (pid, grown)


def test_many(system):
    """A program that goes through ten thousand groups and leaves children in 1100 of them: each child is in the group
    in which it began, the groups add up, and of how many nothing is said is said."""
    target, found, pids, most = measured(system, "--ended-processes", str(2 * CHILDREN))
    check_each(target, found, pids)
    groups = found.data["control_groups"]
    for group in groups:
        test_memory_cgroup.check_sums(group)
    # The program's own group is the first one.
    known = min(len(pids), READ - 1)
    ours = [group for group in groups if "/pymem-test." in group["path"]]
    assert len(groups) == known + 1 and len(ours) == known, (len(groups), len(ours))
    assert all(group["ended"] == 1 and group["processes"] == 0 for group in ours), ours[:3]
    for group in ours:
        assert group["rows"]["anonymous"]["lines_bytes"] >= MIB, group
    beyond = len(pids) - known
    notes = [note for note in found.data["notes"] if "control group" in note]
    assert bool(notes) == bool(beyond) and (not beyond or notes[0].startswith("%d process" % beyond)), notes
    # What it keeps of a process and its group.
    print("# %.1f KiB of each process" % (most / KIB / len(pids)))
    assert most <= 32 * MIB, most


@pytest.mark.parametrize("both", (False, True))
def test_first_reader(system, both):
    """Two programs in a group each read one file. The first one brings it, and its group pays for all that the second
    one finds there; the second one, which may be watched alone, has what had gone meanwhile."""
    with test_cache.folder() as where, made(["a", "b"]) as (folder, _):
        path = os.path.join(where, "shared.bin")
        with open(path, "wb") as f:
            f.write(os.urandom(FILE))
            f.flush()
            os.fsync(f.fileno())
        with contextlib.ExitStack() as stack:
            programs = []
            for name in ("a", "b"):
                command = inside(system, folder, name)
                programs.append(stack.enter_context(Target(command, "caches_one", arguments=(path,))))
            watched = programs if both else programs[1:]
            tool = stack.enter_context(Tool("-p", ",".join(str(one.pid) for one in watched), "--memory", "cgroup"))
            tool.attached()
            before = [accounted(os.path.join(folder, name)) for name in ("a", "b")]
            truths = [program.go() for program in programs]
            after = [accounted(os.path.join(folder, name)) for name in ("a", "b")]
            tool.process.send_signal(signal.SIGINT)
            found = tool.report()
            assert all(program.end() == 0 for program in programs)
    first, second = truths
    # The first one drops half of what it brought, and the second one does so with what it has brought in its place.
    assert first["brought"] == FILE and 0 < second["brought"] < FILE, truths
    room = 256 * KIB
    grown = [end - start for start, end in zip(before, after)]
    assert abs(grown[0] - first["there"]) <= room and abs(grown[1]) <= room, (grown, truths)
    for program, truth in zip(watched, truths if both else truths[1:]):
        image = found.image(program.pid)
        test_cache.check_sums(image)
        file = test_cache.named(image, "shared.bin")
        assert file["bytes"] == file["own_group_bytes"] == truth["brought"], (file, truth)
        assert file["other_group_bytes"] == 0, file
    assert len(found.data["control_groups"]) == len(watched), found.data["control_groups"]
    for group in found.data["control_groups"]:
        test_memory_cgroup.check_sums(group)
        at = "ab".index(group["path"][-1])
        left = first["there"] if at == 0 else 0
        row = group["rows"]["files"]
        test_memory_cgroup.close(row["end_bytes"] - row["start_bytes"], left, room + group["batch_bytes"])
        test_memory_cgroup.close(row["lines_bytes"], left, room)


def test_thread_elsewhere(system):
    """A thread that is in another group than its process (version 1 allows that): what it reads is accounted to the
    group of the process, and the report says that it is another one than the thread's."""
    with test_cache.folder() as where, made(["a", "b"]) as (folder, _):
        if not os.path.exists(os.path.join(folder, "a", "tasks")):
            pytest.skip("only version 1 lets a thread be in another group of memory than its process")
        path = os.path.join(where, "shared.bin")
        with open(path, "wb") as f:
            f.write(os.urandom(FILE))
            f.flush()
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with Target(inside(system, folder, "a"), "caches_thread", arguments=(path,)) as target, \
                Tool("-p", target.pid, "--events", "cache") as tool:
            tool.attached()
            before = [accounted(os.path.join(folder, name)) for name in ("a", "b")]

            def move():
                with open(os.path.join(folder, "b", "tasks"), "w") as f:
                    f.write(str(target.pause["tid"]))
            target.go(move)
            after = [accounted(os.path.join(folder, name)) for name in ("a", "b")]
            tool.process.send_signal(signal.SIGINT)
            found = tool.report()
            assert target.end() == 0
    grown = [end - start for start, end in zip(before, after)]
    image = found.image(target.pid)
    test_cache.check_sums(image)
    file = test_cache.named(image, "shared.bin")
    assert file["bytes"] == FILE and file["line"]["line"] == harness.labels(target.path)["read"], file
    assert file["own_group_bytes"] + file["other_group_bytes"] == FILE, file
    # Whose it is, is what the kernel says: it goes by the process, or by the thread.
    assert max(grown) >= FILE - MIB and min(grown) <= MIB, grown
    assert file["other_group_bytes"] == (FILE if grown[0] > grown[1] else 0), (file, grown)
