# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds the package with setuptools alone, offline. All else about it is in pyproject.toml; how the extension is
compiled is in extension.py.

Without more, a wheel is for the interpreter that builds it, and has no program. Variables of the environment say what
else is to be in it; tools/build-wheel sets them:

  PYMEM_BPF_PROGRAM=FILE        the program pymem-bpf, which becomes a command beside the interpreter
  PYMEM_BPF_EXTENSIONS=FOLDER   extensions that are built already (_lines*.so), of several interpreters, in place of
                                one that is built now, or with none at all; with it, PYMEM_BPF_PLATFORM=TAG: for which
                                platform they are
  SOURCE_DATE_EPOCH             seconds since 1970, the time of all files: archives of the same files are the same
"""
import glob
import gzip
import os
import runpy
import shutil
import stat
import subprocess
import sys
import tarfile

import setuptools
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from distutils.command.build_scripts import build_scripts  # setuptools has it where Python has it no more

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70.1
    try:
        from wheel.bdist_wheel import bdist_wheel
    except ImportError:  # a source distribution needs none
        bdist_wheel = None

HERE = os.path.dirname(os.path.abspath(__file__))
os.chdir(HERE)
extension = runpy.run_path(os.path.join(HERE, "extension.py"))

# What a source distribution has beside this file, from the project: what the program is made of, and its page.
FILES = ["LICENSE", "VERSION", "Makefile", "CHANGELOG.md", "vmlinux.h", "docs/pymem-bpf.8"]
FOLDERS = ["LICENSES", "include", "bpf", "user", "tools", "packaging"]
LIST = "project-files.txt"  # of a source distribution: which of its files these are
LEFT = (".o", ".d", ".so", ".tmp", ".pyc", "~", ".orig", ".rej", ".bak", ".swp")  # by builds and editors
ROOT = extension["root"]()
if ROOT is None:
    sys.exit("pymem_bpf: %s is neither here nor above: build in the project's tree, or from a source "
             "distribution made there (setup.py sdist)" % extension["SHARED_HEADER"])
if extension["refusal"]() is not None:
    sys.exit(extension["refusal"]())
# Older ones ignore [project] and would build a package without a name.
if int(setuptools.__version__.split(".")[0]) < 61:
    sys.exit("pymem_bpf: setuptools %s does not read [project] in pyproject.toml; install setuptools 61 or "
             "newer" % setuptools.__version__)
STABLE = extension["is_stable"]()
PROGRAM = os.environ.get("PYMEM_BPF_PROGRAM")
EXTENSIONS, PLATFORM = os.environ.get("PYMEM_BPF_EXTENSIONS"), os.environ.get("PYMEM_BPF_PLATFORM")
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
if PROGRAM and (os.path.basename(PROGRAM) != "pymem-bpf" or not os.access(PROGRAM, os.X_OK)):
    sys.exit("pymem_bpf: PYMEM_BPF_PROGRAM=%s: no program of the name pymem-bpf" % PROGRAM)
if bdist_wheel is None and "bdist_wheel" in sys.argv:
    sys.exit("pymem_bpf: %s has neither wheel nor setuptools 70.1 or newer (Debian: python3-wheel)" % sys.executable)
if EXTENSIONS and not (PLATFORM and os.path.isdir(EXTENSIONS)):
    sys.exit("pymem_bpf: PYMEM_BPF_EXTENSIONS=%s: no such folder, or no PYMEM_BPF_PLATFORM" % EXTENSIONS)


def project_files():
    """Paths of FILES, and of what is in FOLDERS, relative to ROOT, sorted: files that git knows; in a source distribution
    those that its LIST has. A tree with neither, which was unpacked from elsewhere, is taken as it is, but for what
    builds and editors leave there."""
    if os.path.exists(os.path.join(ROOT, ".git")):
        try:
            said = subprocess.check_output(["git", "ls-files", "-z", "--"] + FILES + FOLDERS, cwd=ROOT)
        except (OSError, subprocess.CalledProcessError) as e:
            sys.exit("pymem_bpf: git does not say which files of %s are the project's: %s" % (ROOT, e))
        return sorted(os.fsdecode(said).split("\0")[:-1])
    if os.path.exists(os.path.join(ROOT, LIST)):
        with open(os.path.join(ROOT, LIST), encoding="utf-8") as f:
            return f.read().splitlines()
    found = list(FILES)
    for top in FOLDERS:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__")]
            found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names
                      if not name.startswith((".", "#")) and not name.endswith(LEFT)]
    return sorted(found)


class SourceDistribution(sdist):
    def make_distribution(self):
        # With _, as PEP 625 has it; setuptools before 69 writes -.
        name = "pymem_bpf-" + self.distribution.get_version()
        self.distribution.get_fullname = lambda: name
        super().make_distribution()

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        names = project_files()
        with open(os.path.join(base_dir, LIST), "w", encoding="utf-8") as f:
            f.writelines(name + "\n" for name in names)
        for name in names + ["src/pymem_bpf/VERSION"]:
            source = os.path.join(ROOT, "VERSION" if name.endswith("VERSION") else name)
            target = os.path.join(base_dir, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.lexists(target):
                os.unlink(target)  # a link, or another name of the file itself
            shutil.copy(source, target)

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **more):
        if format != "gztar" or not EPOCH:
            return super().make_archive(base_name, format, root_dir, base_dir, **more)
        path = base_name + ".tar.gz"
        self.mkpath(os.path.dirname(path))
        with open(path, "wb") as out, gzip.GzipFile("", "wb", mtime=EPOCH, fileobj=out) as packed, \
                tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(base_dir, filter=anonymous)  # sorted
        return path


def anonymous(member):
    """A file of an archive without what is the builder's: time, owner, umask."""
    member.mtime, member.uid, member.gid, member.uname, member.gname = EPOCH, 0, 0, "", ""
    member.mode = mode(member.mode, member.isdir())
    return member


def publisher():
    """What packaging/project says of the project, as arguments of setup()."""
    said = {}
    for name in "HOMEPAGE", "MAINTAINER":
        done = subprocess.run(["sh", os.path.join(ROOT, "tools", "publisher"), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit("pymem_bpf: " + done.stderr.decode(errors="replace").strip())
        said[name] = done.stdout.decode().strip()
    found = {"project_urls": {"Homepage": said["HOMEPAGE"]}} if said["HOMEPAGE"] else {}
    # setuptools wants a name, since pyproject.toml says that it comes from here.
    name, _, address = (said["MAINTAINER"] or "The pymem-bpf authors").rstrip(">").partition(" <")
    return dict(found, maintainer=name, **({"maintainer_email": address} if address else {}))


def mode(of, is_folder=False):
    return 0o755 if is_folder or of & stat.S_IXUSR else 0o644


class Distribution(setuptools.Distribution):
    def has_ext_modules(self):
        return True  # also where they are built already: the package goes where such ones go


class Modules(build_py):
    def run(self):
        super().run()
        for path in sorted(glob.glob(os.path.join(EXTENSIONS or os.devnull, "_lines*.so"))):
            self.copy_file(path, os.path.join(self.build_lib, "pymem_bpf", os.path.basename(path)))


class Programs(build_scripts):
    """setuptools would read the program as text, for its first line."""

    def run(self):
        self.mkpath(self.build_dir)
        self.copy_file(PROGRAM, self.build_dir)


class Wheel(bdist_wheel or setuptools.Command):
    def get_tag(self):
        # Each extension has the tag of its interpreter in its name; the program needs none.
        return ("py3", "none", PLATFORM) if EXTENSIONS else super().get_tag()

    def write_wheelfile(self, *arguments, **more):
        super().write_wheelfile(*arguments, **more)
        for folder, _, names in os.walk(self.bdist_dir):
            for path in [folder] + [os.path.join(folder, name) for name in names]:
                os.chmod(path, mode(os.stat(path).st_mode, os.path.isdir(path)))


native = setuptools.Extension(
    "pymem_bpf._lines",
    extension["sources"](),
    depends=extension["headers"](),
    include_dirs=[os.path.join(ROOT, "include")],
    extra_compile_args=extension["FLAGS"],
    define_macros=extension["macros"](),
    py_limited_api=STABLE,
)
more = {"scripts": [PROGRAM], "data_files": [("share/man/man8", [os.path.relpath(
    os.path.join(ROOT, "docs", "pymem-bpf.8"), HERE)])]} if PROGRAM else {}
more.update(publisher())
setuptools.setup(
    distclass=Distribution,
    ext_modules=[] if EXTENSIONS else [native],
    cmdclass=dict({"sdist": SourceDistribution, "build_py": Modules, "build_scripts": Programs},
                  **({"bdist_wheel": Wheel} if bdist_wheel else {})),
    options={"bdist_wheel": {"py_limited_api": "cp312"}} if STABLE and not EXTENSIONS else {},
    **more
)
