# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The groups of tests: the jobs of each, and how a failed test is run again."""
import datetime
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile

import kernels
from running import tap
from running.commands import PROJECT, TESTS, describe, run
from running.outcomes import FAILED, PASSED, SKIPPED, Outcome
from running.pytest_runs import PytestJob, Tests
from running.schedule import ALONE, CPU, HOST, Group, Job

# Bounds against hangs, beside other work.
UNIT_SECONDS, SCRIPT_SECONDS = 600, 1200
FREE_THREADED_SECONDS = 2400  # with building an interpreter
FORMATTER = "14"  # the major version of the clang-format that decides
E2E_PARTS = 4  # each finds out about the interpreters anew, which takes some seconds
# What fuzz.py or libFuzzer says of an input that fails. Such a one is no accident.
FIND = re.compile(r"Test unit written to \S*(crash|leak|oom|timeout)-|a regression case fails")


def command_job(name, command, seconds=SCRIPT_SECONDS, show=False, find=None, skip=None):
    """One test: the command succeeds. With `show`, what it says is part of the results. What matches `find`
    is a failure at once. skip: the status that says that it can't be done here, and the last line why."""
    def once():
        ended = run(command, seconds)
        return ended.status == 0, ended.output(), ended

    def job(say):
        good, output, ended = once()
        if good:
            if show:
                say(output)
            return [Outcome(name, PASSED, seconds=ended.seconds)]
        if skip is not None and ended.status == skip:
            return [Outcome(name, SKIPPED, output.strip().rpartition("\n")[2], ended.seconds)]
        is_find = find is not None and find.search(output)
        return [Outcome("%s: %s" % (name, describe(ended.status)), FAILED, output, ended.seconds,
                        None if is_find else lambda: once()[:2])]
    return Job(name, job)


def formatting_job():
    """Each clang-format has a style of its own for the same rules: one of them is the project's."""
    name = "formatting"
    said = subprocess.run(["clang-format", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    version = re.search(r"version (\d+)", said).group(1)
    if version == FORMATTER:
        return command_job(name, ["make", "format-check"])
    return Job(name, lambda say: [Outcome(name, SKIPPED, "clang-format is %s, and the sources are formatted by %s, Debian 12's"
                                          % (version, FORMATTER))])


def plan_build(_):
    jobs = "-j%d" % os.cpu_count()
    return [formatting_job(),
            command_job("clang builds it without a warning", ["make", jobs, "BUILD=build/clang", "CC=clang"]),
            command_job("arm64 cross-build", ["make", jobs, "arm64"]),
            command_job("manual page", ["mandoc", "-Tlint", "-Wwarning", "docs/pymem-bpf.8"])]


def unit_job(binary):
    name, env = os.path.basename(binary), dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")

    def once():
        return run([os.path.abspath(binary)], UNIT_SECONDS, env=env)

    def again(title):
        ended = once()
        return tap.passed(ended, title), ended.output()

    def job(say):
        ended = once()
        say("\n".join("%s: %s" % (name, line[2:]) for _, line in ended.lines if line.startswith("# note: ")))
        return tap.outcomes(name, ended, again)
    return Job(name, job)


def plan_unit(binaries):
    binaries = binaries or sorted(glob.glob(os.path.join(PROJECT, "build", "tests", "test_*")))
    return [unit_job(b) for b in binaries if not b.endswith((".o", ".d"))]


def none_missing(what):
    """For a group whose tests are found, not listed: that there are some."""
    def conclude(outcomes, say):
        return [] if outcomes else [Outcome(what, FAILED)]
    return conclude


def script_targets():
    """Interpreters as tests/unit scripts take them: PYTHON, or ROOT:PYTHON in a chroot."""
    said = subprocess.run([os.path.join(TESTS, "pythons.sh"), "list"], stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    targets = []
    for line in said.splitlines():
        words = shlex.split(line.split("\t", 1)[1])
        targets.append("%s:%s" % (words[2], words[3]) if words[1:2] == ["run"] else words[0])
    return targets


def plan_scripts(_):
    unit = os.path.join(TESTS, "unit")
    scripts = sorted(glob.glob(os.path.join(unit, "check_*.py")))
    if not scripts:
        raise FileNotFoundError("there is no check_*.py in tests/unit")
    python = [sys.executable, "-B"]
    # The one that takes longest comes first.
    jobs = [command_job("tests/run", python + [os.path.join(unit, "tooling_run.py")]),
            command_job("make, guests' results, the verifier's figures",
                        python + [os.path.join(unit, "tooling.py")]),
            command_job("what installs and packs", python + [os.path.join(unit, "packaging_tools.py")]),
            command_job("releases", python + [os.path.join(unit, "release_tools.py")]),
            command_job("layers of user/ and bpf/", python + [os.path.join(unit, "check_layers")]),
            command_job("handles of the BPF side", python + [os.path.join(unit, "check_handles")]),
            command_job("hints and docstrings of the Python package",
                        python + [os.path.join(unit, "public_names.py")]),
            command_job("TOML, against Python's reader", python + [os.path.join(unit, "toml_compare.py")], show=True),
            command_job("verifier's figures", [os.path.join(TESTS, "verifier", "compare.py")], show=True)]
    jobs += [command_job("%s %s" % (os.path.basename(script), target), python + [script, target])
             for script in scripts for target in script_targets()]
    return jobs + [command_job("JSON schema", python + [os.path.join(unit, "validate_json.py")]),
                   command_job("benchmarks: what profilers say",
                               python + [os.path.join(unit, "bench_readings.py")])]


def fuzz_job(target, seconds):
    def job(say):
        with tempfile.TemporaryDirectory() as finds:
            return command_job(target, [
                sys.executable, os.path.join(TESTS, "fuzz", "fuzz.py"), "--seconds", seconds, "--seed", "1",
                "--finds", finds, target], show=True, find=FIND).run(say)
    return Job(target, job)


def plan_fuzz(_):
    seconds = os.environ.get("PYMEM_FUZZ_SECONDS", "5")
    names = [os.path.basename(path) for path in sorted(glob.glob(
        os.path.join(PROJECT, "build", "fuzz", "fuzz_*")))]
    return [fuzz_job(name, seconds) for name in names if "." not in name]


def plan_walker(_):
    script = os.path.join(TESTS, "walker", "check_walker.py")
    return [command_job("walker %s %s" % (build, target), [
        sys.executable, script, os.path.join(PROJECT, "build", "walker", build), target], show=True)
        for build in ("modern", "legacy") for target in script_targets()]


def is_full():
    return bool(os.environ.get("PYMEM_VM_FULL"))


class Guest(Job):
    """A kernel in qemu. `found`: what it said, for all guests."""

    def __init__(self, guest, found):
        Job.__init__(self, "kernel %s, %d CPUs" % guest)
        self.guest, self.found = guest, found

    def boot(self, *checks):
        """Its limit is several times what it takes on an idle machine."""
        seconds = 5400 if is_full() else 1800
        env = dict(os.environ, VM_CPUS=str(self.guest[1]), VM_SECONDS=str(seconds))
        if self.guest[0] in kernels.PREEMPTS:
            env["VM_APPEND"] = "preempt=full"
        return run([os.path.join(TESTS, "vm", "vmtest.sh"), self.guest[0],
                    os.path.join(TESTS, "vm", "in_guest.sh"), *checks], seconds + 300, env=env)

    def again(self, title):
        """One check, or all where the guest was not whole. Once: a boot is dear."""
        ended = self.boot(*([title] if title else []))
        return tap.passed(ended, title), ended.output()

    def run(self, say):
        ended = self.boot()
        output = ended.output()
        say("-- %s\n%s" % (self.name, "\n".join(
            line for line in output.splitlines() if is_full() or line.startswith("# "))))
        self.found[self.guest] = kernels.parse(output)
        return tap.outcomes(self.name, ended, self.again, times=1)


def conclude_vm(found):
    """What the guests tell together, and the table of a full run."""
    def conclude(outcomes, say):
        more = []
        for good, sentence in kernels.cost_points(found):
            say("# " + sentence)
            more.append(Outcome(sentence, PASSED if good else FAILED))
        if is_full():
            say(kernels.write(os.path.join(PROJECT, "docs", "KERNELS.md"), found,
                              datetime.date.today().isoformat()))
        return more
    return conclude


def plan_free_threads(_):
    return [command_job("line profiles on free-threaded Python 3.13", [
        sys.executable, "-B", os.path.join(TESTS, "python", "free_threaded.py"), "3.13"],
        FREE_THREADED_SECONDS, show=True, skip=77)]


def vm_group():
    found = {}

    def plan(_):
        guests = kernels.plan(os.environ.get("PYMEM_VM_KERNELS", "5.10 7.2"),
                              os.environ.get("PYMEM_VM_CPUS", ""), is_full())
        return [Guest(guest, found) for guest in guests]
    # Two at a time where there are two CPUs: each guest is one thread.
    return Group("vm", CPU, plan, conclude_vm(found))


def pytest_group(name, kind, shares=False):
    return Group(name, kind, lambda _: [PytestJob(name, Tests(os.path.join(TESTS, name)), shares=shares)])


def dealt(paths, count):
    """The files in `count` lists of about as many bytes."""
    lists = [[] for _ in range(count)]
    sums = [0] * count
    for path in sorted(paths, key=os.path.getsize, reverse=True):
        least = sums.index(min(sums))
        lists[least].append(path)
        sums[least] += os.path.getsize(path)
    return [sorted(files) for files in lists if files]


def plan_e2e(_):
    """Tests that look at all processes of the host, and parts with the others, which can run at the same time. What
    writes tables of the outcomes has them all at once."""
    tests = Tests(os.path.join(TESTS, "e2e"))
    if os.environ.get("PYMEM_MATRIX") or os.environ.get("PYMEM_ATTACKS"):
        return [PytestJob("e2e", tests)]
    parts = dealt(glob.glob(os.path.join(tests.folder, "test_*.py")), E2E_PARTS)
    return [PytestJob("e2e, the host", tests, ["-m", "host", tests.folder])] + [
        PytestJob("e2e, part %d" % number, tests, ["-m", "not host", *files], shares=True)
        for number, files in enumerate(parts, 1)]


GROUPS = {group.name: group for group in (
    Group("build", CPU, plan_build),
    Group("unit", CPU, plan_unit, none_missing(
        "unit: there is no test binary in build/tests (make unit builds them)")),
    Group("scripts", CPU, plan_scripts),
    Group("fuzz", CPU, plan_fuzz, none_missing(
        "fuzz: there is no target in build/fuzz (make fuzz-targets builds them)")),
    Group("walker", CPU, plan_walker),
    Group("free-threads", CPU, plan_free_threads),
    Group("e2e", HOST, plan_e2e), pytest_group("python", HOST, shares=True), pytest_group("security", HOST),
    pytest_group("stress", ALONE), vm_group())}
