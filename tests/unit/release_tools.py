#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tests of releases: there is one version, which all texts have; tools/release makes a release of a commit, whole or
not at all; tools/pack-image packs what a small archive has."""
import contextlib
import fnmatch
import glob
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(PROJECT, "tests", "install"))

import check_install  # noqa: E402


def read(*names):
    with open(os.path.join(PROJECT, *names), encoding="utf-8") as f:
        return f.read()


def make(*words):
    """What make prints."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "WERROR")}
    return subprocess.run(["make", "--no-print-directory", *words], cwd=PROJECT, env=env, stdout=subprocess.PIPE,
                          check=True).stdout.decode()


VERSION = read("VERSION").strip()
# What was measured names the version that was measured.
MEASURED = ["docs/BENCHMARKS.md"]


class Version(unittest.TestCase):
    """VERSION has it, and all that shows it follows."""

    def test_documents(self):
        """What is pasted from runs, and names of archives."""
        found = {}
        for path in glob.glob(os.path.join(PROJECT, "*.md")) + glob.glob(os.path.join(PROJECT, "docs", "*.[m8]*")) + \
                glob.glob(os.path.join(PROJECT, "packaging", "*.yaml")):
            name = os.path.relpath(path, PROJECT)
            if name not in MEASURED:
                shown = re.findall(r"(?:pymem[-_]bpf[-_: ]v?|pymem_build_info\{version=\")(\d+\.\d+\.\d+)\b", read(name))
                found.update({name: set(shown)} if shown else {})
        self.assertLess({"docs/INSTALL.md", "packaging/pymem-bpf-agent.yaml"}, set(found))
        self.assertEqual(found, dict.fromkeys(found, {VERSION}))

    def test_changelog_begins_with_it(self):
        self.assertRegex(re.search(r"^## .*$", read("CHANGELOG.md"), re.MULTILINE).group(),
                         r"^## %s \((\d{4}-\d\d-\d\d|not released)\)$" % re.escape(VERSION))

    def test_objects_that_have_it_are_built_again(self):
        """The Makefile names them: a program must not have the version of an earlier build."""
        user = os.path.join(PROJECT, "user")
        has = {os.path.relpath(path, user)[:-2] for path in glob.glob(os.path.join(user, "*", "*.[ch]"))
               if "PYMEM_VERSION" in read(path)}
        said = re.search(r"^VERSIONED := (.*)$", read("Makefile"), re.MULTILINE).group(1)
        self.assertEqual(set(said.split()), has)
        database = make("-pn", "print-documents")
        for name in has:
            self.assertRegex(database, r"(?m)^build/user/%s\.o: .*\bVERSION\b" % name)


# In place of what takes an hour: each goal makes the files that the real one makes, or fails.
MAKEFILE = """
FAIL :=
all := dist image wheel deb rpm
wheel-pythons:
	@[ ! -e without-pythons ] || { echo 'no interpreter for 3.8' >&2; exit 1; }
$(all):
\t@echo $@ >> log
\t@[ "$(FAIL)" != $@ ] || { echo "a fault" >&2; exit 3; }
\t@sh ./recipe $@ "$(DIST_OUT)" "$(IMAGE_OUT)" "$(WHEEL_OUT)"
.PHONY: $(all) wheel-pythons
"""
RECIPE = """
made() { mkdir -p "$1"; (cd "$1"; shift; for name; do echo "$name" > "$name"; done); }
case $1 in
dist) made "$2" pymem-bpf-1.2.3-linux-x86_64.tar.xz pymem-bpf-1.2.3-linux-arm64.tar.xz SHA256SUMS ;;
image) made "$3" pymem-bpf-1.2.3-oci.tar ;;
wheel) made "$4" pymem_bpf-1.2.3-py3-none-manylinux_2_28_x.whl pymem_bpf-1.2.3-py3-none-musllinux_1_2_x.whl \\
	pymem_bpf-1.2.3.tar.gz ;;
deb) made build/packages/deb pymem-bpf_1.2.3-1_amd64.deb pymem-bpf_1.2.3-1_amd64.changes python3-pymem-bpf_1.2.3-1_amd64.deb \\
	pymem-bpf-dbgsym_1.2.3-1_amd64.deb pymem-bpf_1.2.3-1.dsc pymem-bpf_1.2.3-1.debian.tar.xz pymem-bpf_1.2.3.orig.tar.gz ;;
rpm) made build/packages/rpm pymem-bpf-1.2.3-1.$(uname -m).rpm pymem-bpf-1.2.3-1.src.rpm \\
	python3-pymem-bpf-1.2.3-1.$(uname -m).rpm pymem-bpf.spec ;;
esac
"""
RELEASED = ("""pymem-bpf-1.2.3-1.src.rpm pymem-bpf-1.2.3-1.MACHINE.rpm python3-pymem-bpf-1.2.3-1.MACHINE.rpm
pymem-bpf-dbgsym_1.2.3-1_amd64.deb pymem-bpf-1.2.3-linux-arm64.tar.xz
pymem-bpf-1.2.3-linux-x86_64.tar.xz pymem-bpf-1.2.3-oci.tar pymem-bpf_1.2.3-1.debian.tar.xz pymem-bpf_1.2.3-1.dsc
pymem-bpf_1.2.3-1_amd64.deb pymem-bpf_1.2.3.orig.tar.gz pymem_bpf-1.2.3-py3-none-manylinux_2_28_x.whl
pymem_bpf-1.2.3-py3-none-musllinux_1_2_x.whl pymem_bpf-1.2.3.tar.gz
python3-pymem-bpf_1.2.3-1_amd64.deb""").replace("MACHINE", os.uname().machine).split()


class Release(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)
        for name, text in (("Makefile", MAKEFILE), ("recipe", RECIPE), ("VERSION", "1.2.3\n"),
                           ("CHANGELOG.md", "# Changelog\n\n## 1.2.3 (2026-11-30)\n\n## 1.2.2 (2026-01-01)\n"),
                           ("packaging/project", "HOMEPAGE=https://x\nMAINTAINER=X <x@x>\n"), (".gitignore", "/dist/\n/dist.new.*/\n/build/\n/log\n"),
                           ("tools/install-deps", "#!/bin/sh\necho install >> log\n")):
            self.write(name, text)
        os.chmod(os.path.join(self.folder, "tools", "install-deps"), 0o755)
        for name in "release", "publisher":
            shutil.copy(os.path.join(PROJECT, "tools", name), os.path.join(self.folder, "tools"))
        self.git("init", "-q")
        self.commit()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def git(self, *words):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", *words], cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL)

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-qm", "x", "--allow-empty")

    def release(self, **env):
        """(status, what it says, what was installed and made)"""
        clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "BUILD", "DIST_OUT")}
        done = subprocess.run([os.path.join(self.folder, "tools", "release")], cwd="/", env=dict(clean, **env),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        made = []
        if os.path.exists(os.path.join(self.folder, "log")):
            with open(os.path.join(self.folder, "log"), encoding="ascii") as f:
                made = f.read().split()
        self.assertEqual(glob.glob(os.path.join(self.folder, "dist.new.*")), [])
        return done.returncode, done.stdout.decode(), made

    def dist(self):
        return sorted(os.listdir(os.path.join(self.folder, "dist")))

    def refused(self, why):
        status, said, made = self.release()
        self.assertEqual((status, made), (1, []), said)
        self.assertIn(why, said)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "dist")))

    def test_whole(self):
        self.write("dist/pymem-bpf-1.2.2-linux-x86_64.tar.xz", "of another release")
        self.write("build/packages/deb/pymem-bpf_1.2.2-1_amd64.deb", "of another release")
        status, said, made = self.release()
        self.assertEqual((status, made), (0, ["install", "dist", "image", "wheel", "deb", "rpm"]), said)
        self.assertEqual(self.dist(), sorted(RELEASED + ["SHA256SUMS"]))
        with open(os.path.join(self.folder, "dist", "SHA256SUMS"), encoding="ascii") as f:
            sums = dict(reversed(line.split()) for line in f)
        self.assertEqual(sums, {name: hashlib.sha256((name + "\n").encode()).hexdigest() for name in RELEASED})
        self.assertEqual(os.stat(os.path.join(self.folder, "dist")).st_mode & 0o777, 0o755)

    def test_publisher(self):
        """Who publishes it is set in one file; that it is not, is said first and last."""
        self.assertNotIn("NOTE", self.release()[1])
        for text, unset in (("HOMEPAGE=\nMAINTAINER=\n", "HOMEPAGE MAINTAINER"), ("# HOMEPAGE=x\nMAINTAINER=x\n", "HOMEPAGE"),
                            ("HOMEPAGE=x\n", "MAINTAINER")):
            self.write("packaging/project", text)
            self.commit()
            status, said, _ = self.release()
            self.assertEqual(status, 0, said)
            note = "make release: NOTE: not set in packaging/project: %s. Whoever" % unset
            self.assertEqual((said.startswith(note), said.count(note)), (True, 2), said)

    def test_publisher_that_no_package_could_have(self):
        for text, why in (("HOMEPAGE= \nMAINTAINER=\n", "HOMEPAGE is ' '"), ("MAINTAINER=50 % <x@x>\n", "MAINTAINER is '50 % <x@x>'")):
            self.write("packaging/project", text)
            self.commit()
            self.refused(why)

    def test_without_a_python_of_the_wheel(self):
        """Said before anything is built."""
        self.write("without-pythons", "")
        self.commit()
        status, said, made = self.release()
        self.assertEqual((status, made), (1, ["install"]), said)
        self.assertIn("no interpreter for 3.8", said)
        self.assertIn("the wheel needs the Pythons that are named above; nothing was built", said)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "dist")))

    def test_dirty(self):
        for name in ("VERSION", "unknown"):
            self.write(name, "1.2.3\n\n")
            self.refused("the tree has changes: commit them, or remove them")
            self.git("clean", "-fdq")
            self.git("checkout", "-q", ".")

    def test_not_described(self):
        for text in ("## 1.2.3 (not released)\n", "## 1.2.3\n", "## 1.2.3 (2026-13-01)\n", "## 1x2x3 (2026-11-30)\n", "",
                     "## 1.2.4 (not released)\n## 1.2.3 (2026-11-30)\n", "# 1.2.3 (2026-11-30)\n"):
            with self.subTest(text):
                self.write("CHANGELOG.md", text)
                self.commit()
                self.refused("not with '## 1.2.3 (YYYY-MM-DD)'")

    def test_version(self):
        self.write("VERSION", "1.2\n")
        self.commit()
        self.refused("VERSION is no version: 1.2")

    def test_tag_of_another_commit(self):
        self.git("tag", "v1.2.3")
        self.commit()
        self.refused("v1.2.3 is another commit")
        self.git("tag", "-f", "v1.2.3")
        self.assertEqual(self.release()[0], 0)

    def test_not_of_git(self):
        shutil.rmtree(os.path.join(self.folder, ".git"))
        self.refused("this is not a tree of git")

    def test_what_fails_is_named(self):
        self.write("dist/before", "")
        for goal, what in (("dist", "static programs"), ("image", "image"), ("wheel", "wheels and source distribution"),
                           ("deb", "Debian packages"), ("rpm", "RPM packages")):
            status, said, made = self.release(MAKEFLAGS="", **{"GNUMAKEFLAGS": "FAIL=" + goal})
            self.assertEqual((status, made[-1]), (1, goal), said)
            self.assertIn("a fault", said)
            self.assertIn("%s could not be made (make %s: status 2); dist is as it was" % (what, goal), said)
            self.assertEqual(self.dist(), ["before"])

    def test_what_is_missing_is_named(self):
        self.write("recipe", RECIPE.replace("python3-pymem-bpf_1.2.3-1_amd64.deb", ""))
        self.commit()
        status, said, _ = self.release()
        self.assertEqual(status, 1, said)
        self.assertIn("Debian packages: there is no build/packages/deb/python3-pymem-bpf_1.2.3-*.deb", said)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "dist")))

    def test_changed_meanwhile(self):
        self.write("recipe", RECIPE + "echo >> VERSION\n")
        self.commit()
        status, said, _ = self.release()
        self.assertEqual(status, 1, said)
        self.assertIn("the tree was changed while the release was made", said)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "dist")))

    def test_the_real_one(self):
        """make release only starts it; its goals are goals of the Makefile, and make help names it."""
        self.assertEqual(make("-n", "release").strip(), 'BUILD="build" DIST_OUT="dist" tools/release')
        goals = re.findall(r"^step '.*' (\w+)", read("tools", "release"), re.MULTILINE)
        self.assertEqual(goals, ["dist", "image", "wheel", "deb", "rpm"])
        make("-n", "wheel-pythons", *goals)
        self.assertIn("make release ", make("-s", "help"))


@unittest.skipUnless(shutil.which("buildah"), "buildah is not installed (tools/install-deps image)")
class PackImage(unittest.TestCase):
    """The image of archives with texts in place of programs."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.archives = [self.archive(arch) for arch in ("x86_64", "arm64")]

    def archive(self, arch, version=VERSION):
        top = "pymem-bpf-%s-linux-%s" % (version, arch)
        path = os.path.join(self.folder, top + ".tar.xz")
        with tarfile.open(path, "w:xz") as tar:
            for name, mode in (("sbin/pymem-bpf", 0o755), ("share/man/man8/pymem-bpf.8", 0o644)) + tuple(
                    ("share/doc/pymem-bpf/" + one, 0o644) for one in ("README.md", "LICENSE", "LICENSES/a.txt", "libraries/PACKAGES")):
                member = tarfile.TarInfo(top + "/" + name)
                member.size, member.mode, member.mtime = len(arch), mode, 1
                tar.addfile(member, io.BytesIO(arch.encode()))
        return path

    def pack(self, name, archives, umask=0o022):
        path = os.path.join(self.folder, name)
        done = subprocess.run([os.path.join(PROJECT, "tools", "pack-image"), path, "86400", "cafe", *archives], umask=umask,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return path, done.returncode, done.stdout.decode()

    def test_contents(self):
        path, status, said = self.pack("a.tar", self.archives)
        self.assertEqual(status, 0, said)
        with tarfile.open(path) as tar:
            self.assertTrue(all((m.uid, m.gid, m.mtime) == (0, 0, 86400) for m in tar.getmembers()))

            def blob(descriptor):
                data = tar.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()
                self.assertEqual(hashlib.sha256(data).hexdigest(), descriptor["digest"].split(":")[1])
                return data
            one, = json.load(tar.extractfile("index.json"))["manifests"]
            self.assertEqual(one["annotations"], {"org.opencontainers.image.ref.name": "pymem-bpf:" + VERSION})
            images = json.loads(blob(one))["manifests"]
            self.assertEqual([image["platform"] for image in images],
                             [{"architecture": arch, "os": "linux"} for arch in ("amd64", "arm64")])
            for image, arch in zip(images, ("x86_64", "arm64")):
                manifest = json.loads(blob(image))
                config = json.loads(blob(manifest["config"]))
                self.assertEqual(config["config"], {
                    "Env": ["PATH=/usr/local/sbin"], "Entrypoint": ["/usr/local/sbin/pymem-bpf"],
                    "Labels": {"org.opencontainers.image." + key: value for key, value in (
                        ("title", "pymem-bpf"), ("version", VERSION), ("revision", "cafe"), ("created", "1970-01-02T00:00:00Z"),
                        ("licenses", "GPL-2.0-only OR BSD-2-Clause"), ("description", config["config"]["Labels"][
                            "org.opencontainers.image.description"]))}})
                self.assertEqual(config["created"], "1970-01-02T00:00:00Z")
                layer, = manifest["layers"]
                with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layer)))) as root:
                    files = {m.name: m for m in root.getmembers() if m.isfile()}
                    self.assertTrue(all((m.uid, m.gid, m.mtime) == (0, 0, 86400) for m in root.getmembers()))
                    self.assertEqual({m.mode & 0o7777 for m in root.getmembers() if m.isdir()}, {0o755})
                    self.assertEqual(root.extractfile("usr/local/sbin/pymem-bpf").read().decode(), arch)
                self.assertEqual({name: m.mode & 0o7777 for name, m in files.items()}, {
                    "usr/local/" + name: mode for name, mode in (
                        ("sbin/pymem-bpf", 0o755), ("share/doc/pymem-bpf/LICENSE", 0o644),
                        ("share/doc/pymem-bpf/LICENSES/a.txt", 0o644), ("share/doc/pymem-bpf/libraries/PACKAGES", 0o644))})

    def test_same_bytes(self):
        packed = []
        for name, umask in (("a.tar", 0o022), ("b.tar", 0o077)):
            path, status, said = self.pack(name, self.archives, umask)
            self.assertEqual(status, 0, said)
            with open(path, "rb") as f:
                packed.append(f.read())
        self.assertTrue(packed[0] == packed[1])

    def test_refused(self):
        for archives, why in (([self.archive("x86_64", "0.0.1")], "is no archive of version " + VERSION),
                              (self.archives[:1] * 2, "there are two archives for amd64"),
                              ([self.folder + "/none"], "there is no %s/none: make dist" % self.folder)):
            path, status, said = self.pack("a.tar", archives)
            self.assertEqual(status, 1)
            self.assertIn(why, said)
            self.assertEqual(glob.glob(path + "*"), [])


class InstallTable(unittest.TestCase):
    """The table of docs/INSTALL.md: from a whole run with the files that are there, and otherwise left alone."""
    TEXT = "before\n%s\nold\n%s\nafter\n" % (check_install.BEGIN, check_install.END)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.docs = os.path.join(self.folder, "INSTALL.md")
        os.makedirs(os.path.join(self.folder, "outcomes"))
        self.write("check.py", "checks")
        self.write("VERSION", "1.2.3\n")
        for place in "WORK", "DIST", "PROJECT":
            patch = unittest.mock.patch.object(check_install, place, self.folder)
            patch.start()
            self.addCleanup(patch.stop)
        for name in "a.tar", "b.tar":
            self.write(name, name)
        self.write("INSTALL.md", self.TEXT)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def rows(self, **ways):
        def fails(_):
            raise check_install.Failed("a fault")
        return [check_install.Row(name, "file " + name, "system", "what", [name + ".tar"], ["check.py"],
                                  fails if ways.get(name) == "fails" else lambda files: "6.1") for name in ("a", "b")]

    def finished(self, rows):
        """What is said, and the document."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            check_install.finish(self.docs, rows)
        with open(self.docs, encoding="utf-8") as f:
            return said.getvalue(), f.read()

    def run_rows(self, rows):
        with contextlib.redirect_stdout(io.StringIO()):
            return [check_install.run_row(row) for row in rows]

    def test_whole(self):
        rows = self.rows()
        self.assertEqual(self.run_rows(rows), [True, True])
        said, text = self.finished(rows)
        self.assertIn("written", said)
        self.assertEqual(text, self.TEXT.replace("old", "| file | system | kernel | what was run | outcome |\n"
                                                 "|---|---|---|---|---|\n| file a | system | 6.1 | what | passed |\n| file b | system | 6.1 | what | passed |"))

    def test_in_parts(self):
        rows = self.rows()
        self.run_rows(rows[:1])
        said, text = self.finished(rows)
        self.assertIn("b: was not run", said)
        self.assertEqual(text, self.TEXT)
        self.run_rows(rows[1:])
        self.assertNotEqual(self.finished(rows)[1], self.TEXT)

    def test_missing(self):
        """What has passed with these files is not run again, if that is asked for."""
        rows = self.rows(b="fails")
        self.assertEqual(check_install.chosen(rows, [], True), rows)
        self.run_rows(rows)
        self.assertEqual(check_install.chosen(rows, [], True), rows[1:])
        self.assertEqual(check_install.chosen(rows, ["a"], True), [])
        self.assertEqual(check_install.chosen(rows, ["a"], False), rows[:1])
        self.write("a.tar", "of another commit")
        self.assertEqual(check_install.chosen(rows, [], True), rows)

    def test_not_after_a_failure(self):
        rows = self.rows(b="fails")
        self.assertEqual(self.run_rows(rows), [True, False])
        said, text = self.finished(rows)
        self.assertIn("b: failed: a fault", said)
        self.assertEqual(text, self.TEXT)

    def test_not_of_other_files(self):
        rows = self.rows()
        self.run_rows(rows)
        self.write("b.tar", "of another commit")
        said, text = self.finished(rows)
        self.assertIn("b: was run with other files than those of dist", said)
        os.unlink(os.path.join(self.folder, "a.tar"))
        said, text = self.finished(rows)
        self.assertIn("a: there is no a.tar in dist: make release", said)
        self.assertEqual(text, self.TEXT)

    def test_not_by_other_checks(self):
        rows = self.rows()
        self.run_rows(rows)
        self.write("check.py", "checks more")
        said, text = self.finished(rows)
        self.assertIn("a: was run with other files than those of dist, or by other checks", said)
        self.assertEqual(text, self.TEXT)
        self.assertEqual(check_install.chosen(rows, [], True), rows)

    def test_packages_of_other_sources(self):
        """Said before a system is made or a package built."""
        name = "pymem-bpf_1.2.3.orig.tar.gz"
        self.write(name, "of the release")
        os.makedirs(os.path.join(self.folder, "build", "packages", "deb"))
        self.write("build/packages/deb/" + name, "of another commit")
        run = []
        with unittest.mock.patch.object(check_install, "command", lambda *words, **more: run.append(words[1])):
            for released in True, False:
                with self.assertRaisesRegex(check_install.Failed, name + " is not what is made of this tree"):
                    check_install.deb("bookworm", released)([os.path.join(self.folder, "a.tar"), os.path.join(self.folder, name)])
            self.assertEqual(run, ["deb-source"] * 2)
            self.write("build/packages/deb/" + name, "of the release")
            check_install.deb("trixie", False)([os.path.join(self.folder, name)])
            self.assertEqual(run[2:], ["deb-source", "trixie"])

    def test_rows(self):
        """Each has a name, and is of files that a release has; all of the files that are installed are in a row."""
        rows = check_install.rows()
        self.assertEqual(len({row.name for row in rows}), len(rows))
        patterns = {pattern.format(version="1.2.3") for row in rows for pattern in row.files}
        for row in rows:
            self.assertTrue(row.checks and all(os.path.isfile(os.path.join(PROJECT, path)) for path in row.checks), row.name)
        for pattern in patterns:
            self.assertTrue(fnmatch.filter(RELEASED, pattern), pattern)
        missing = [name for name in RELEASED if not any(fnmatch.fnmatch(name, one) for one in patterns)]
        self.assertEqual(missing, ["pymem-bpf-1.2.3-1.src.rpm", "pymem-bpf-dbgsym_1.2.3-1_amd64.deb",
                                   "pymem-bpf-1.2.3-linux-arm64.tar.xz",
                                   "pymem-bpf_1.2.3-1.debian.tar.xz", "pymem-bpf_1.2.3-1.dsc", "pymem_bpf-1.2.3.tar.gz"])

    def test_the_document(self):
        """It has a row for each row, or no table."""
        text = read("docs", "INSTALL.md")
        table = text.partition(check_install.BEGIN)[2].partition(check_install.END)[0].strip()
        self.assertEqual((text.count(check_install.BEGIN), text.count(check_install.END)), (1, 1))
        if table:
            said = [tuple(line.strip("| ").split(" | "))[:2] for line in table.splitlines()[2:]]
            self.assertEqual(said, [(row.artifact, row.system) for row in check_install.rows()])


if __name__ == "__main__":
    unittest.main()
