# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is in the wheels and in the source distribution, and that it is true what they say of themselves. What only the
wheel for musl has is in test_musl.py."""
import base64
import email
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import PROJECT, VERSION, environment, run

INFO = "pymem_bpf-%s.dist-info" % VERSION
LICENSES = ["LICENSE", "LICENSES/BSD-2-Clause.txt", "LICENSES/GPL-2.0-only.txt"]
BUILD = [sys.executable, "-B", os.path.join(PROJECT, "tools", "build-wheel")]
TAG = [sys.executable, "-B", os.path.join(PROJECT, "tools", "platform_tag.py")]
EPOCH = "1700000000"


def metadata(text):
    return email.message_from_string(text)


def elf_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF")


def make_program(path, *flags, version=VERSION):
    """A program that says what pymem-bpf says, and does nothing."""
    code = '#include <stdio.h>\nint main(void) { return puts("pymem-bpf %s") < 0; }' % version
    run(["cc", "-s", "-x", "c", "-", "-o", path, *flags], input=code.encode(), stdin=None)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    (folder / "scratch").mkdir()
    (folder / "scratch" / "mine").write_text("a user's\n")
    run(BUILD + ["--sdist", "--out", folder], env=environment(SOURCE_DATE_EPOCH=EPOCH))
    return folder / ("pymem_bpf-%s.tar.gz" % VERSION)


def test_nothing_else_in_the_folder(sdist):
    """What was there before stays, whatever its name, and nothing else is left."""
    assert sorted(os.listdir(str(sdist.parent))) == [sdist.name, "scratch"]
    assert (sdist.parent / "scratch" / "mine").read_text() == "a user's\n"


def test_metadata(each):
    _, unpacked = each
    about = metadata((unpacked / INFO / "METADATA").read_text())
    assert (about["Name"], about["Version"], about["Requires-Python"]) == ("pymem-bpf", VERSION, ">=3.8")
    assert about["License"] == "GPL-2.0-only OR BSD-2-Clause"
    assert sorted(name for name in about.get_all("License-File") if name in LICENSES) == LICENSES
    assert about["Summary"] and about["Author"] and about["Keywords"]
    classifiers = about.get_all("Classifier")
    assert len(set(classifiers)) == len(classifiers) > 20
    assert about["Description-Content-Type"] == "text/markdown" and "%load_ext pymem_bpf" in about.get_payload()
    # What setuptools of Debian 12 puts beside METADATA; later ones have a folder for it.
    for name in LICENSES:
        found, = (unpacked / INFO).rglob(os.path.basename(name))
        with open(os.path.join(PROJECT, name), "rb") as f:
            assert found.read_bytes() == f.read()


def test_name_says_what_is_inside(wheel, unpacked):
    """The tag of the file's name is that of WHEEL, and the one that its files allow, worked out in another way."""
    name = os.path.basename(wheel)
    tag = metadata((unpacked / INFO / "WHEEL").read_text())["Tag"]
    assert name == "pymem_bpf-%s-%s.whl" % (VERSION, tag)
    tool, = unpacked.glob("*.data/scripts/pymem-bpf")
    elves = elf_files(unpacked)
    assert tool in elves and len(elves) > 1
    if "-linux_" in tag:
        pytest.skip("a wheel for this system only (--local)")
    # pip of any Python takes it, of free-threaded builds, too: what it asks for has no ABI in it (PEP 425).
    versions = [(2, 17)]
    for path in elves:
        said = run(["objdump", "-Tp", path], env=dict(os.environ, LC_ALL="C")) if path != tool else ""
        assert set(re.findall(r"NEEDED +(\S+)", said)) <= {"libc.so.6", "ld-linux-x86-64.so.2"}, said
        versions += [tuple(map(int, v.split(".")[:2])) for v in re.findall(r"GLIBC_([\d.]+)", said)]
    assert tag == "py3-none-manylinux_%d_%d_%s" % (max(versions) + (os.uname().machine,))
    assert "INTERP" not in run(["readelf", "-lW", tool])


def test_record(each):
    """Each file is in RECORD, with its sum; the modes are an installer's."""
    wheel, unpacked = each
    record = dict(line.split(",", 1) for line in (unpacked / INFO / "RECORD").read_text().splitlines())
    with zipfile.ZipFile(wheel) as archive:
        assert sorted(record) == sorted(archive.namelist())
        for member in archive.infolist():
            mode = member.external_attr >> 16 & 0o777
            if member.filename.endswith((".so", "scripts/pymem-bpf")):
                assert mode == 0o755, member
            elif not member.filename.endswith("RECORD"):
                assert mode == 0o644, member
            if record[member.filename] != ",":
                digest, size = record[member.filename].split(",")
                content = archive.read(member)
                assert int(size) == len(content)
                assert digest == "sha256=" + base64.urlsafe_b64encode(
                    hashlib.sha256(content).digest()).rstrip(b"=").decode()
    names = "\n".join(record)
    assert "pymem_bpf/__init__.py" in record and "native" not in names and "/root" not in names
    for path in elf_files(unpacked / "pymem_bpf"):
        assert os.path.dirname(PROJECT).encode() + b"/" not in path.read_bytes(), path


@pytest.mark.skipif(importlib.util.find_spec("twine") is None, reason="twine is not installed")
def test_twine(each, sdist):
    said = run([sys.executable, "-m", "twine", "check", "--strict", each[0], sdist])
    assert said.count("PASSED") == 2, said


def test_source_distribution(sdist, tmp_path):
    """It has what the extension and the program are made of, and pip makes a wheel of it, offline."""
    with tarfile.open(str(sdist)) as tar:
        names = tar.getnames()
        assert not [member for member in tar.getmembers() if not (member.isfile() or member.isdir())]
        tar.extractall(str(tmp_path))
    folder = tmp_path / ("pymem_bpf-" + VERSION)
    assert {name.partition("/")[0] for name in names} == {folder.name}
    assert not [name for name in names if name.endswith((".o", ".so", ".pyc")) or "node_modules" in name]
    for name in LICENSES + ["VERSION"]:
        with open(os.path.join(PROJECT, name), "rb") as f:
            assert (folder / name).read_bytes() == f.read()
    about = metadata((folder / "PKG-INFO").read_text())
    assert (about["Name"], about["Version"]) == ("pymem-bpf", VERSION)
    # make finds all that it needs; what it would do is not done.
    for goal in "all", "install-program", "uninstall":
        said = run(["make", "-n", "NO_HTML=1", goal], cwd=str(folder), env=environment())
        assert goal == "uninstall" or "-o build/pymem-bpf" in said
    documents = run(["make", "-s", "--no-print-directory", "print-documents"], cwd=str(folder), env=environment()).split()
    assert documents and all((folder / name).is_file() for name in documents), documents
    # Not there: what the package is installed by. It is said before anything is built.
    for goal in "install", "install-python", "python":
        said = run(["make", "NO_HTML=1", goal], 2, cwd=str(folder), env=environment())
        assert said.startswith("a source distribution: make install-program installs the program, and pip install . the package")
    made = tmp_path / "made"
    run([sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", made, sdist],
        env=environment())
    name, = os.listdir(str(made))
    assert re.fullmatch(r"pymem_bpf-%s-cp\d+-(cp\d+|abi3)-linux_\w+\.whl" % re.escape(VERSION), name)
    with zipfile.ZipFile(str(made / name)) as archive:
        archive.extractall(str(tmp_path / "site"))
    code = "import pymem_bpf, pymem_bpf.line_profiler as p; print(pymem_bpf.__version__, p._lines.__file__)"
    said = run([sys.executable, "-c", code], env=environment(PYTHONPATH=str(tmp_path / "site")))
    assert said.startswith("%s %s/site/pymem_bpf/_lines." % (VERSION, tmp_path))


JUNK = ["user/base/memory.c~", "packaging/notes.txt", "tools/.passwords", "bpf/lines/x.o", "include/#pymem.h#"]


def test_only_what_is_of_the_project(sdist, tmp_path):
    """What lies in its folders, notes and backups, is in no source distribution: git knows what is; one that is made
    of another knows it by a list."""
    def pack(folder, *words):
        for name in JUNK:
            os.makedirs(os.path.dirname(str(folder / name)), exist_ok=True)
            (folder / name).write_text("private\n")
        run([sys.executable, "-B", *words], cwd=str(folder), env=environment(SOURCE_DATE_EPOCH=EPOCH))

    def names(path):
        with tarfile.open(str(path)) as tar:
            return sorted(tar.getnames())

    tree = tmp_path / "tree"
    tree.mkdir()
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=PROJECT)
    packed = subprocess.run(["tar", "-c", "--null", "--files-from=-"], cwd=PROJECT, input=listed, stdout=subprocess.PIPE,
                            check=True).stdout
    run(["tar", "-x", "-C", tree], input=packed, stdin=None)
    run(["git", "init", "-q"], cwd=str(tree))
    run(["git", "add", "."], cwd=str(tree))
    pack(tree, "tools/build-wheel", "--sdist", "--out", str(tmp_path / "of-git"))
    assert names(tmp_path / "of-git" / sdist.name) == names(sdist)

    with tarfile.open(str(sdist)) as tar:
        tar.extractall(str(tmp_path))
    pack(tmp_path / ("pymem_bpf-" + VERSION), "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path), "sdist", "-d",
         str(tmp_path / "again"))
    assert names(tmp_path / "again" / sdist.name) == names(sdist)

    # Unpacked from elsewhere: as it is, without what is an editor's.
    shutil.rmtree(str(tree / ".git"))
    pack(tree, "tools/build-wheel", "--sdist", "--out", str(tmp_path / "of-files"))
    more = set(names(tmp_path / "of-files" / sdist.name)) - set(names(sdist))
    assert more == {"pymem_bpf-%s/packaging/notes.txt" % VERSION}


def test_program_of_a_source_distribution(sdist, tmp_path):
    """A program that is built already goes into the wheel; what is none is refused."""
    with tarfile.open(str(sdist)) as tar:
        tar.extractall(str(tmp_path))
    folder, program = tmp_path / ("pymem_bpf-" + VERSION), tmp_path / "pymem-bpf"
    program.write_bytes(b"\x7fELF\xff\xfe not text")
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", tmp_path / "made"]
    said = run(command, 1, cwd=str(folder), env=environment(PYMEM_BPF_PROGRAM=str(program)))
    assert "no program of the name pymem-bpf" in said
    program.chmod(0o755)
    (folder / "packaging" / "project").write_text("# x\nHOMEPAGE=https://a.example/x\nMAINTAINER=A B <a@a.example>\n")
    run(command, cwd=str(folder), env=environment(PYMEM_BPF_PROGRAM=str(program)))
    name, = os.listdir(str(tmp_path / "made"))
    with zipfile.ZipFile(str(tmp_path / "made" / name)) as archive:
        assert archive.read("pymem_bpf-%s.data/scripts/pymem-bpf" % VERSION) == program.read_bytes()
        about = metadata(archive.read(INFO + "/METADATA").decode())
    assert about.get_all("Project-URL") == ["Homepage, https://a.example/x"]
    assert (about["Maintainer"], about["Maintainer-Email"]) == ("A B", "a@a.example")


def test_reproducible(sdist, tmp_path):
    """The same files give the same archives, to the byte: in another folder, later, by a builder with another umask."""
    copy, program = tmp_path / "a longer" / "name of a folder", tmp_path / "pymem-bpf"
    make_program(program)
    shutil.copytree(PROJECT, str(copy), symlinks=True, ignore=lambda folder, names: [
        name for name in names if name in (".git", "build", "node_modules", "__pycache__", "pymem_bpf.egg-info")
        or folder == PROJECT and name in ("tests", "bench") or name.endswith(".so")])
    for path in copy.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o700 if os.access(str(path), os.X_OK) else 0o600)
    system = "%d.%d" % sys.version_info[:2] if sys.version_info < (3, 12) else "abi3"
    licenses = tmp_path / "licenses"
    licenses.mkdir()
    (licenses / "libx-dev").write_text("of a library\n")
    made = []
    for folder, umask in ((PROJECT, 0o022), (str(copy), 0o077)):
        out = tmp_path / str(umask)
        run([sys.executable, "-B", os.path.join(folder, "tools", "build-wheel"), "--local", "--out", out, "--program",
             program, "--licenses", licenses, "--extensions", system, "--python", sys.executable],
            env=environment(SOURCE_DATE_EPOCH=EPOCH), preexec_fn=lambda umask=umask: os.umask(umask) and None)
        made.append({name: (out / name).read_bytes() for name in os.listdir(str(out))})
    assert len(made[0]) == 2 and list(map(sorted, made)) == [sorted(made[0])] * 2
    for name, content in made[0].items():
        assert content == made[1][name], name
    assert made[0][sdist.name] == sdist.read_bytes()
    name, = (name for name in made[0] if name.endswith(".whl"))
    with zipfile.ZipFile(str(out / name)) as archive:
        assert archive.read(INFO + "/library-libx-dev.txt") == b"of a library\n"
        assert "LICENSES/library-libx-dev.txt" in metadata(archive.read(INFO + "/METADATA").decode()).get_all("License-File")


def compile_library(folder, code, *flags):
    source, library = folder / "x.c", folder / "x.so"
    source.write_text(code)
    run(["cc", "-shared", "-fPIC", "-O2", *flags, "-o", library, source])
    return library


def test_platform_tag(tmp_path):
    """Worked out, not claimed."""
    machine = os.uname().machine
    old = compile_library(tmp_path, "#include <string.h>\nint f(const char *s) { return strchr(s, 1) != 0; }")
    assert run(TAG + [old]) == "manylinux_2_17_%s\n" % machine
    new = compile_library(tmp_path, "#include <sys/stat.h>\nint f(struct statx *x)\n"
                          "{ extern int statx(); return statx(0, \"\", 0, 0, x); }", "-D_GNU_SOURCE", "-w")
    assert run(TAG + [new]) == "manylinux_2_28_%s\n" % machine
    said = run(TAG + [compile_library(tmp_path, "int f;", "-Wl,--no-as-needed", "-lz")], 1)
    assert "needs libz.so.1, which not every system has" in said
    assert "no ELF file" in run(TAG + [__file__], 1)
    if machine == "x86_64":
        said = run(TAG + [compile_library(tmp_path, "int f;", "-Wl,-z,x86-64-v3")], 1)
        assert "needs a processor with" in said


def test_refused(tmp_path):
    """No wheel is made that would lack something, or that would not run where its name says."""
    program = tmp_path / "pymem-bpf"
    assert "there is no such program; `make dist`" in run(BUILD + ["--out", tmp_path, "--program", program], 1)
    said = run(BUILD + ["--out", tmp_path, "--program", "/bin/true", "--licenses", tmp_path / "none"], 1)
    assert "none: there is no such folder" in said
    make_program(program, version="99.0")
    said = run(BUILD + ["--out", tmp_path / "out", "--program", program], 1)
    assert 'is "pymem-bpf 99.0", and the package is of version %s' % VERSION in said
    make_program(program, "-Wl,--no-as-needed", "-lz")
    command = BUILD + ["--out", tmp_path / "out", "--program", program, "--extensions"]
    assert run(BUILD + ["--find-pythons", "--extensions", ""]) == "\n"
    for words in command + ["3.7"], BUILD + ["--find-pythons", "--extensions", "3.7"]:
        assert "no interpreter with headers here for: 3.7 (" in run(words, 1)
    said = run(command + ["3.7"], 1)
    assert "no interpreter with headers here for: 3.7" in said
    system = "%d.%d" % sys.version_info[:2] if sys.version_info < (3, 12) else "abi3"
    said = run(command + [system, "--no-musl", "--python", sys.executable], 1)
    assert "no index would take this wheel: " in said and "needs libz.so.1" in said
    assert not list((tmp_path / "out").glob("*.whl"))


def test_sources_are_one(tmp_path):
    """The version is written in one place."""
    with open(os.path.join(PROJECT, "VERSION")) as f:
        assert f.read() == VERSION + "\n"
    for name in ("python/pyproject.toml", "python/setup.py", "python/src/pymem_bpf/__init__.py"):
        with open(os.path.join(PROJECT, name)) as f:
            assert VERSION not in f.read(), name
    said = subprocess.check_output([sys.executable, "setup.py", "--version"], cwd=os.path.join(PROJECT, "python"),
                                   stderr=subprocess.DEVNULL)
    assert said.decode().split() == [VERSION]
