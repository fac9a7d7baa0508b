# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines of eight threads at once, as the kernel counts them, on each Python; and the counting itself under
ThreadSanitizer, with and without an interpreter."""
import glob
import json
import os
import re
import subprocess
import warnings

import pytest
from conftest import HERE, PACKAGE, PROJECT, SLACK, swapped_batches
from test_lines_checks import CHECKS

MIB = 1 << 20
THREADS = 8
SECONDS = 500
# label: (runs, MiB) of thread number n
TRUTH = {
    "loop_for": lambda n: (n + 1, 0), "loop_grow": lambda n: (n, 2 * n), "loop_free": lambda n: (n, -n),
    # The outermost call has all that is below it, once.
    "recurse_grow": lambda n: (n + 1, n + 1), "recurse_call": lambda n: (n, 0),
    "recurse_free": lambda n: (n + 1, -n - 1),
    "generate_grow": lambda n: (3, 3 * n), "generate_yield": lambda n: (3, 0),
    "drive_for": lambda n: (4, 3 * n), "drive_body": lambda n: (3, 3),
}
NATIVE = os.path.join(PACKAGE, "pymem_bpf", "native")
PARTS = ["_lines_%s.c" % name for name in ("engine", "alarm", "codes", "threads", "sample", "proc", "smaps", "untold")]
# An mmap of 3.13 counts its readers without a lock, which is why nothing depends on that count.
NO_RACES = "race:mmap_buffer_getbuf\nrace:mmap_buffer_releasebuf\n"
# The counter block is the one memory that is shared with other processes: what a check writes there, the kernel writes in
# real life. And a check closes the descriptor that others read from, which a program may do.
NOT_OURS = re.compile(r"Location is (global '<null>' at 0x0+ \(zero \(deleted\)|file descriptor \d)")
CACHE = os.path.join(os.environ.get("PYMEM_CACHE", os.path.expanduser("~/.cache/pymem-bpf")), "pythons")


def errors(said):
    """[bytes from the truth] of all lines, together and by thread."""
    whole = [said["all"][label][1] - sum(of(n)[1] for n in range(1, THREADS + 1)) * MIB for label, of in TRUTH.items()]
    return whole + [counted[label][1] - of(n)[1] * MIB
                    for n, counted in enumerate(said["each"], 1) for label, of in TRUTH.items()]


def run_eight(python, server):
    for attempt in range(3):
        done = subprocess.run(python.command + [os.path.join(HERE, "programs", "eight.py"), server],
                              env=dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1"),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS)
        assert done.returncode == 0, done.stderr.decode()
        said = json.loads(done.stdout.decode())
        if not swapped_batches(errors(said)):
            break
        warnings.warn("%s: batches were swapped, attempt %d" % (python.name, attempt + 1))
    return said


def test_amounts_of_eight_threads(python, server):
    said = run_eight(python, server)
    assert not said["cut"] and not said["missed"]
    assert said["gil"] == ("t" not in python.abiflags)
    for n, counted in enumerate(said["each"], 1):
        for label, of in TRUTH.items():
            runs, mib = of(n)
            assert counted[label][0] == runs, (n, label, counted)
            assert abs(counted[label][1] - mib * MIB) <= SLACK, (n, label, counted)
    for label, of in TRUTH.items():
        runs, mib = (sum(of(n)[i] for n in range(1, THREADS + 1)) for i in (0, 1))
        assert said["all"][label][0] == runs, (label, said["all"])
        assert abs(said["all"][label][1] - mib * MIB) <= THREADS * SLACK, (label, said["all"])


@pytest.fixture(scope="module", params=["thread", "address,undefined"])
def core(request, tmp_path_factory):
    """(sanitizer, the program of eight_threads.c under it)"""
    include = subprocess.check_output(
        ["/usr/bin/python3", "-c", "import sysconfig; print(sysconfig.get_path('include'))"]).decode().strip()
    program = str(tmp_path_factory.mktemp("core") / "eight_threads")
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-fsanitize=" + request.param,
         "-D_GNU_SOURCE", "-DLINES_FREE_THREADED=1", "-I" + include, "-I" + os.path.join(PROJECT, "include"), "-I" + NATIVE,
         os.path.join(HERE, "eight_threads.c"), *(os.path.join(NATIVE, part) for part in PARTS), "-pthread", "-o", program],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    return request.param, program


def run_core(program, *words):
    # The address space is laid out as TSan of GCC up to 13 can bear.
    return subprocess.run(["setarch", "-R", program] + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS)


def test_counting_without_an_interpreter(core):
    """No race, and nothing counted twice or not at all."""
    for _ in range(5):
        done = run_core(core[1])
        assert (done.returncode, done.stdout) == (0, b"right\n"), done.stdout.decode()[-5000:]


def test_races_are_found(core):
    """Where events don't say that they are any, the sanitizer says so: else the test above would prove nothing."""
    if core[0] != "thread":
        pytest.skip("AddressSanitizer looks for no races")
    assert b"WARNING: ThreadSanitizer: data race" in run_core(core[1], "unguarded").stdout


def sanitized_pythons():
    return sorted(glob.glob(os.path.join(CACHE, "thread-sanitizer-*", "bin", "python3.*t")))


@pytest.mark.parametrize("check, unguarded", [("eight", False), ("threads", False), ("eight", True)])
def test_interpreter_under_thread_sanitizer(check, unguarded, tmp_path):
    """The extension and its interpreter, both under ThreadSanitizer: no race in which the extension has a part. unguarded:
    the extension as where there is a GIL. Then races are found, or the test would prove nothing."""
    found = sanitized_pythons()
    if not found:
        pytest.skip("no CPython under ThreadSanitizer is in the cache: tests/free_threaded.sh 3.13 tsan")
    python = found[-1]
    package = tmp_path / "pymem_bpf"
    subprocess.run(["cp", "-r", os.path.join(PACKAGE, "pymem_bpf"), str(package)], check=True)
    for old in package.glob("*.so"):
        old.unlink()
    environment = dict(os.environ, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1",
                       EXTENSION_CFLAGS="-O1 -g -fsanitize=thread" + " -DLINES_FREE_THREADED=0" * unguarded,
                       TSAN_OPTIONS="report_bugs=0")
    built = subprocess.run([python, os.path.join(PROJECT, "tools", "build-extension"), "--into", str(package)],
                           env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert built.returncode == 0, built.stdout.decode()
    said = check_under_tsan(python, check, environment, str(tmp_path / "said"), not unguarded)
    races = [part for part in said.split("==================\n")
             if "WARNING: ThreadSanitizer" in part and "_lines" in part and not NOT_OURS.search(part)]
    assert bool(races) == unguarded, "\n".join(races)[:20000]


def check_under_tsan(python, check, environment, said, must_pass):
    """What ThreadSanitizer said while the checks of a module ran, and passed."""
    with open(os.path.join(HERE, "lines_checks_%s.py" % check)) as f:
        names = re.findall(r"^def (check_\w+)", f.read(), re.M)
    # A thread that begins after a fork is more than this sanitizer can do.
    names = [name for name in names if "fork" not in name]
    with open(os.path.join(os.path.dirname(os.path.dirname(python)), "suppressions_free_threading.txt")) as f:
        own = f.read()
    with open(said + "-suppressions", "w") as f:
        f.write(own + "\n" + NO_RACES)
    environment["TSAN_OPTIONS"] = "exitcode=0:log_path=%s:suppressions=%s-suppressions" % (said, said)
    done = subprocess.run(["setarch", "-R", python, CHECKS] + names, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=SECONDS)
    assert done.returncode == 0 or not must_pass, done.stderr.decode()[-3000:]
    found = json.loads(done.stdout.decode().splitlines()[-1]) if must_pass else dict.fromkeys(names)
    assert sorted(found) == sorted(names) and not [trouble for trouble in found.values() if trouble], found
    text = ""
    for path in glob.glob(said + ".*"):
        with open(path, errors="replace") as f:
            text += f.read()
    return text


def test_extension_of_another_abi(tmp_path):
    """A free-threaded build of 3.13 would load an extension with the stable ABI, and crash."""
    package = tmp_path / "pymem_bpf"
    subprocess.run(["cp", "-r", os.path.join(PACKAGE, "pymem_bpf"), str(package)], check=True)
    for old in package.glob("*.so"):
        old.unlink()
    (package / "_lines.abi3.so").write_bytes(b"no extension")
    pretend = "import sys\nsys.abiflags = 't'\nimport pymem_bpf.line_profiler"
    done = subprocess.run(["/usr/bin/python3", "-c", pretend], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1"))
    last = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ImportError: the extension module is not there"), done.stderr.decode()
    assert "_lines.abi3.so is for Python with a GIL" in last and "t): build it" in last, last
