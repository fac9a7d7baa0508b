#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""memory_profiler's own tests, run with pymem_bpf (make check-memory-profiler).

They come from Debian's source package (fetch.sh). `memory_profiler` and `mprof` are modules in a temporary
folder that pass pymem_bpf's names on, so the tests are not changed. Each program runs with the original, too:
what passes there must pass here, and tables must have the same rows. Deliberate differences are listed in
DELIBERATE and must exist: a program that passes although it is in that list has to leave it.

Exit status: 0 everything is as it should be, 1 something is not, 3 the suite can't be had.
"""
import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
SECONDS = 300

#: What a test wants that is refused, by the words that it is refused with.
DELIBERATE = {
    "test_tracemalloc.py": "backend tracemalloc counts Python's own allocations, not resident memory"}

SHIM = {
    "memory_profiler.py": "from pymem_bpf import *\nfrom pymem_bpf import __version__\n"
                          "if __name__ == '__main__':\n    from pymem_bpf.__main__ import main\n    main()\n",
    "mprof.py": "from pymem_bpf.mprof import *\nfrom pymem_bpf.mprof import main\n"
                "if __name__ == '__main__':\n    import sys\n    sys.exit(main())\n",
}
ROW = re.compile(r"^ *(\d+) (?: +(-?\d+\.\d+) MiB +(-?\d+\.\d+) MiB +(\d+))? *   (.*)$")

Outcome = collections.namedtuple("Outcome", "status output rows")


class Suite:
    """The tests in a folder of their own, for one implementation: `path` is what Python imports it from."""

    def __init__(self, source, path, python):
        self.python, self.folder = python, tempfile.mkdtemp(prefix="pymem-bpf-peers-")
        shutil.copytree(os.path.join(source, "test"), os.path.join(self.folder, "test"))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYMEM_BPF"))}
        self.env.update(PYTHONPATH=os.pathsep.join(path), PYTHONDONTWRITEBYTECODE="1",
                        PYTHONIOENCODING="utf-8",
                        PYMEM_BPF=os.path.join(PROJECT, "build", "pymem-bpf"),
                        PYMEM_BPF_SOCKET=os.environ.get("PYMEM_BPF_SOCKET", "/run/pymem-bpf.sock"))

    def run(self, words):
        try:
            done = subprocess.run([self.python] + words, cwd=self.folder, env=self.env, timeout=SECONDS,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            status, output = done.returncode, done.stdout.decode("utf-8", "replace")
        except subprocess.TimeoutExpired as e:
            status, output = None, (e.stdout or b"").decode("utf-8", "replace")
        rows = [row for row in map(ROW.match, output.splitlines()) if row]
        return Outcome(status, output, [(int(row[1]), row[5].rstrip(), row[4]) for row in rows])

    def close(self):
        shutil.rmtree(self.folder)


def programs(source):
    """[(name, words)]: every program of the suite, as its Makefile runs it where that does."""
    with open(os.path.join(source, "Makefile"), encoding="utf-8") as f:
        made = re.findall(r"^\t(\$\(PYTHON\)|mprof run) (?:-m (memory_profiler) )?test/(\S+\.py)$",
                          f.read(), re.M)
    found, named = [], set()
    for command, module, name in made:
        named.add(name)
        script = "test/" + name
        if command == "mprof run":
            found.append(("mprof run " + name, ["-m", "mprof", "run", "-E", script]))
        else:
            found.append((name, ["-m", module, script] if module else [script]))
    for name in sorted(os.listdir(os.path.join(source, "test"))):
        if name.startswith("test_") and name.endswith(".py") and name not in named:
            with open(os.path.join(source, "test", name), encoding="utf-8") as f:
                imports = re.search(r"^(from|import) (memory_profiler|mprof)\b", f.read(), re.M)
            found.append((name, ["test/" + name] if imports else ["-m", "memory_profiler", "test/" + name]))
    return found


def judge(name, ours, theirs):
    """(what to say, whether it is as it should be)."""
    wanted = DELIBERATE.get(name)
    if wanted:
        if ours.status == 0:
            return "passes, but is said to differ deliberately", False
        return "deliberate: " + wanted if wanted in ours.output else ours.output, wanted in ours.output
    if ours.status != 0:
        return "status %s\n%s" % (ours.status, ours.output), False
    if theirs.status != 0:
        return "ok (the original fails: status %s)" % theirs.status, True
    shown = [[row[:2] for row in one.rows] for one in (ours, theirs)]
    if shown[0] != shown[1]:
        return "other rows\n%s\n-- the original:\n%s" % (ours.output, theirs.output), False
    if not ours.rows:
        return "ok", True
    same = sum(a == b for a, b in zip(ours.rows, theirs.rows))
    return "ok, the same %d rows, occurrences of %d" % (len(ours.rows), same), True


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="/usr/bin/python3", help="the interpreter (/usr/bin/python3)")
    parser.add_argument("programs", nargs="*", help="these only: test_gen.py")
    options = parser.parse_args()
    fetched = subprocess.run([os.path.join(HERE, "fetch.sh"), "source", "python-memory-profiler"],
                             stdout=subprocess.PIPE)
    if fetched.returncode:
        return 3
    source = fetched.stdout.decode().strip()
    with tempfile.TemporaryDirectory(prefix="pymem-bpf-peers-") as shim:
        for name, text in SHIM.items():
            with open(os.path.join(shim, name), "w", encoding="utf-8") as f:
                f.write(text)
        suites = (Suite(source, [shim, os.path.join(PROJECT, "python", "src")], options.python),
                  Suite(source, [source], options.python))
        try:
            return run(programs(source), suites, options.programs)
        finally:
            for suite in suites:
                suite.close()


def run(wanted, suites, only):
    counts = collections.Counter()
    for name, words in wanted:
        if only and name not in only:
            continue
        said, good = judge(name, *(suite.run(words) for suite in suites))
        kind = "FAIL" if not good else "DIFFERS" if name in DELIBERATE else "PASS"
        counts[kind] += 1
        print("%-8s%s: %s" % (kind, name, said), flush=True)
    print("memory_profiler's tests: %d pass, %d differ deliberately, %d fail"
          % (counts["PASS"], counts["DIFFERS"], counts["FAIL"]))
    return 1 if counts["FAIL"] or not counts["PASS"] else 0


if __name__ == "__main__":
    sys.exit(main())
