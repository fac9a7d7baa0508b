# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What can't be profiled is refused by name, with the right exit status; nothing hangs."""
import glob
import os
import subprocess
import tempfile

import pytest

import harness
from harness import Target, Tool


def refused(tool, status, *words):
    """It ended by itself with that status and said these words on stderr."""
    got = tool.wait()
    said = tool.stderr.decode("utf-8", "replace")
    assert got == status, "status %s: %s" % (got, said)
    for word in words:
        assert word.lower() in said.lower(), "%r is not in: %s" % (word, said)
    assert not os.path.exists(tool.file), "a report was written although nothing was profiled"


def free_pid():
    """A PID that just ended, so that no process has it."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_no_such_pid():
    pid = free_pid()
    with Tool("-p", pid) as tool:
        refused(tool, 1, str(pid), "no such process")


def test_not_python():
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            with Tool("-p", sleeper.pid) as tool:
                refused(tool, 1, str(sleeper.pid), "python")
        finally:
            sleeper.kill()


PRETENDER = """
#include <stdint.h>
#include <unistd.h>
struct { char cookie[8]; uint64_t version, threads, rest[200]; } _PyRuntime = {COOKIE, HEX};
const char *const texts[] = {TAG, VERSION};
int main(void) { return write(1, "x", 1) == 1 && texts[0] ? pause() : 0; }
"""
PYTHON2 = """
#include <unistd.h>
void *_PyThreadState_Current;
void PyString_FromString(void) {}
const char *const texts[] = {"lib/python2.7", "2.7.18"};
int main(void) { return write(1, "x", 1) == 1 && texts[0] ? pause() : 0; }
"""
# What its file says of itself, and what is said of it.
PRETENDERS = {
    "python2": (PYTHON2, {}, ["Python 2.7.18 is not supported", "3.6 to 3.15"]),
    "newer": (PRETENDER, dict(COOKIE="xdebugpy", HEX="0x036300f0", TAG="cpython-399", VERSION="3.99.0"),
              ["Python 3.99.0 is not supported", "3.6 to 3.15"]),
    "beta": (PRETENDER, dict(COOKIE="xdebugpy", HEX="0x030e00b2", TAG="cpython-314",
                             VERSION="3.14.0b2"),
             ["Python 3.14.0b2 is not supported", "alpha or beta", "releases are supported"]),
    "implausible": (PRETENDER, dict(COOKIE="", HEX="0", TAG="cpython-313", VERSION="3.13.1"),
                    ["Python 3.13.1 is not supported", "offsets"]),
    "unknown": (PRETENDER, dict(COOKIE="", HEX="0", TAG="", VERSION=""),
                ["unknown version", "3.11 and later"]),
}


@pytest.mark.attack("a profiler that reads at the wrong places",
                    "a program that pretends to be a Python of a version that it is not")
@pytest.mark.parametrize("name", sorted(PRETENDERS))
def test_unsupported_versions(name, tmp_path):
    """Versions that nobody has at hand, as far as a file can show: refused by name, -a and ps too."""
    source, macros, words = PRETENDERS[name]
    (tmp_path / "pretender.c").write_text(source)
    program = str(tmp_path / "pretender")
    subprocess.run(["cc", "-rdynamic", "-o", program, str(tmp_path / "pretender.c")]
                   + ["-D%s=%s" % (key, value if key == "HEX" else '"%s"' % value)
                      for key, value in macros.items()], check=True)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as process:
        process.stdout.read(1)
        try:
            with Tool("-p", process.pid) as tool:
                refused(tool, 1, str(process.pid), *words)
            listed = subprocess.run([harness.TOOL, "ps"], stdout=subprocess.PIPE,
                                    timeout=harness.PATIENCE).stdout.decode()
        finally:
            process.kill()
    for word in words:
        assert word in "".join(l for l in listed.splitlines() if "pid %d " % process.pid in l), listed


def test_no_btf(system):
    """Where the kernel has no type information: status 3, and what is needed. In a mount namespace of
    its own, in which it is hidden."""
    hide = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            'mount -t tmpfs tmpfs /sys/kernel/btf && exec "$@"', "sh"]
    with Target(system.command, "idle") as target, Tool("-p", target.pid, before=hide) as tool:
        refused(tool, 3, "type information", "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF",
                "pymem-bpf check")
    done = subprocess.run(hide + [harness.TOOL, "check"], stdout=subprocess.PIPE,
                          timeout=harness.PATIENCE)
    assert done.returncode == 3
    assert b"MISSING kernel type information" in done.stdout, done.stdout


def python2():
    for path in sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/2.*/bin/python2.*"))
                       + glob.glob("/usr/bin/python2.*")):
        if not path.endswith("-config") and os.access(path, os.X_OK):
            return path
    return pytest.skip("no Python 2 on this machine; test_unsupported_versions has one")


def test_python2():
    with subprocess.Popen([python2(), "-c", "import os; os.write(1, b'x'); os.read(0, 1)"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as old:
        old.stdout.read(1)
        try:
            with Tool("-p", old.pid) as tool:
                refused(tool, 1, str(old.pid), "2.7", "3.6")
        finally:
            old.kill()


def test_zombie():
    process = subprocess.Popen(["true"])
    while harness.state(process.pid) != "Z":
        pass
    with Tool("-p", process.pid) as tool:
        refused(tool, 1, str(process.pid))
    process.wait()


def test_kernel_thread():
    with Tool("-p", 2) as tool:
        refused(tool, 1, "2")


def test_one_bad_pid_among_good_ones(system):
    """The good one is profiled, the bad one is named."""
    pid = free_pid()
    with Target(system.command, "grow") as target:
        with Tool("-p", "%d,%d" % (pid, target.pid)) as tool:
            tool.attached()
            truth = target.go()
            tool.process.send_signal(harness.signal.SIGINT)
            report = tool.report()
            assert str(pid) in tool.stderr.decode()
    report.check_lines(target.pid, target.path, truth["lines"])


def test_not_root(system):
    """As nobody: status 3, and what is missing is named. The program is copied, since the
    project's folder may be closed to others."""
    with tempfile.TemporaryDirectory() as folder, Target(system.command, "idle") as target:
        os.chmod(folder, 0o755)
        copy = os.path.join(folder, "pymem-bpf")
        subprocess.run(["cp", harness.TOOL, copy], check=True)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all", copy, "-p", str(target.pid)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
        assert done.returncode == 3, done.stderr
        assert b"CAP_" in done.stderr.upper() and b"sudo" in done.stderr, done.stderr
        assert done.stdout == b""


USAGE = [
    [], ["--no-such-option"], ["-p"], ["-p", "api,"], ["-p", "0"], ["-p", "-1"], ["-p", "1,,2"],
    ["-p", "99999999999999999999"], ["-p", "1", "-a"], ["-a", "--", "true"], ["-p", "1", "-d", "0"],
    ["-p", "1", "-d", "soon"], ["-p", "1", "-n", "-3"], ["-p", "1", "-n", "many"],
    ["-p", "1", "-s", "beauty"], ["-p", "1", "--format", "punchcards"], ["-p", "1", "--engine", "steam"],
    ["-p", "1", "-o", ""], ["-p", "1", "-f", ""], ["nonsense"], ["ps", "--no-such-option"],
    ["check", "--no-such-option"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=lambda a: " ".join(a) or "nothing")
def test_usage(arguments):
    done = subprocess.run([harness.TOOL] + arguments, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 2, done.stderr
    assert done.stdout == b"" and done.stderr != b""


def test_command_not_found():
    with Tool("--", "/no/such/command") as tool:
        refused(tool, 127, "/no/such/command")


def test_command_not_executable():
    with Tool("--", "/etc/passwd") as tool:
        refused(tool, 126, "/etc/passwd")


def test_target_ends_while_attaching(system):
    """Killed at any moment around the attach: refused or reported, never a hang or a crash."""
    for delay in (0, 0.01, 0.03, 0.1, 0.2):
        with Target(system.command, "idle") as target, Tool("-p", target.pid) as tool:
            harness.time.sleep(delay)
            target.process.kill()
            target.process.wait()
            assert tool.wait() in (0, 1), tool.stderr
