#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tests of the tools: what make does before it installs; how the outputs of guests are read
(tests/vm/kernels.py); with which of the verifier's figures a kernel is compared (tests/verifier/compare.py)."""
import contextlib
import glob
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
PROJECT = os.path.dirname(TESTS)
sys.path[:0] = [os.path.join(TESTS, "vm"), os.path.join(TESTS, "verifier")]

import compare  # noqa: E402
import kernels  # noqa: E402

OUTPUT = """# guest: 7.2.12+deb14-amd64, %d CPUs
1..2
# ok      BPF programs attach
# check: 3 s
ok 1 - check
# cost: 7.2.12+deb14-amd64, %d CPUs: rss_stat 9000 runs, %d ns each
%s 2 - cost
"""


def said(cpus, ns, end="ok"):
    return kernels.parse(OUTPUT % (cpus, cpus, ns, end))


def whole():
    guests = {(name, 2): said(2, 1000) for name in kernels.ALL.split()}
    guests.update({("7.2", n): said(n, 1400) for n in kernels.MORE_CPUS})
    return guests


def clean_environment(**variables):
    """This run's, without what a make above it says to those below, and with these."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "WERROR")}
    return dict(env, **variables)


def dry_run(*goals, **variables):
    """The commands that make would run. variables: of its environment, beside those that this run has."""
    return subprocess.run(["make", "-n", "--no-print-directory", *goals], cwd=PROJECT, env=clean_environment(**variables),
                          stdout=subprocess.PIPE, check=True).stdout.decode()


class Make(unittest.TestCase):
    def test_installs_before_it_builds(self):
        for target in ("check", "check-fast", "check-pythons", "check-vm", "fuzz", "verifier-update", "bench",
                       "demo", "check-arm64", "check-wheel", "check-fleet", "check-memory-profiler",
                       "check-cpython", "dist", "check-dist",
                       "deb", "rpm", "check-deb", "image", "check-install", "check-hosts"):
            with self.subTest(target):
                self.assertTrue(dry_run(target).startswith("tools/install-deps"), dry_run(target)[:200])

    def test_check_pythons_builds_what_scripts_run(self):
        first = dry_run("check-pythons").split("tests/run")[0]
        for what in ("all", "walker", "build/verifier-stats", "build/toml-dump"):
            self.assertRegex(first, r"make .*\b%s\b" % what)

    def test_units_name_the_program_of_this_installation(self):
        """One build folder, installed below one prefix and then below another."""
        with tempfile.TemporaryDirectory() as folder:
            for prefix in ("/opt/a", "/opt/b"):
                unit = os.path.join(folder, "packaging", "pymem-bpf-agent.service")
                subprocess.run(["make", "-s", "BUILD=" + folder, "PREFIX=" + prefix, unit], cwd=PROJECT, env=clean_environment(),
                               check=True)
                with open(unit) as f:
                    self.assertIn("\nExecStart=%s/sbin/pymem-bpf " % prefix, f.read())

    def test_site(self):
        def site(prefix):
            return subprocess.run([sys.executable, os.path.join(PROJECT, "tools", "build-extension"),
                                   "--site", prefix], stdout=subprocess.PIPE, check=True
                                  ).stdout.decode().strip()
        self.assertEqual(site("/usr/local"), sysconfig.get_path("purelib"))
        self.assertRegex(site("/opt/x"), r"^/opt/x/lib/python3\.\d+/site-packages$")
        self.assertTrue(site("/usr").startswith("/usr/lib/python3"), site("/usr"))


class Flags(unittest.TestCase):
    """What whoever builds asks for is done, and nothing else."""

    def commands(self, pattern, **variables):
        with tempfile.TemporaryDirectory() as folder:
            said = dry_run("BUILD=" + folder, "all", "python", **variables).splitlines()
        return [line for line in said if re.search(pattern, line)]

    def test_flags_are_taken(self):
        flags = {"CPPFLAGS": "-DOF_CPPFLAGS", "CFLAGS": "-O2 -DOF_CFLAGS", "LDFLAGS": "-Wl,-z,now"}
        for line in self.commands(r"-c user/|pprof\.pb-c\.c$", **flags):
            self.assertRegex(line, "-DOF_CPPFLAGS -O2 -DOF_CFLAGS .*-std=gnu11")
        for pattern in (r"-o \S*/pymem-bpf ", "build-extension"):
            lines = self.commands(pattern, **flags)
            self.assertEqual(len(lines), 1, pattern)
            self.assertIn("-DOF_CFLAGS", lines[0])
            self.assertIn("-Wl,-z,now", lines[0])

    def test_warnings_are_errors_for_tests_only(self):
        self.assertEqual(self.commands("-Werror"), [])
        compiled = self.commands(r" -c (user|bpf)/", WERROR="1")
        self.assertTrue(compiled)
        self.assertEqual([line for line in compiled if "-Werror" not in line], [])
        for target in ("check", "check-fast"):
            self.assertRegex(dry_run(target), r"make .*WERROR=1 all unit")

    def test_paths_of_the_builder_are_not_in_programs(self):
        for line in self.commands(r" -c bpf/"):
            self.assertIn("-ffile-prefix-map=%s=." % PROJECT, line)

    def test_flags_of_the_extension(self):
        given = runpy.run_path(os.path.join(PROJECT, "tools", "build-extension"))["given_flags"]
        for env, expected in (
                ({}, (["-O2", "-g"], [])),
                ({"WERROR": "1"}, (["-O2", "-g", "-Werror"], [])),
                ({"CPPFLAGS": "-DA", "CFLAGS": "-O1 -DB", "LDFLAGS": "-Wl,-z,now"}, (["-DA", "-O1", "-DB"], ["-Wl,-z,now"])),
                ({"EXTENSION_CFLAGS": "-O0", "CFLAGS": "-O1", "WERROR": "1"}, (["-O0"], []))):
            with unittest.mock.patch.dict(os.environ, env, clear=True):
                self.assertEqual(given(), expected)

    def test_clean(self):
        said = dry_run("clean")
        for what in ("python/build", "_lines*.so", "*.egg-info", "__pycache__"):
            self.assertIn(what, said)

    def test_web_pages_without_npm(self):
        with tempfile.TemporaryDirectory() as folder:
            said = dry_run("BUILD=" + folder, "ESBUILD=/usr/bin/esbuild", "all")
        self.assertNotIn("npm ci", said)
        self.assertIn("build.mjs /usr/bin/esbuild ", said)


class Packages(unittest.TestCase):
    """tools/package: version and date have one source each."""

    def test_spec(self):
        with open(os.path.join(PROJECT, "VERSION")) as f:
            version = f.read().strip()
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([os.path.join(PROJECT, "tools", "package"), "spec"], check=True,
                           env=dict(os.environ, BUILD=folder, SOURCE_DATE_EPOCH="86400"))
            with open(os.path.join(folder, "packages", "rpm", "pymem-bpf.spec")) as f:
                spec = f.read()
        self.assertRegex(spec, r"(?m)^Version: +%s$" % re.escape(version))
        self.assertRegex(spec, r"(?m)^\* Fri Jan 02 1970 .* - %s-1$" % re.escape(version))
        self.assertNotIn("@", re.sub(r"<.*>", "", spec))

    def published(self, goal, project, path):
        """A file of what tools/package makes of a small tree whose packaging/project has this text."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tools/package", "tools/publisher", "packaging", "Makefile", "VERSION", "CHANGELOG.md"):
                source, target = os.path.join(PROJECT, name), os.path.join(folder, "x", name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)
            for name, text in (("packaging/project", project), ("python/x", ""), ("tests/x", ""), ("bench/x", "")):
                os.makedirs(os.path.join(folder, "x", os.path.dirname(name)), exist_ok=True)
                with open(os.path.join(folder, "x", name), "w") as f:
                    f.write(text)
            subprocess.run([os.path.join(folder, "x", "tools", "package"), goal], check=True, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, env=clean_environment(BUILD=os.path.join(folder, "out")))
            found, = glob.glob(os.path.join(folder, "out", "packages", path))
            with open(found) as f:
                return f.read()

    def test_publisher(self):
        """Page and maintainer are those of packaging/project, whatever characters they have; or no page, and a name."""
        whole = "HOMEPAGE=https://a.example/?x=1&y=|\nMAINTAINER=A & B <a@a.example>\n"
        spec = self.published("spec", whole, "rpm/pymem-bpf.spec")
        self.assertRegex(spec, r"(?m)^URL: +https://a\.example/\?x=1&y=\|$")
        self.assertRegex(spec, r"(?m)^\* .* A & B <a@a\.example> - ")
        spec = self.published("spec", "HOMEPAGE=\nMAINTAINER=\n", "rpm/pymem-bpf.spec")
        self.assertNotRegex(spec, r"(?m)^URL:")
        self.assertIn(" pymem-bpf authors <authors@pymem-bpf.invalid> - ", spec)
        if shutil.which("dh"):
            dsc = self.published("deb-source", whole, "deb/*.dsc")
            self.assertIn("\nMaintainer: A & B <a@a.example>\nHomepage: https://a.example/?x=1&y=|\n", dsc)
            dsc = self.published("deb-source", "HOMEPAGE=\nMAINTAINER=\n", "deb/*.dsc")
            self.assertIn("\nMaintainer: pymem-bpf authors <authors@pymem-bpf.invalid>\n", dsc)
            self.assertNotIn("\nHomepage:", dsc)

    def test_publisher_that_no_package_could_have(self):
        """It is refused by name, by each that reads it."""
        with tempfile.TemporaryDirectory() as folder:
            for name in "tools", "packaging":
                os.mkdir(os.path.join(folder, name))
            shutil.copy(os.path.join(PROJECT, "tools", "publisher"), os.path.join(folder, "tools"))
            for text, why in (("HOMEPAGE= \nMAINTAINER=\n", "HOMEPAGE is ' ': it begins or ends with a blank"),
                              ("HOMEPAGE=\nMAINTAINER=\t\n", "MAINTAINER is '\t': it begins or ends with a blank"),
                              ("HOMEPAGE=https://a.example \n", "HOMEPAGE is 'https://a.example ': it begins or ends with"),
                              ("MAINTAINER= A <a@a.example>\n", "MAINTAINER is ' A <a@a.example>': it begins or ends with"),
                              ("HOMEPAGE=https://a.example/%name\n", "HOMEPAGE is 'https://a.example/%name': RPM takes % for"),
                              ("HOMEPAGE=x\nHOMEPAGE=y\n", "HOMEPAGE is set twice")):
                with open(os.path.join(folder, "packaging", "project"), "w") as f:
                    f.write(text)
                done = subprocess.run([os.path.join(folder, "tools", "publisher"), why.split()[0]], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
                self.assertEqual((done.returncode, done.stdout), (1, b""))
                self.assertTrue(done.stderr.decode().startswith("publisher: packaging/project: " + why), done.stderr)
        for goal in "spec", "deb-source":
            with self.assertRaises(subprocess.CalledProcessError):
                self.published(goal, "HOMEPAGE=%x\n", "rpm/pymem-bpf.spec")

    @unittest.skipUnless(os.path.exists(os.path.join(PROJECT, ".git")), "not a tree of git")
    def test_files_without_git(self):
        """All that a release of the sources has in it, links too, and nothing that builds leave there."""
        with tempfile.TemporaryDirectory() as folder:
            packed = subprocess.run(["git", "archive", "HEAD"], cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
                expected = sorted(m.name for m in tar.getmembers() if not m.isdir())
                tar.extractall(folder)
            self.assertIn("python/LICENSES", expected)
            for name in ("build/x.o", "out/of/make/x.o", "other/able", "other/user/x.o", "dist/x.tar.xz", "dist.new.x/y.tar.xz",
                         "debian/control",
                         ".pc/x", "python/build/x.py", "python/src/pymem_bpf/_lines.abi3.so",
                         "python/src/pymem_bpf/__pycache__/x.pyc", "python/src/x.egg-info/PKG-INFO"):
                os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
                open(os.path.join(folder, name), "w").close()
            for name in "package", "publisher":
                shutil.copy(os.path.join(PROJECT, "tools", name), os.path.join(folder, "tools", name))
            said = subprocess.run([os.path.join(folder, "tools", "package"), "files"], stdout=subprocess.PIPE, check=True,
                                  env=dict(os.environ, BUILD="out/of/make")).stdout.decode().splitlines()
        self.assertEqual(sorted(said), expected)

    def test_needs_are_those_of_the_tree(self):
        """What tools/install-deps installs to build with is what the packages say; others are for developers."""
        with open(os.path.join(PROJECT, "tools", "install-deps")) as f:
            build = re.search(r"^build='([^']*)'", f.read(), re.MULTILINE).group(1)
        with open(os.path.join(PROJECT, "packaging", "debian", "control")) as f:
            depends = re.search(r"^Build-Depends:(.*?)^\S", f.read(), re.MULTILINE | re.DOTALL).group(1)
        names = {re.sub(r" *\(.*\)", "", one).strip() for one in depends.split(",")}
        # With build-essential; by none of the Makefile's commands; with its own alternative, or as python3-all-dev.
        self.assertEqual(set(build.split()) - names, {"make", "gcc", "libc6-dev", "llvm", "git", "pkg-config|pkgconf",
                                                      "python3", "python3-dev"})
        self.assertEqual(names - set(build.split()), {"debhelper-compat", "dh-sequence-python3", "esbuild", "nodejs",
                                                      "python3-all-dev"})


class CheckBuild(unittest.TestCase):
    """What is too old is named at once, with what has it."""

    def check(self, headers=None, cc="cc", clang="cc"):
        """Status and output of the check, where these headers ({name: text}) come first."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (headers or {}).items():
                os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
                with open(os.path.join(folder, name), "w") as f:
                    f.write(text)
            done = subprocess.run([os.path.join(PROJECT, "tools", "check-build"), "%s -I%s" % (cc, folder), clang],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode()

    def test_able(self):
        self.assertEqual(self.check(), (0, ""))

    def test_too_old(self):
        old = {"bpf/libbpf_version.h": "#define LIBBPF_MAJOR_VERSION 0\n", "bpf/libbpf.h": "", "linux/btf.h": ""}
        status, said = self.check(old)
        self.assertEqual(status, 1)
        self.assertRegex(said, r"libbpf is too old: 1\.0 or newer is needed, which Debian 12 has\n")
        self.assertRegex(said, r"headers of the kernel are too old")
        self.assertIn("check-build: the static program of a release needs nothing of this: docs/INSTALL.md\n", said)

    def test_too_old_to_install(self):
        """Said before anything is installed: there are no packages that would do."""
        systems = (("debian", "11", True), ("debian", "12", False), ("ubuntu", "22.04", True), ("ubuntu", "24.04", False),
                   ("fedora", "11", False))
        for name, number, old in systems:
            with self.subTest(name + number), tempfile.TemporaryDirectory() as folder:
                with open(os.path.join(PROJECT, "tools", "install-deps")) as f:
                    script = f.read().replace("/etc/os-release", os.path.join(folder, "os-release"))
                with open(os.path.join(folder, "os-release"), "w") as f:
                    f.write('ID=%s\nVERSION_ID="%s"\nPRETTY_NAME="That System"\n' % (name, number))
                for tool, text in (("apt-get", "echo installs; exit 9"), ("apt-cache", "exit 0"), ("dpkg-query", "exit 1")):
                    with open(os.path.join(folder, tool), "w") as f:
                        f.write("#!/bin/sh\n%s\n" % text)
                    os.chmod(os.path.join(folder, tool), 0o755)
                done = subprocess.run(["sh", "-c", script, "sh", "build"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      env=dict(os.environ, PATH=folder + ":" + os.environ["PATH"]))
                said = done.stdout.decode()
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual("can't be built on That System" in said, old, said)
                self.assertEqual("installs" in said or "sudo apt-get" in said, not old, said)

    def test_what_not_each_release_has(self):
        """It is installed where the release has it, also if that is known only from fresh lists; else it is no fault."""
        cases = (("here", True, True), ("fresh", True, True), ("none", False, True), ("installed", False, False))
        for case, optional, others in cases:
            with self.subTest(case), tempfile.TemporaryDirectory() as folder:
                for tool, text in (
                        ("apt-cache", '[ "$2" != victoria-metrics ] || [ %s = here ] || [ -e %s/fresh ] || exit 0; echo "Package: $2"'
                         % (case, folder)),
                        ("apt-get", 'case "$*" in *update*) [ %s != fresh ] || touch %s/fresh ;; *) echo "$@" > %s/log; exit 9 ;; esac'
                         % (case, folder, folder)),
                        ("dpkg-query", "[ %s != installed ] || echo install ok installed" % case), ("dpkg", "echo arm64"),
                        ("id", "echo 0")):
                    with open(os.path.join(folder, tool), "w") as f:
                        f.write("#!/bin/sh\n%s\n" % text)
                    os.chmod(os.path.join(folder, tool), 0o755)
                if case == "fresh":  # lists are fetched because of another package
                    with open(os.path.join(folder, "apt-cache"), "a") as f:
                        f.write('exit 0\n')
                    with open(os.path.join(folder, "apt-cache")) as f:
                        text = f.read().replace('; echo "Package', '; [ "$2" != clang ] || [ -e %s/fresh ] || exit 0; echo "Package' % folder)
                    with open(os.path.join(folder, "apt-cache"), "w") as f:
                        f.write(text)
                done = subprocess.run([os.path.join(PROJECT, "tools", "install-deps"), "test"], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=dict(os.environ, PATH=folder + ":" + os.environ["PATH"]))
                asked = ""
                if os.path.exists(os.path.join(folder, "log")):
                    with open(os.path.join(folder, "log")) as f:
                        asked = f.read()
                self.assertEqual(("victoria-metrics" in asked.split(), " clang " in asked), (optional, others), done.stdout)
                self.assertEqual(done.returncode == 0, not others)

    def test_missing(self):
        status, said = self.check(clang="no-such-clang")
        self.assertEqual((status, said), (1, "check-build: no-such-clang is not installed: sudo tools/install-deps build\n"))
        status, said = self.check({"bpf/libbpf.h": "#error\n"})
        self.assertEqual((status, said), (1, "check-build: libbpf is not installed: sudo tools/install-deps build\n"))

    def test_first_of_all(self):
        """make all compiles nothing before."""
        with tempfile.TemporaryDirectory() as folder:
            env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
            planned = subprocess.run(["make", "-n", "--no-print-directory", "BUILD=" + folder, "all"], cwd=PROJECT,
                                     env=env, stdout=subprocess.PIPE, check=True).stdout.decode()
        self.assertLess(planned.index("tools/check-build"), planned.index(" -c "))


    def static(self, cc, *libraries):
        done = subprocess.run([os.path.join(PROJECT, "tools", "check-build"), "--static", cc, *libraries],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode()

    def test_static(self):
        status, said = self.static("cc", "-lelf", "-lz")
        self.assertTrue((status, said) == (0, "") or "releases are built on Debian 12" in said, said)
        self.assertEqual(self.static("cc", "-lz", "-lpymem-none", "-lpymem-too"), (
            1, "check-build: a static program can't be linked by cc: there is no libpymem-none.a libpymem-too.a: "
            "sudo tools/install-deps dist\n"))

    def test_static_libelf_lacks_something(self):
        """As that of Debian 13."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run("echo 'int eu_search_tree_fini(void *); int elf_end(void *e) { return eu_search_tree_fini(e); }' | "
                           "cc -x c -c -o elf.o - && ar rc libelf.a elf.o", shell=True, cwd=folder, check=True)
            cc = "cc -L" + folder
            self.assertEqual(self.static(cc, "-lelf", "-lz"), (
                1, "check-build: a static program can't be linked by %s: this release's libelf.a lacks what it calls "
                "(eu_search_tree_fini); releases are built on Debian 12\n" % cc))


class Guests(unittest.TestCase):
    def test_plan(self):
        self.assertEqual(kernels.plan("5.10 7.2", "", False), [("5.10", 2), ("7.2", 2)])
        self.assertEqual(kernels.plan("6.12 5.10", "", True),
                         [("5.10", 2), ("6.12", 2), ("6.12", 8), ("6.12", 32)])
        self.assertEqual(kernels.plan("6.1", "4,8", True), [("6.1", 4), ("6.1", 8)])

    def test_output(self):
        found = said(8, 1234, "not ok")
        self.assertEqual(found["release"], "7.2.12+deb14-amd64")
        self.assertEqual(found["checks"], {"check": True, "cost": False})
        self.assertEqual(found["costs"], {"rss_stat": (9000, 1234)})

    def test_cost_grows(self):
        for ns, good in ((1500, True), (1501, False)):
            points = kernels.cost_points({("7.2", 2): said(2, 1000), ("7.2", 32): said(32, ns)})
            self.assertEqual([p[0] for p in points], [good])

    def test_cost_that_was_not_measured(self):
        guests = {("7.2", 2): said(2, 1000), ("7.2", 32): dict(said(32, 1), costs={})}
        self.assertEqual([p[0] for p in kernels.cost_points(guests)], [False])

    def test_cost_before_percpu_counters(self):
        guests = {("6.1", 2): said(2, 1000), ("6.1", 32): said(32, 9000)}
        self.assertEqual(kernels.cost_points(guests), [])

    def test_table(self):
        guests = whole()
        guests["6.1", 2] = said(2, 1000, "not ok")
        text = kernels.table(guests, "2026-01-31")
        self.assertIn("checks on 2026-01-31;", text)
        self.assertIn("| check | 5.10, 2 CPUs | 6.1, 2 CPUs | 6.12, 2 CPUs | 7.2, 2 CPUs | 7.2, 8 CPUs |", text)
        self.assertIn("| `cost` | yes | no | yes | yes | yes | yes |", text)
        self.assertIn("| 7.2 | 32 | `rss_stat` | 9000 | 1400 |", text)

    def test_table_of_a_part_is_not_written(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "KERNELS.md")
            guests = whole()
            del guests["5.10", 2]
            self.assertIn("kernel 5.10 did not run", kernels.write(path, guests, "today"))
            guests = whole()
            guests["7.2", 8] = kernels.parse("# guest: 7.2, 8 CPUs\n1..2\nok 1 - check\n")
            self.assertIn("7.2, 8 CPUs: 1 of 2 checks", kernels.write(path, guests, "today"))
            self.assertFalse(os.path.exists(path))
            self.assertIn("written", kernels.write(path, whole(), "today"))
            self.assertTrue(os.path.exists(path))


def figures(release, insns):
    return {(release, "lines", "rss_stat"): (insns, 1, 100, 50)}


class Verifier(unittest.TestCase):
    def test_reference(self):
        kept = {**figures("6.18.44-a", 1000), **figures("6.18.9-b", 900), **figures("7.2.1", 800)}
        self.assertEqual(compare.reference(kept, "6.18.9-b"), "6.18.9-b")
        self.assertEqual(compare.reference(kept, "6.18.50-c"), "6.18.44-a")
        self.assertIsNone(compare.reference(kept, "6.17.3"))

    def test_another_release_may_grow_by_more(self):
        kept = figures("6.18.44-a", 1000)
        for insns, bound, good in ((1060, compare.GROWTH, False), (1060, compare.GROWTH_OF_ANOTHER, True),
                                   (1110, compare.GROWTH_OF_ANOTHER, False)):
            now = compare.as_release(figures("6.18.50-c", insns), "6.18.44-a")
            self.assertEqual(not compare.complaints(kept, now, bound), good, (insns, bound))

    def test_clangs(self):
        """Rows without a clang are of 14; each is compared with figures of its own only."""
        text = "# comment\n6.1.0 lines rss_stat 1000 1 100 50\n6.1.0 lines rss_stat 1300 1 130 60 19\n"
        by_clang = compare.parse_by_clang(text)
        self.assertEqual(by_clang, {14: figures("6.1.0", 1000), 19: {("6.1.0", "lines", "rss_stat"): (
            1300, 1, 130, 60)}})
        self.assertRaises(ValueError, compare.parse, text)
        self.assertRaises(ValueError, compare.parse_by_clang, "6.1.0 lines rss_stat 1000")
        for clang, insns, status, said in ((14, 1000, 0, "clang 14: 1 programs as in"),
                                           (14, 1300, 1, "instructions 1300, were 1000"),
                                           (19, 1300, 0, "clang 19: 1 programs as in"),
                                           (21, 9999, 0, "figures of clang 14 and 19, these programs were "
                                            "built by clang 21")):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                self.assertEqual(compare.judge(by_clang, clang, figures("6.1.0", insns)), status)
            self.assertIn(said, out.getvalue())

    def test_file_is_read_as_it_was_written(self):
        kept = compare.KEPT
        with tempfile.TemporaryDirectory() as folder:
            self.addCleanup(setattr, compare, "KEPT", kept)
            compare.KEPT = os.path.join(folder, "verifier.txt")
            by_clang = {14: {**figures("6.1.0", 1000), **figures("5.10.0", 900)}, 19: figures("6.1.0", 1300)}
            compare.write_kept(by_clang)
            self.assertEqual(compare.read_kept(), by_clang)

    def test_update_of_another_clang(self):
        """Its figures stand beside the others; the page keeps those of the oldest."""
        with tempfile.TemporaryDirectory() as folder:
            page, kept = os.path.join(folder, "page"), os.path.join(folder, "verifier.txt")
            with open(page, "w") as f:
                f.write(compare.BEGIN + compare.END)
            for clang, insns in ((14, 1000), (19, 1300), (14, 1001)):
                row = "6.1.0 lines rss_stat %d 1 100 50\n" % insns
                with unittest.mock.patch.multiple(
                        compare, BUILD=folder, PAGE=page, KEPT=kept, built_by=lambda clang=clang: clang,
                        measure=lambda row=row: (row.encode(), compare.parse(row))):
                    self.assertEqual(compare.update(), 0)
                    found = compare.read_kept()
                self.assertEqual(found[clang], figures("6.1.0", insns))
                with open(page) as f:
                    self.assertIn("| rss_stat | %d |" % (insns if clang == 14 else 1000), f.read())
            self.assertEqual(set(found), {14, 19})

    def test_take_over(self):
        kept = {**figures("6.1.7", 1), **figures("6.12.3", 2)}
        self.assertEqual(compare.take_over(kept, figures("6.1.9", 3)),
                         {**figures("6.12.3", 2), **figures("6.1.9", 3)})

    def test_built_by(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, version in (("modern", 14), ("legacy", 19)):
                self.assertRaises(ValueError, compare.built_by, os.path.join(folder, name))
                os.makedirs(os.path.join(folder, name, "base"))
                with open(os.path.join(folder, name, "base", "a.bpf.o"), "wb") as f:
                    f.write(b"\x7fELF\0Debian clang version %d.0.6\0" % version)
                if name == "modern":
                    self.assertEqual(compare.built_by(folder), 14)
            self.assertRaises(ValueError, compare.built_by, folder)


if __name__ == "__main__":
    unittest.main()
