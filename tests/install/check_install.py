#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Installs each file of a release where users install it, does the first things that they do, and writes the table of that.

  tests/install/check_install.py [--docs FILE] [--list] [--missing] [ROW]…     ROW: a name, or a pattern such as 'archive-*'

Root only. The files are those of dist (make release). Without ROW all rows are run: hours, most of them in emulated guests.
The outcome of each is kept, in build/install/outcomes, with the sums of the files that it is of and of what checks them; when the last one that
fails or is missing has passed, the table goes between the two marker lines of FILE. Until then FILE is left alone. Status
1 if a row failed. Systems of Debian's releases are made once (mmdebstrap, by deb.sh), in build/install/systems.
"""
import argparse
import contextlib
import fnmatch
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
DIST = os.path.join(PROJECT, "dist")
WORK = os.path.join(PROJECT, "build", "install")
BEGIN, END = "<!-- install: begin, written by make check-install -->", "<!-- install: end -->"
# Debian's releases, and the stock kernel of each (tests/vm/vmtest.sh).
RELEASES = [("bullseye", "11", "5.10"), ("bookworm", "12", "6.1"), ("trixie", "13", "6.12"), ("forky", "14", "7.2")]
USE = ["test_machine_is_able", "test_main_job", "test_who_keeps_it", "test_recording_and_page"]
USED = "`check`, the main job, `heap`, `record`, `report`"
# What the packages' programs are linked with, in Debian 12.
LIBRARIES = "python3,libbpf1,libelf1,libjansson4,libsqlite3-0,libprotobuf-c1,libmicrohttpd12,libncursesw6,zlib1g"
# Runs "$@" in the root $0, with this machine's processes, and files in memory where it writes.
INSIDE = ('for path in proc sys dev; do mount --rbind "/$path" "$0/$path" || exit; done; mount -t tmpfs none "$0/tmp" && '
          'exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 '
          'PYMEM_SETTLE="${PYMEM_SETTLE:-1}" PYMEM_PATIENCE="${PYMEM_PATIENCE:-300}" chroot "$0" "$@"')


class Failed(Exception):
    """Why a row failed."""


class Row:
    """One thing that is installed on one system. `files`: patterns of what it is of, in dist; `what`: what is run there;
    `checks`: the files that say what that is, relative to the project; `run(files)` does it, and returns the release of the
    kernel, or raises Failed."""

    def __init__(self, name, artifact, system, what, files, checks, run):
        self.name, self.artifact, self.system, self.what, self.files = name, artifact, system, what, files
        self.checks, self.run = checks, run


def command(*words, **more):
    """Runs a command, whose output is shown as it comes."""
    status = subprocess.run(words, cwd=PROJECT, **more).returncode
    if status:
        raise Failed("%s: status %d" % (" ".join(words[:6]), status))


def version():
    with open(os.path.join(PROJECT, "VERSION"), encoding="ascii") as f:
        return f.read().strip()


def system(suite, packages="python3"):
    """The root of a system of this release of Debian, with these packages. Made once."""
    folder = os.path.join(WORK, "systems", suite if packages == "python3" else suite + "-libraries")
    if not os.path.exists(folder):
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(folder), prefix=".making.") as making:
            root = os.path.join(making, "root")
            command(os.path.join(HERE, "deb.sh"), "--system", suite, root, packages)
            os.rename(root, folder)
    return folder


def use(root, documents, kernel=None):
    """The first things that a user does, in a root; on this machine's kernel, or on that one in a guest. Its release."""
    shutil.copy(os.path.join(HERE, "installed.py"), os.path.join(root, "root", "installed.py"))
    log = os.path.join(WORK, "log")
    script = "uname -r; exec unshare --mount --propagation private sh -c '%s' \"$@\"" % INSIDE.replace("'", "'\\''")
    words = ["sh", "-c", script, "sh", root, "python3", "-B", "/root/installed.py", version(), documents, *USE]
    guest = [os.path.join(PROJECT, "tests", "vm", "vmtest.sh"), kernel] if kernel else []
    with open(log, "w", encoding="utf-8") as f:
        # An emulated Python needs time to start, and the emulated verifier minutes for each load; so much more where other
        # work is done beside it.
        subprocess.run(guest + words, cwd=PROJECT, stdout=f, stderr=subprocess.STDOUT, env=dict(
            os.environ, PYMEM_SETTLE="20" if kernel else "1", PYMEM_PATIENCE="1800" if kernel else "300", VM_MEMORY="1000M",
            VM_SECONDS="7200"))
    with open(log, encoding="utf-8") as f:
        said = f.read().splitlines()
    print("\n".join("    " + line for line in said))
    passed = [line for line in said if line.startswith("ok ")]
    if len(passed) != len(USE) or said[-1:] != ["end"]:
        raise Failed("%d of %d checks passed" % (len(passed), len(USE)))
    return next(line for line in said if line[:1].isdigit())


def remove(path, folder):
    """Removes the files of an archive from where they were unpacked, as docs/INSTALL.md says."""
    with tarfile.open(path) as tar:
        for name in tar.getnames():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name.partition("/")[2]))


def archive(suite, kernel=None):
    """Unpacked, used, and removed again as docs/INSTALL.md says."""
    def run(files):
        root = system(suite)
        local = os.path.join(root, "usr", "local")
        remove(files[0], local)  # what a run that was interrupted has left
        before = sorted(path for path in glob.glob(local + "/**", recursive=True) if not os.path.isdir(path))
        command("tar", "-xJf", files[0], "-C", local, "--strip-components=1")
        try:
            release = use(root, "/usr/local/share/doc/pymem-bpf", kernel)
        finally:
            remove(files[0], local)
        left = sorted(path for path in glob.glob(local + "/**", recursive=True) if not os.path.isdir(path))
        if left != before:
            raise Failed("it was removed, and left %s" % sorted(set(left) ^ set(before))[:5])
        return release
    return run


def rpm(files):
    """Installed by rpm, whose own names of what it needs are not Debian's."""
    with tempfile.TemporaryDirectory(dir=WORK, prefix="rpm.") as folder:
        root = os.path.join(folder, "root")
        shutil.copytree(system("bookworm", LIBRARIES), root, symlinks=True, ignore=shutil.ignore_patterns("dev"))
        os.mkdir(os.path.join(root, "dev"))
        command("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts", "-i", *files)
        return use(root, "/usr/share/doc/pymem-bpf")


def pytest(*paths, **names):
    """Tests that there are already; names: of the variables that say which file they are of."""
    def run(files):
        # A skip is not a pass: what a row says is run has to run.
        done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider", *paths],
                              cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, **{name: files[place] for name, place in names.items()}))
        said = done.stdout.decode(errors="replace")
        print(said)
        if done.returncode:
            raise Failed("pytest: status %d" % done.returncode)
        if "PYMEM_WHEEL" not in names and " skipped" in said.splitlines()[-1]:
            raise Failed("tests were skipped")
        return os.uname().release
    return run


def same_as_built(paths):
    """Refuses files of dist that are not, to the byte, what tools/package has built of this tree."""
    for path in paths:
        name = os.path.basename(path)
        if digest(path) != digest(os.path.join(PROJECT, "build", "packages", "deb", name)):
            raise Failed("%s is not what is made of this tree: check out the commit of the release, or make release" % name)


def deb(suite, released):
    """deb.sh builds the packages of this tree, installs, uses and removes them. That its sources are those of dist is seen before
    that; of this machine's release the packages are dist's, too, to the byte."""
    def run(files):
        command(os.path.join(PROJECT, "tools", "package"), "deb-source", stdout=subprocess.DEVNULL)
        same_as_built([path for path in files if path.endswith(".orig.tar.gz")])
        command(os.path.join(HERE, "deb.sh"), suite)
        same_as_built(files if released else ())
        return os.uname().release
    return run


def rows():
    """All, those that take longest last."""
    tar = ["pymem-bpf-{version}-linux-x86_64.tar.xz"]
    wheel = ["pymem_bpf-{version}-*-%s_*.whl" % library for library in ("manylinux", "musllinux")]
    sources = ["pymem-bpf_{version}.orig.tar.gz"]
    debs = ["pymem-bpf_{version}-*.deb", "python3-pymem-bpf_{version}-*.deb"] + sources
    rpms = [name + "-{version}-*." + os.uname().machine + ".rpm" for name in ("pymem-bpf", "python3-pymem-bpf")]
    intel, image, empty = "archive, x86-64", ["tests/dist/test_image.py"], ["tests/dist/test_empty_root.py"]
    used, packaged = ["tests/install/installed.py"], ["tests/install/deb.sh", "tests/install/installed.py"]
    wheels = ["tests/install/test_%s.py" % name for name in ("archives", "installed", "musl")]
    found = [Row("image", "image, x86-64", "crun", "`--version`, " + USED + ", with the capabilities of the DaemonSet",
                 ["pymem-bpf-{version}-oci.tar"], image + ["tests/dist/image.py", "tests/dist/conftest.py"],
                 pytest(*image, PYMEM_IMAGE=0)),
             Row("archive-empty", intel, "a root with no other file", USED + ", HTTPS", tar,
                 empty + ["tests/dist/conftest.py"], pytest(*empty))]
    found += [Row("archive-" + suite, intel, "Debian %s (%s)" % (number, suite), USED + "; removed", tar, used,
                  archive(suite)) for suite, number, _ in RELEASES]
    found += [Row("rpm", "RPM packages", "libraries of Debian 12, by `rpm --nodeps`", USED, rpms, used, rpm),
              Row("wheel", "wheel", "each Python that is here, by pip", "`make check-wheel`", wheel,
                  wheels + ["tests/install/conftest.py"], pytest(*wheels, PYMEM_WHEEL=0, PYMEM_MUSL_WHEEL=1)),
              Row("deb-bookworm", "Debian packages", "Debian 12 (bookworm)", "`make check-deb`", debs, packaged,
                  deb("bookworm", True)),
              Row("deb-trixie", "Debian packages, built there", "Debian 13 (trixie)", "`make check-deb SUITES=trixie`",
                  sources, packaged, deb("trixie", False))]
    found += [Row("archive-%s-%s" % (suite, kernel), intel, "Debian %s (%s) with its kernel, emulated" % (number, suite),
                  USED + "; removed", tar, used, archive(suite, kernel)) for suite, number, kernel in RELEASES]
    return found


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def files_of(row):
    """Those of dist that it is of; Failed if one is not there."""
    found = []
    for pattern in row.files:
        paths = sorted(glob.glob(os.path.join(DIST, pattern.format(version=version()))))
        if not paths:
            raise Failed("there is no %s in dist: make release" % pattern.format(version=version()))
        found += paths
    return found


def sums_of(row):
    """{name: sum} of its files, and of what says how they are checked."""
    return {**{os.path.basename(path): digest(path) for path in files_of(row)},
            **{path: digest(os.path.join(PROJECT, path)) for path in row.checks}}


def outcome_path(row):
    return os.path.join(WORK, "outcomes", row.name + ".json")


def outcome(row):
    """{"kernel"} of a row that has passed with the files that there are now; else why there is none, as text."""
    try:
        with open(outcome_path(row), encoding="utf-8") as f:
            kept = json.load(f)
    except FileNotFoundError:
        return "was not run"
    try:
        sums = sums_of(row)
    except Failed as e:
        return str(e)
    if kept["files"] != sums:
        return "was run with other files than those of dist, or by other checks"
    return kept if "kernel" in kept else "failed: " + kept["failed"]


def run_row(row):
    """Runs it and keeps the outcome. True if it passed."""
    print("# %s: %s, %s" % (row.name, row.artifact, row.system), flush=True)
    kept = {"files": {}}
    try:
        files = files_of(row)
        kept["files"] = sums_of(row)
        kept["kernel"] = row.run(files)
    except (Failed, OSError) as e:
        kept["failed"] = str(e)
    with open(outcome_path(row) + ".tmp", "w", encoding="utf-8") as f:
        json.dump(kept, f)
    os.rename(outcome_path(row) + ".tmp", outcome_path(row))
    print("%s - %s%s" % ("not ok" if "failed" in kept else "ok", row.name, ": " + kept["failed"] if "failed" in kept else ""),
          flush=True)
    return "failed" not in kept


def table(outcomes):
    """[(row, outcome)] as Markdown."""
    lines = ["| file | system | kernel | what was run | outcome |", "|---|---|---|---|---|"]
    lines += ["| %s | %s | %s | %s | passed |" % (row.artifact, row.system, kept["kernel"], row.what) for row, kept in outcomes]
    return "\n".join(lines)


def write(path, text):
    """Puts the text between the marker lines of a file."""
    with open(path, encoding="utf-8") as f:
        old = f.read()
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        sys.exit("%s: the two lines between which the table goes are not there once, in order" % path)
    new = "%s%s\n%s\n%s%s" % (old.partition(BEGIN)[0], BEGIN, text, END, old.partition(END)[2])
    if new != old:
        with open(path, "w", encoding="utf-8") as f:
            f.write(new)
    print("%s: %s" % (path, "unchanged" if new == old else "written"))


def finish(path, known):
    """Writes the table if each row has passed; says which have not."""
    outcomes = [(row, outcome(row)) for row in known]
    missing = [(row, why) for row, why in outcomes if isinstance(why, str)]
    for row, why in missing:
        print("# %s: %s" % (row.name, why))
    if missing:
        print("%s is left alone: %d of %d rows have not passed" % (path, len(missing), len(known)))
    else:
        write(path, table(outcomes))


def chosen(known, patterns, missing):
    """Of these rows, those that a pattern names, all if there is none; `missing`: without those that have passed."""
    named = [row for row in known if not patterns or any(fnmatch.fnmatch(row.name, one) for one in patterns)]
    return [row for row in named if not missing or isinstance(outcome(row), str)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", default=os.path.join(PROJECT, "docs", "INSTALL.md"))
    parser.add_argument("--list", action="store_true", help="only the names of the rows")
    parser.add_argument("--missing", action="store_true", help="only rows that have not passed with these files")
    parser.add_argument("rows", nargs="*")
    options = parser.parse_args()
    known = rows()
    unknown = [one for one in options.rows if not fnmatch.filter([row.name for row in known], one)]
    if unknown:
        parser.error("there is no such row: %s (--list has them)" % ", ".join(unknown))
    if options.list:
        print("\n".join(row.name for row in known))
        return 0
    if os.uname().machine != "x86_64":
        sys.exit("the rows are those of x86-64; make check-arm64 tests the other one")
    if os.geteuid() != 0:
        sys.exit("systems are made, and BPF is used, by root: sudo make check-install")
    os.makedirs(os.path.join(WORK, "outcomes"), exist_ok=True)
    passed = [run_row(row) for row in chosen(known, options.rows, options.missing)]
    print("%d passed, %d failed" % (sum(passed), len(passed) - sum(passed)))
    finish(options.docs, known)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
