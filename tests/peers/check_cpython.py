#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""CPython's own tests under pymem-bpf (make check-cpython).

The suite is Debian's libpython3.X-testsuite, of the version that /usr/bin/python3 has (fetch.sh). Each
module runs alone and under `pymem-bpf -q --`, some also under --lines. What must hold:

- the same outcome: exit status, and the result of each test case, as regrtest writes them;
- conservation: for each process, charged + lost = the change of RSS, to the byte, and charged = its lines.

A module whose outcome differs is run again, both ways. A test case that differs from itself is named and is
no failure of the profiler. Modules: MODULES, or those named, or --all (hours).

Exit status: 0 everything is as it should be, 1 something is not, 3 the suite can't be had.
"""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.join(PROJECT, "build", "pymem-bpf")
PYTHON = "/usr/bin/python3"

#: What touches frames, generators, threads, forks, execs, memory, imports and hooks, and takes seconds.
MODULES = """test_array test_asyncgen test_atexit test_call test_code test_compile test_context
test_contextlib test_coroutines test_dict test_exceptions test_fork1 test_frame test_functools
test_generators test_grammar test_list test_mmap test_os test_posix test_runpy test_scope test_struct
test_sys test_sys_setprofile test_sys_settrace test_thread test_threading_local test_traceback
test_tracemalloc test_weakref test_with test_yield_from test_zipimport""".split()
#: Under the exact engine too, which stops at each line: what is short, and what has hooks of its own.
LINES_MODULES = "test_code test_frame test_generators test_scope test_sys_settrace test_with".split()

Outcome = collections.namedtuple("Outcome", "status cases output seconds")


def unpack(version):
    """A folder with the package `test` whole: what the system has of it, and the suite's files over that."""
    name = "libpython%s-testsuite" % version
    fetched = subprocess.run([os.path.join(HERE, "fetch.sh"), "binary", name], stdout=subprocess.PIPE)
    if fetched.returncode:
        return None
    source = fetched.stdout.decode().strip()
    whole = source + "-whole"
    if not os.path.isdir(whole):
        made = tempfile.mkdtemp(dir=os.path.dirname(source))
        os.chmod(made, 0o755)
        for origin in ("/usr/lib/python" + version, os.path.join(source, "usr", "lib", "python" + version)):
            shutil.copytree(os.path.join(origin, "test"), os.path.join(made, "test"), dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("__pycache__"))
        try:
            os.rename(made, whole)
        except OSError:  # another run was faster
            shutil.rmtree(made)
    return whole


def run(folder, module, prefix, seconds):
    """The Outcome of a module. A module that takes too long has the status None."""
    with tempfile.TemporaryDirectory(prefix="pymem-bpf-peers-") as work:
        # Every user may write there: some tests give up root.
        os.chmod(work, 0o777)
        junit = os.path.join(work, "junit.xml")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYMEM_BPF"))}
        env.update(PYTHONPATH=folder, PYTHONDONTWRITEBYTECODE="1")
        words = prefix + [PYTHON, "-m", "test", "--junit-xml", junit, "--tempdir", work, module]
        start = time.monotonic()
        try:
            done = subprocess.run(words, cwd=work, env=env, timeout=seconds, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as e:
            status, output = None, e.stdout or b""
        cases = cases_of(junit) if os.path.exists(junit) else {}
        return Outcome(status, cases, output.decode("utf-8", "replace"), time.monotonic() - start)


def cases_of(path):
    """{test case: how it ended}; of subtests the worst."""
    found = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        ended = sorted(child.tag for child in case if child.tag in ("failure", "error", "skipped"))
        found[case.get("name")] = (ended or ["passed"])[0]
    return found


def differences(bare, profiled):
    """Sentences."""
    found = []
    if bare.status != profiled.status:
        found.append("status %s, bare %s" % (profiled.status, bare.status))
    for name in sorted(set(bare.cases) | set(profiled.cases)):
        pair = profiled.cases.get(name, "not run"), bare.cases.get(name, "not run")
        if pair[0] != pair[1]:
            found.append("%s: %s, bare %s" % (name, *pair))
    return found


def unconserved(path):
    """(number of processes, sentences) of a report."""
    try:
        with open(path, encoding="ascii") as f:
            processes = json.load(f)["processes"]
    except (OSError, ValueError, KeyError) as e:
        return 0, ["there is no report: %s" % e]
    found = []
    for one in processes:
        charged, lost = one["charged_bytes"], sum(one["lost_bytes"].values())
        change = one["rss_end_bytes"] - one["rss_start_bytes"]
        lines = sum(line["increment_bytes"] for line in one["lines"])
        if charged + lost != change:
            found.append("pid %d: charged %d + lost %d is not %d" % (one["pid"], charged, lost, change))
        if charged != lines:
            found.append("pid %d: charged %d, its lines %d" % (one["pid"], charged, lines))
    return len(processes), found


class Check:
    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds
        self.bare, self.processes, self.failed, self.undecided, self.passed = {}, 0, [], [], 0

    def pair(self, module, options):
        """(differences, what is not conserved, how long bare and profiled took)"""
        if module not in self.bare:
            self.bare[module] = run(self.folder, module, [], self.seconds)
        with tempfile.TemporaryDirectory(prefix="pymem-bpf-peers-") as work:
            report = os.path.join(work, "report.json")
            profiled = run(self.folder, module, [PROGRAM, "-q", "--format", "json", "-o", report]
                           + options + ["--"], self.seconds)
            count, lacking = unconserved(report)
        self.processes += count
        bare = self.bare[module]
        return differences(bare, profiled), lacking, (bare.seconds, profiled.seconds)

    def check(self, module, options):
        name = " ".join(options + [module])
        found, lacking, seconds = self.pair(module, options)
        again = []
        if found:
            again = found
            del self.bare[module]
            found, more, seconds = self.pair(module, options)
            lacking += more
            found = [one for one in found if one in again]
        if found or lacking:
            self.failed.append(name)
            print("FAIL    %s: %s" % (name, "\n        ".join(found + lacking)), flush=True)
            return
        if again:
            self.undecided.append(name)
        self.passed += 1
        print("%-8s%s: %d cases, %.1f s, bare %.1f s%s" % (
            "PASS", name, len(self.bare[module].cases), seconds[1], seconds[0],
            "".join("\n        not each time: " + one for one in again)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every module of the suite")
    parser.add_argument("--lines", action="store_true", help="the modules that are named: under --lines too")
    parser.add_argument("--seconds", type=float, default=300, help="for one run of a module (300)")
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    if os.geteuid() != 0 or not os.access(PROGRAM, os.X_OK):
        sys.exit("check_cpython.py: needs root and build/pymem-bpf (make)")
    version = subprocess.check_output([PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    folder = unpack(version.decode().strip())
    if folder is None:
        return 3
    modules = options.modules or MODULES
    lines = options.modules if options.lines else [] if options.modules else LINES_MODULES
    if options.all:
        said = subprocess.check_output([PYTHON, "-m", "test", "--list-tests"],
                                       env=dict(os.environ, PYTHONPATH=folder))
        modules = said.decode().split()
    check, start = Check(folder, options.seconds), time.monotonic()
    for module in modules:
        check.check(module, [])
    for module in lines:
        check.check(module, ["--lines"])
    print("CPython's tests under pymem-bpf: %d runs as bare, %d not; %d processes; %d could not make up "
          "their mind; %.0f s" % (check.passed, len(check.failed), check.processes, len(check.undecided),
                            time.monotonic() - start))
    print("".join("FAIL %s\n" % name for name in check.failed), end="")
    return 1 if check.failed or not check.passed else 0


if __name__ == "__main__":
    sys.exit(main())
