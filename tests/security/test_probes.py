# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--lines puts breakpoints into a file: only into the one that is profiled, and only a few."""
import contextlib
import mmap
import os
import platform
import re
import signal
import subprocess
import sys

import pytest

import fake_python
import harness

HERE = os.path.dirname(os.path.abspath(__file__))
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the file is made for x86-64")


@pytest.fixture(scope="session")
def swapper(tmp_path_factory):
    program = str(tmp_path_factory.mktemp("swapper") / "swapper")
    subprocess.run(["cc", "-O2", "-o", program, os.path.join(HERE, "programs", "swapper.c")], check=True)
    return program


@contextlib.contextmanager
def mapped(swapper, *files):
    """A process that has the first file mapped. It runs at once when it may, as on an idle machine."""
    process = subprocess.Popen(["chrt", "-f", "10", swapper] + list(map(str, files)), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"mapped\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(harness.PATIENCE)
        process.stdout.close()


class Victim:
    """A file that this process runs, as far as the kernel can tell: it has it mapped executable, and its
    data writable. What is put into it shows."""

    def __init__(self, path):
        text = bytearray(b"\x90" * fake_python.CODE)
        text[fake_python.SEMAPHORE:fake_python.SEMAPHORE + 2] = b"\0\0"
        path.write_bytes(text)
        self.file = open(path, "rb")
        self.code = mmap.mmap(self.file.fileno(), fake_python.CODE, mmap.MAP_PRIVATE,
                              mmap.PROT_READ | mmap.PROT_EXEC)
        page = fake_python.SEMAPHORE & -mmap.PAGESIZE
        self.data = mmap.mmap(self.file.fileno(), mmap.PAGESIZE, mmap.MAP_PRIVATE,
                              mmap.PROT_READ | mmap.PROT_WRITE, offset=page)
        # Pages that are there, so that what is done to them is done at once.
        self.changed()

    def changed(self):
        """Offsets of what is not as it was."""
        found = [site for site in fake_python.SITES.values() if self.code[site] != 0x90]
        word = fake_python.SEMAPHORE % mmap.PAGESIZE
        if self.data[word:word + 2] != b"\0\0":
            found.append(fake_python.SEMAPHORE)
        return found


def notes_of(tool):
    tool.process.send_signal(signal.SIGINT)
    return tool.report().data["notes"]


@pytest.mark.attack("breakpoints in other users' programs",
                    "the name of the probes' file leads to another file whenever it is opened")
@pytest.mark.parametrize("whole_host", [True, False], ids=["-a", "-p"])
@pytest.mark.parametrize("padding", [9000, 300000])
def test_file_replaced_meanwhile(swapper, tmp_path, whole_host, padding):
    """The more notes there are to be read, the more time has the attacker; what is too long is refused."""
    victim = Victim(tmp_path / "victim")
    library = tmp_path / "libx.so"
    library.write_bytes(fake_python.build(padding=padding))
    os.symlink(tmp_path / "victim", tmp_path / "other")
    with mapped(swapper, library, tmp_path / "other") as attacker:
        with harness.Tool("--lines", *(["-a"] if whole_host else ["-p", attacker.pid])) as tool:
            tool.attached()
            tool.polled()
            changed = victim.changed()
            if padding < 10000:
                assert harness.attached_links(tool.process.pid) >= len(fake_python.PROBES), "not attached at all"
            notes_of(tool)
    assert not changed, "changed in another program: %s" % ", ".join(map(hex, changed))


@pytest.mark.attack("breakpoints in other users' programs",
                    "the name of the probes' file leads to another file since it was mapped")
def test_file_replaced_before(swapper, tmp_path):
    """Nor does it help to give the file its inode's number elsewhere: what is attached is what is mapped."""
    victim = Victim(tmp_path / "victim")
    library = tmp_path / "libx.so"
    library.write_bytes(fake_python.build())
    with mapped(swapper, library) as attacker:
        os.rename(tmp_path / "victim", library)
        with harness.Tool("--lines", "-p", attacker.pid) as tool:
            tool.attached()
            changed = victim.changed()
            assert harness.attached_links(tool.process.pid) >= len(fake_python.PROBES)
            assert not [n for n in notes_of(tool) if "could not be attached" in n]
    assert not changed


FUNCTIONS = set(fake_python.PROBES) - {"line"}
QUIET = 0x6100  # of a probe that nobody wants


@pytest.mark.attack("breakpoints in other users' programs",
                    "a file with function probes and no others, whose name leads to another file; and one whose other "
                    "probes are in the way of those that --functions wants")
@pytest.mark.parametrize("lines, version, others", [
    (0, 0x030c00f0, ()), (1, 0x030b00f0, (QUIET,)), (1, 0x030b00f0, (fake_python.SITES["line"],)),
    (1, 0x030b00f0, (0, 1 << 40))], ids=["functions", "quiet", "the-same", "nowhere"])
def test_function_probes(swapper, tmp_path, lines, version, others):
    """What is attached is in the file that is mapped: the functions' probes, and at most one place more, which is
    one that the file has named as a probe. Without such a place nothing is attached, and that is said: the line
    probe would be a trap for each line."""
    victim = Victim(tmp_path / "victim")
    library = tmp_path / "libx.so"
    library.write_bytes(fake_python.build(lines=lines, version=version, others=others, padding=9000))
    inode = os.stat(library).st_ino
    os.symlink(tmp_path / "victim", tmp_path / "other")
    with mapped(swapper, library, tmp_path / "other") as attacker:
        with harness.Tool("--functions", "-p", attacker.pid) as tool:
            tool.attached()
            changed, found = victim.changed(), attached_in(attacker.pid, inode)
            links = harness.attached_links(tool.process.pid)
            notes = notes_of(tool)
    assert not changed, "changed in another program: %s" % ", ".join(map(hex, changed))
    refused = [n for n in notes if "it would stop at each line too; use --lines" in n]
    if lines and QUIET not in others:
        assert not found and len(refused) == 1, (found, notes)
    else:
        assert found == FUNCTIONS and links >= len(FUNCTIONS) and not refused, (found, links, notes)


LAUNCHER = """
import subprocess, sys
print("ready", flush=True)
sys.stdin.readline()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), child.pid, flush=True)
sys.stdin.readline()
child.stdin.close()
child.wait()
"""
# Arguments: the file, the other one, the mapper. The file is mapped when its name is the other's already.
RENAMED = 'exec 9< "$0" && mv "$1" "$0" && exec "$2" /proc/self/fd/9'


def attached_in(pid, inode):
    """Which of fake_python.SITES the process has something at that is not in the file with that inode."""
    with open("/proc/%d/maps" % pid) as f:
        start, = (int(line.split("-")[0], 16) for line in f if line.split()[4] == str(inode))
    found = set()
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
        for name, site in fake_python.SITES.items():
            memory.seek(start + site)
            if memory.read(1) != b"\x90":
                found.add(name)
    return found


@pytest.mark.attack("breakpoints in other users' programs",
                    "the name of the probes' file leads to another file, in a child of a command that was launched")
@pytest.mark.parametrize("when", ["meanwhile", "before"])
def test_file_replaced_in_a_child(swapper, system, tmp_path, when):
    """Probes of children are attached while the profiler runs, with the same care: to the file that the child has
    mapped, and to no other."""
    victim = Victim(tmp_path / "victim")
    library = tmp_path / "libx.so"
    library.write_bytes(fake_python.build(padding=9000 if when == "meanwhile" else 0))
    inode = os.stat(library).st_ino
    if when == "meanwhile":
        os.symlink(tmp_path / "victim", tmp_path / "other")
        child = ["chrt", "-f", "10", swapper, library, tmp_path / "other"]
    else:
        child = ["sh", "-c", RENAMED, library, tmp_path / "victim", swapper]
    with harness.Tool("--lines", "--", *system, "-c", LAUNCHER, *child, stdin=subprocess.PIPE) as tool:
        def tell():
            tool.process.stdin.write(b"\n")
            tool.process.stdin.flush()
        harness.until(lambda: b"ready" in tool.stdout(), "launched")
        tell()
        harness.until(lambda: b"mapped" in tool.stdout(), "mapped in the child")
        child_pid = int(tool.stdout().split()[-1])
        harness.until(lambda: attached_in(child_pid, inode) == set(fake_python.SITES), "attached to the child's file")
        tool.polled()
        changed = victim.changed()
        tell()
        notes = tool.report().data["notes"]
    assert not changed, "changed in another program: %s" % ", ".join(map(hex, changed))
    assert not [n for n in notes if "could not be attached" in n], notes


def refused(swapper, library, reason):
    """Its probes are refused by name, and cost next to nothing."""
    with mapped(swapper, library):
        with harness.Tool("--lines", "-a") as tool:
            tool.attached()
            tool.polled()
            with open("/proc/%d/status" % tool.process.pid) as f:
                peak = int(re.search(r"VmHWM:\s*(\d+) kB", f.read()).group(1)) << 10
            notes = notes_of(tool)
    assert [n for n in notes if str(library) in n and reason in n], notes
    assert peak < 512 << 20


@pytest.mark.attack("all descriptors and minutes of time", "a file that names 20,000 places of the line probe")
def test_many_sites(swapper, tmp_path):
    library = tmp_path / "libmany.so"
    library.write_bytes(fake_python.build(lines=4000))
    refused(swapper, library, "more than 64 places of one probe")


@pytest.mark.attack("gigabytes of memory", "a file whose notes on probes are a hole of 2 GiB")
def test_sparse_notes(swapper, tmp_path):
    library = tmp_path / "libsparse.so"
    library.write_bytes(fake_python.build(notes_size=2 << 30))
    os.truncate(library, (2 << 30) + (1 << 20))
    refused(swapper, library, "more notes on probes than any build of Python")


@pytest.mark.attack("wrong lines", "a file whose probes have their arguments where nothing can be read")
def test_odd_arguments(swapper, tmp_path):
    library = tmp_path / "libodd.so"
    library.write_bytes(fake_python.build(args=b"8@%rdi 8@(%rax,%rbx,8) -4@%xmm0"))
    refused(swapper, library, "have arguments where they can't be read")


STATFS = 17


@pytest.mark.attack("the profiler hangs, beyond SIGKILL",
                    "the probes' file lies on a file system that a user's program serves, or that stops answering")
@pytest.mark.parametrize("hangs, reason", [(0, "file system that a user's program may serve"),
                                           (STATFS, "its examination took over")], ids=["answers", "hangs"])
def test_file_of_fuse(tmp_path, hangs, reason):
    """The kernel would read the file in the thread that attaches. It is refused before that is asked for it."""
    library, mount, mapper = tmp_path / "libfuse.so", tmp_path / "mount", tmp_path / "mapper"
    library.write_bytes(fake_python.build())
    mount.mkdir()
    subprocess.run(["cc", "-O1", "-o", mapper, os.path.join(HERE, "programs", "mapper.c")], check=True)
    server = subprocess.Popen(["unshare", "-m", sys.executable, os.path.join(HERE, "programs", "fuse_hang.py"),
                               mount, mapper, library, str(hangs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        said = server.stdout.readline().decode()
        if not said.startswith("child "):
            pytest.skip(said)
        with harness.Tool("--lines", "-p", said.split()[1]) as tool:
            tool.attached()
            notes = notes_of(tool)
    finally:
        server.stdin.close()
        server.wait(harness.PATIENCE)
        server.stdout.close()
    assert [n for n in notes if "mount/file" in n and reason in n], notes
