#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds and tests on other systems: each a fresh root file system of a release of Debian, with a clean clone of this commit.

  tests/hosts/check_hosts.py [--e2e none|sample|all] [--keep] [SUITE]…     default: bullseye trixie forky, a sample of e2e

Root only. In each system:

  1. there is no make in it, as on a bare one
  2. README's first command, word for word: it installs what is missing, builds, and shows the main job
  3. what tests need is installed; all that tests need is built, where warnings are errors
  4. tests/run build unit scripts; and of e2e a sample (SAMPLE, below), or all, on the system's own Python

On bullseye, which is too old to build on, 2 must say so within a second, and install nothing; 3 and 4 are left out. A chroot has
this machine's kernel, its processes, and no systemd of its own: tests that need one are skipped, and every skip is named. What is
left out beyond that is in LEFT_OUT, with its reason, and named.

Each system is made anew, below build/hosts, from packages that are kept there, and is gone at the end (--keep: stays). What each
step says is in build/hosts/SUITE.log. The last line is `N passed, N failed`, of steps. Environment: PYMEM_CACHE, where interpreters of
other releases are kept; NODE_EXTRA_CA_CERTS, a file of certificates, which are trusted there, too.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(PROJECT, "build", "hosts")
SYSTEMS = os.path.join(PROJECT, "tests", "install", "deb.sh")
SUITES = ["bullseye", "trixie", "forky"]
TOO_OLD = ["bullseye"]
SOURCE = "/srv/pymem-bpf"
CERTIFICATES = "/etc/certificates-of-the-machine.crt"
# The main job's amounts, recordings, the heap, serve, and what is said where something is wrong. Not the exact engine: Debian's
# own Pythons after 3.11 have no line probes.
SAMPLE = ["test_amounts.py", "test_bad_input.py", "test_commands.py", "test_heap.py", "test_record.py", "test_serve.py",
          "test_docs.py"]
# {suite: {what of a test's id: why it can't run there}}
LEFT_OUT = {}
# What the main job says of tools/demo_service.py.
NAMED = r"^(\d+ % of it by demo_service\.py:21 handle|demo_service\.py:21 handle grew it by )"
GROUPS = "build unit scripts"
SECONDS = {"first": 3600, "deps": 3600, "build": 3600, "tests": 7200}


def say(*words):
    print(*words, flush=True)


def first_command():
    """README's, without sudo: the words of the user who reads it."""
    with open(os.path.join(PROJECT, "README.md"), encoding="utf-8") as f:
        return re.search(r"^ +sudo (sh -c '.*make demo')$", f.read(), re.MULTILINE).group(1)


E2E_LEAST = 20  # tests that pass, even where most can't run


class Host:
    """A system, its log, and how many steps passed and failed."""

    def __init__(self, suite):
        self.suite, self.passed, self.failed = suite, 0, 0
        self.root = os.path.join(WORK, suite + ".root")
        self.log_path = os.path.join(WORK, suite + ".log")
        self.log = open(self.log_path, "w", encoding="utf-8")
        self.began = 0  # of the command that ran last, in the log

    def make(self):
        """Makes it, with a clean clone of this commit in it; whether that could be done."""
        remove(self.root)
        for command, seconds in (([SYSTEMS, "--system", self.suite, self.root, "apt"], 1800),
                                 (["git", "clone", "-q", "--no-hardlinks", "file://" + PROJECT, self.root + SOURCE], 300)):
            if not self.step("a fresh system: " + os.path.basename(command[0]), self.run(command, seconds) == 0):
                return False
        if os.environ.get("NODE_EXTRA_CA_CERTS"):
            shutil.copy(os.environ["NODE_EXTRA_CA_CERTS"], self.root + CERTIFICATES)
        return True

    def run(self, command, seconds):
        """Runs a command, whose output goes into the log. Its status; 124 if it took longer, and was ended with all that it
        had started."""
        self.log.write("+ %s\n" % command)
        self.log.flush()
        self.began = os.path.getsize(self.log_path)
        process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return 124
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def inside(self, script, seconds):
        """The same, of a script for sh in the system, in the clone. Packages that were fetched are kept outside."""
        kept, cache = os.path.join(WORK, self.suite + ".packages"), os.environ.get("PYMEM_CACHE") or os.path.expanduser(
            "~/.cache/pymem-bpf")
        binds = {kept: "/var/cache/apt/archives", cache: "/var/cache/pymem-bpf"}
        for path, place in binds.items():
            os.makedirs(os.path.join(path, "partial") if path == kept else path, exist_ok=True)
            os.makedirs(self.root + place, exist_ok=True)
        # A root of its own is a mount: some tests make name spaces in there.
        mounts = "mount --bind '%s' '%s' && " % (self.root, self.root) + " && ".join("mount --bind '%s' '%s'" % (path, self.root + place) for path, place in binds.items())
        variables = "PYMEM_CACHE=/var/cache/pymem-bpf" + (
            " NODE_EXTRA_CA_CERTS=" + CERTIFICATES if os.path.exists(self.root + CERTIFICATES) else "")
        # apt of a container would throw away what it fetched.
        return self.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts + ' && exec "$@"', "sh", SYSTEMS,
                         "--enter", self.root, "sh", "-c", "cd %s && export %s && %s" % (SOURCE, variables, script)], seconds)

    def said(self):
        """Of the command that ran last."""
        with open(self.log_path, "rb") as f:
            f.seek(self.began)
            return f.read().decode(errors="replace")

    def step(self, what, good, show=()):
        """Counts it; what failed shows the end of what was said, what passed the lines that `show` finds."""
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        said = self.said().splitlines()
        lines = [line for line in said if any(re.search(one, line) for one in show)] if good else said[-40:]
        for line in lines:
            say("#   " + line[:300])
        say("%sok - %s: %s" % ("" if good else "not ", self.suite, what))
        return good


def remove(root):
    if os.path.ismount(root) or any(line.split()[1].startswith(root + "/") for line in open("/proc/self/mounts")):
        sys.exit("%s: something is mounted there" % root)
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def files(root):
    """What apt would have changed."""
    with open(os.path.join(root, "var/lib/dpkg/status"), "rb") as f:
        return f.read()


def refused(host):
    """README's first command on a system that is too old: at once, and nothing is installed."""
    before, began = files(host.root), time.monotonic()
    status, seconds = host.inside(first_command(), 600), time.monotonic() - began
    said = host.said()
    host.step("refused at once, with the static program as the remedy, and nothing was installed", status == 1 and seconds < 2
              and "can't be built on" in said and "static program" in said and files(host.root) == before, ["install-deps: "])


def pytest(host, e2e):
    """What is to run of e2e, as a command."""
    left = LEFT_OUT.get(host.suite, {})
    for what, why in left.items():
        say("# left out on %s: %s: %s" % (host.suite, what, why))
    names = ["tests/e2e"] if e2e == "all" else ["tests/e2e/" + name for name in SAMPLE]
    if e2e == "sample":
        say("# of e2e only: %s" % " ".join(SAMPLE))
    number = "$(/usr/bin/python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])')"
    return "PYMEM_E2E_PATIENCE=10 PYMEM_E2E_PYTHONS=system-%s /usr/bin/python3 -B -m pytest -q -rs --tb=short -p no:cacheprovider " \
        "--timeout 600 %s %s" % (number, " ".join(names), " ".join("--deselect '%s'" % one for one in left))


def check(suite, e2e, keep):
    """(steps that passed, steps that failed)"""
    host, began = Host(suite), time.monotonic()
    try:
        if not host.make():
            return host.passed, host.failed
        bare = not any(os.path.exists(os.path.join(host.root, "usr/bin", name)) for name in ("make", "cc", "python3"))
        if not host.step("a bare system: no make, no compiler, no Python", bare):
            return host.passed, host.failed
        if suite in TOO_OLD:
            refused(host)
            return host.passed, host.failed
        if host.step("README's first command: " + first_command(), host.inside(first_command(), SECONDS["first"]) == 0
                     and re.search(NAMED, host.said(), re.MULTILINE), [NAMED]):
            more(host, e2e)
    finally:
        say("# %s: %.0f s; %s" % (suite, time.monotonic() - began, host.log_path))
        if not keep:
            remove(host.root)
    return host.passed, host.failed


def more(host, e2e):
    """Builds and runs the tests."""
    if not host.step("tools/install-deps test", host.inside("tools/install-deps test", SECONDS["deps"]) == 0):
        return
    if not host.step("all that is tested is built, without a warning", host.inside(
            "make -j$(nproc) WERROR=1 all unit fuzz-targets walker", SECONDS["build"]) == 0):
        return
    host.step("tests/run " + GROUPS, host.inside("tests/run " + GROUPS, SECONDS["tests"]) == 0,
              [r"SKIP", r"^# (note|verifier): ", r"^UNSTEADY ", r"^\d+ passed, \d+ failed"])
    if e2e != "none":
        ended = host.inside(pytest(host, e2e), SECONDS["tests"])
        # All skipped is no failure of pytest's.
        passed = re.search(r"^(\d+) passed", host.said(), re.MULTILINE)
        host.step("e2e", ended == 0 and passed and int(passed[1]) >= E2E_LEAST, [r"^SKIPPED ", r"^\d+ (passed|skipped)"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--e2e", choices=("none", "sample", "all"), default="sample")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("suites", nargs="*", metavar="SUITE", default=SUITES)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("systems are made, and BPF is used, by root: sudo make check-hosts")
    os.makedirs(WORK, exist_ok=True)
    changes = subprocess.run(["git", "status", "--porcelain"], cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
    say("# commit %s" % commit.decode().strip())
    if changes:
        say("# NOTE: the tree has changes that are not committed: they are not in what is tested")
    passed = failed = 0
    for suite in options.suites:
        one = check(suite, options.e2e, options.keep)
        passed, failed = passed + one[0], failed + one[1]
    say("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
