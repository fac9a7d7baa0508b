#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tests of what installs and packs: tools/install-package, tools/pack-dist, tools/pack-skeleton, what the Makefile installs
and releases; and of tests/hosts."""
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(PROJECT, "tests", "hosts"))

import check_hosts  # noqa: E402


def write(folder, name, text=""):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def files(folder):
    """All that is there but folders, and folders that are empty, relative to it."""
    return sorted(os.path.relpath(os.path.join(path, name), folder) for path, folders, names in os.walk(folder)
                  for name in names + [one for one in folders if not os.listdir(os.path.join(path, one))])


def make(*words, **variables):
    """What make prints. variables: of its environment."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "WERROR")}
    return subprocess.run(["make", "-s", "--no-print-directory", *words], cwd=PROJECT, env=dict(env, **variables),
                          stdout=subprocess.PIPE, check=True).stdout.decode()


def documents():
    return make("print-documents").split()


class InstallPackage(unittest.TestCase):
    """It removes what it has installed, and nothing else."""
    INFO = "site/pymem_bpf-1.0.dist-info"
    OWN = ["../bin/pymem-mprof", "pymem_bpf/__init__.py", "pymem_bpf/native/x.h", "pymem_bpf-1.0.dist-info/INSTALLER",
           "pymem_bpf-1.0.dist-info/licenses/LICENSES/a.txt", "pymem_bpf-1.0.dist-info/RECORD"]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def install(self, installer, record=OWN):
        for name in self.OWN:
            write(self.root, os.path.normpath("site/" + name))
        write(self.root, "site/pymem_bpf/__pycache__/x.pyc")
        write(self.root, self.INFO + "/INSTALLER", installer + "\n")
        write(self.root, self.INFO + "/RECORD", "".join("%s,sha256=x,1\n" % name for name in record))

    def run_tool(self, *words):
        """(status, what it says on standard error)"""
        done = subprocess.run([sys.executable, "-B", os.path.join(PROJECT, "tools", "install-package"), *words, "/site", "/bin"],
                              env=dict(os.environ, DESTDIR=self.root + "/"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.stdout, b"")
        return done.returncode, done.stderr.decode()

    def test_remove(self):
        self.install("make")
        write(self.root, "site/pymem_bpf_other/x.py")
        write(self.root, "bin/other")
        self.assertEqual(self.run_tool("--remove"), (0, ""))
        self.assertEqual(files(self.root), ["bin/other", "site/pymem_bpf_other/x.py"])
        self.assertEqual(self.run_tool("--remove"), (0, ""))

    def test_what_is_not_of_make_stays_in_dist_info(self):
        self.install("make")
        write(self.root, self.INFO + "/mine")
        status, said = self.run_tool("--remove")
        self.assertEqual(status, 0)
        self.assertIn("is kept: there are files in it that were not installed by make", said)
        self.assertEqual(files(os.path.join(self.root, "site")), [self.INFO[5:] + "/mine"])

    def test_of_another(self):
        """It is named, it stays, and nothing is installed over it."""
        for installer, name, advice in (("pip", "pip", "pip uninstall pymem-bpf"), ("", "an unknown installer", "remove it")):
            self.install(installer)
            before = files(self.root)
            status, said = self.run_tool("--remove")
            self.assertEqual(status, 0)
            self.assertIn("pymem_bpf-1.0.dist-info was installed by %s: %s" % (name, advice), said)
            status, said = self.run_tool()
            self.assertEqual(status, 1)
            self.assertIn("was installed by %s: %s" % (name, advice), said)
            self.assertEqual(files(self.root), before)

    def test_of_the_distribution(self):
        """Packages have no RECORD."""
        self.install("make")
        os.unlink(os.path.join(self.root, self.INFO, "RECORD"))
        before = files(self.root)
        for words, status in ((("--remove",), 0), ((), 1)):
            done, said = self.run_tool(*words)
            self.assertEqual(done, status)
            self.assertIn("was installed by a package of the distribution", said)
        self.assertEqual(files(self.root), before)

    def test_record_that_lists_others_files(self):
        for stray in ("../etc/passwd", "pymem_bpf-2.0.dist-info/x", "pymem_bpf", "pymem_bpf_other/x.py", "pymem_bpf/native",
                      "/etc/hostname"):
            with self.subTest(stray):
                self.install("make", self.OWN + [stray])
                before = files(self.root)
                status, said = self.run_tool("--remove")
                self.assertEqual(status, 1)
                self.assertIn("which is not of this package: nothing of it is removed", said)
                self.assertEqual(files(self.root), before)


class Documents(unittest.TestCase):
    """What is installed is whole: what documents refer to is there."""

    def texts(self):
        for name in documents():
            if name.endswith(".md"):
                with open(os.path.join(PROJECT, name), encoding="utf-8") as f:
                    yield name, f.read()

    def test_are_there(self):
        self.assertEqual([name for name in documents() if not os.path.isfile(os.path.join(PROJECT, name))], [])
        self.assertLess({"README.md", "docs/INSTALL.md", "examples/shop.py", "packaging/agent.toml"}, set(documents()))

    def test_links(self):
        installed, missing = set(documents()), []
        for name, text in self.texts():
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
                path = os.path.normpath(os.path.join(os.path.dirname(name), target))
                if "://" not in target and path not in installed:
                    missing.append((name, target))
        self.assertEqual(missing, [])

    def test_files_to_take(self):
        """Samples that are named; what units, packages and static programs are made of is for who has the sources."""
        named = {one.rstrip(".") for _, text in self.texts() for one in re.findall(r"\bpackaging/[\w./-]+\.\w+", text)}
        samples = {one for one in named if not one.endswith((".in", ".mk")) and not one.startswith("packaging/static/")}
        self.assertLess({"packaging/grafana/pymem-bpf.json", "packaging/profiles/config.alloy"}, samples)
        self.assertEqual(samples - set(documents()), set())


class PackDist(unittest.TestCase):
    """The archive of a release, with a program that does nothing."""
    NAME = "pymem-bpf-1.0-linux-none"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.makedirs(os.path.join(self.folder, "root", "sbin"))
        subprocess.run(["gcc", "-x", "c", "-", "-o", os.path.join(self.folder, "root", "sbin", "pymem-bpf")], check=True,
                       input=b"int main(void) { return 0; }")
        for name in ("share/man/man8/pymem-bpf.8", "share/doc/pymem-bpf/docs/SERVE.md", "lib/systemd/system/x.service"):
            write(self.folder, "root/" + name, "a text\n")
        self.archive = os.path.join(self.folder, self.NAME + ".tar.xz")
        subprocess.run([os.path.join(PROJECT, "tools", "pack-dist"), "gcc", os.path.join(self.folder, "root"), self.archive,
                        "86400", "-lz"], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)

    def test_files_and_licences(self):
        with tarfile.open(self.archive) as tar:
            members = {m.name[len(self.NAME) + 1:]: m for m in tar.getmembers()}
        self.assertTrue(all(m.isfile() and (m.uid, m.gid, m.mtime) == (0, 0, 86400) for m in members.values()))
        self.assertEqual({m.mode for m in members.values()}, {0o644, 0o755})
        doc = "share/doc/pymem-bpf/"
        licences = {name for name in members if name.startswith(doc + "libraries/")}
        self.assertLess({doc + "libraries/" + name for name in ("PACKAGES", "zlib1g-dev", "libc6-dev", "uthash-dev")}, licences)
        self.assertEqual(set(members) - licences, {
            "sbin/pymem-bpf", "share/man/man8/pymem-bpf.8", doc + "docs/SERVE.md", "lib/systemd/system/x.service",
            doc + "LICENSE", doc + "LICENSES/GPL-2.0-only.txt", doc + "LICENSES/BSD-2-Clause.txt"})
        # LICENSE names them so.
        with open(os.path.join(PROJECT, "LICENSE"), encoding="utf-8") as f:
            self.assertIn("LICENSES/GPL-2.0-only.txt", f.read())

    def test_folders_that_are_there_keep_what_they_have(self):
        """Unpacked as docs/INSTALL.md says, below a prefix with a folder of a group's and one that is a link."""
        with open(os.path.join(PROJECT, "docs", "INSTALL.md"), encoding="utf-8") as f:
            options = re.search(r"sudo tar (-\S+) \S+ -C /usr/local (.*)", f.read())
        prefix, elsewhere = os.path.join(self.folder, "local"), os.path.join(self.folder, "elsewhere")
        for path in (prefix, os.path.join(prefix, "share"), elsewhere):
            os.mkdir(path)
            os.chmod(path, 0o2775)
            os.utime(path, (1000, 1000))
        os.symlink(elsewhere, os.path.join(prefix, "share", "man"))
        os.utime(os.path.join(prefix, "share"), (1000, 1000))
        subprocess.run(["tar", options.group(1), self.archive, "-C", prefix, *options.group(2).split()], check=True, umask=0o022)
        for path in (prefix, os.path.join(prefix, "share"), elsewhere):
            self.assertEqual(os.stat(path).st_mode & 0o7777, 0o2775, path)
        self.assertTrue(os.path.islink(os.path.join(prefix, "share", "man")))
        self.assertEqual(files(elsewhere), ["man8/pymem-bpf.8"])
        self.assertTrue(shutil.which("pymem-bpf", path=os.path.join(prefix, "sbin")))
        self.assertEqual(os.stat(os.path.join(prefix, "lib", "systemd")).st_mode & 0o777, 0o755)


class Release(unittest.TestCase):
    def commands(self, **variables):
        with tempfile.TemporaryDirectory() as folder:
            said = make("-n", "BUILD=" + folder, "DIST_ARCHS=x86_64", "DIST_ARCH=x86_64", "SOURCE_DATE_EPOCH=86400", "dist-one",
                        **variables)
            return said.replace(folder, "BUILD").splitlines()

    def test_small_where_it_is_not_hot(self):
        """What reads processes is optimised as ever."""
        level = {re.search(r" -c (user/\w+)/", line).group(1): re.findall(r" -O\w", line)[-1] for line in self.commands()
                 if " -c user/" in line}
        self.assertEqual({name: one for name, one in level.items() if one != " -O2"}, dict.fromkeys(
            ("user/agent", "user/cli", "user/render", "user/report", "user/screen"), " -Os"))
        self.assertLess({"user/kernel", "user/python", "user/heap", "user/track"}, set(level))

    def test_nothing_of_the_environment_is_taken(self):
        """The same commands, whatever the builder has set: each variable that the Makefile takes."""
        taken = set()
        for name in ("Makefile", "packaging/dist.mk", "packaging/static.mk"):
            with open(os.path.join(PROJECT, name), encoding="utf-8") as f:
                text = f.read()
            taken |= set(re.findall(r"^([A-Z_]+) \?=", text, re.MULTILINE))
            taken |= set(re.findall(r"\$\(if \$\(([A-Z_]+)\)|(?<=^ifdef )[A-Z_]+", text, re.MULTILINE)) - {""}
        taken |= {"CPPFLAGS", "LDFLAGS", "WERROR", "NO_HTML"}
        # What is released, where it is built, and how much at a time.
        taken -= {"BUILD", "DIST_ARCHS", "SOURCE_DATE_EPOCH", "JOBS", "STATIC"}
        self.assertLess({"CC", "ESBUILD", "PYTHON", "SBINDIR", "ZSH_COMPLETIONS", "BPF_INCLUDE"}, taken)
        clean = self.commands()
        self.assertTrue([line for line in clean if "-o BUILD/dist/x86_64/pymem-bpf" in line])
        dirty = self.commands(**{name: "/of/the/builder" for name in taken})
        self.assertEqual([line for line in dirty if "/of/the/builder" in line], [])
        self.assertEqual(dirty, clean)


# The parts of bpftool's header that tools/pack-skeleton changes. %s: a cast, of Debian 12's bpftool.
SKELETON = """#include <bpf/libbpf.h>

static int open(void)
{
\terr = bpf_object__open_skeleton(obj->skeleton, opts);
}

static int create(void)
{
\ts->data = %sx__elf_bytes(&s->data_sz);
}

static inline const void *x__elf_bytes(size_t *sz)
{
\tstatic const char data[] = "ELF";

\t*sz = sizeof(data) - 1;
\treturn (const void *)data;
}
"""


class PackSkeleton(unittest.TestCase):
    def pack(self, text):
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"ELF" * 1000)
            f.flush()
            done = subprocess.run([os.path.join(PROJECT, "tools", "pack-skeleton"), f.name, "x"], input=text.encode(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_each_bpftool(self):
        for cast in ("(void *)", ""):
            status, packed, said = self.pack(SKELETON % cast)
            self.assertEqual((status, said), (0, ""))
            self.assertIn("\ts->data = (void *)x__elf_bytes(&s->data_sz);\n\tif (!s->data) {\n", packed)
            self.assertIn("\treturn unpack(packed, sizeof(packed), 3000);\n", packed)
            self.assertIn("\tfree((void *)obj->skeleton->data);\n", packed)

    def test_another_shape_is_refused(self):
        status, packed, said = self.pack(SKELETON.replace("open_skeleton", "open_other") % "")
        self.assertEqual((status, packed), (1, ""))
        self.assertIn("bpftool's skeleton is not as it is known: 0 of", said)


class Hosts(unittest.TestCase):
    """tests/hosts/check_hosts.py, without a system."""

    def host(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(setattr, check_hosts, "WORK", check_hosts.WORK)
        check_hosts.WORK = folder.name
        host = check_hosts.Host("suite")
        self.addCleanup(host.log.close)
        return host

    def test_what_it_runs_is_there(self):
        self.assertEqual(check_hosts.first_command(), "sh -c 'tools/install-deps build && make demo'")
        for name in check_hosts.SAMPLE:
            self.assertTrue(os.path.exists(os.path.join(PROJECT, "tests", "e2e", name)), name)

    def test_steps(self):
        host = self.host()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertTrue(host.step("a", host.run(["sh", "-c", "echo shown; echo + a command; echo other"], 60) == 0, ["^shown"]))
            self.assertFalse(host.step("b", host.run(["sh", "-c", "echo why; exit 3"], 60) == 0))
        self.assertEqual((host.passed, host.failed), (1, 1))
        lines = out.getvalue().splitlines()
        self.assertEqual(lines[:2] + lines[-2:], ["#   shown", "ok - suite: a", "#   why", "not ok - suite: b"])

    def test_a_system_that_can_not_be_made(self):
        """It is a step that failed, with what was said; the systems after it are tried."""
        self.host()
        for systems, said in (("false", ["a fresh system: false"]), ("true", ["a fresh system: true", "a fresh system: git"])):
            with unittest.mock.patch.object(check_hosts, "SYSTEMS", systems), \
                    unittest.mock.patch.object(check_hosts, "PROJECT", check_hosts.WORK), \
                    contextlib.redirect_stdout(io.StringIO()) as out:
                passed, failed = check_hosts.check("suite", "none", False)
            lines = [line for line in out.getvalue().splitlines() if "ok - " in line]
            self.assertEqual((passed, failed), (len(said) - 1, 1), out.getvalue())
            self.assertEqual(lines, ["%sok - suite: %s" % ("not " * (one is said[-1]), one) for one in said])

    def test_what_takes_too_long_is_ended_with_all_that_it_started(self):
        host = self.host()
        self.assertEqual(host.run(["sh", "-c", "sleep 600 & echo $!; wait"], 1), 124)
        pid = host.said().splitlines()[-1]
        self.assertTrue(pid.isdigit(), host.said())  # of anything else there is no such file in /proc either
        deadline = time.monotonic() + 60
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it is gone
            while True:
                with open("/proc/%s/status" % pid) as f:
                    if "\nState:\tZ" in f.read():
                        break
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
