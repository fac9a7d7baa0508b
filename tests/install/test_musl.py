# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The wheel for musl (Alpine): what is in it, which pip takes it, and that it works where musl is the only C library.

Debian has no such Python: tests/musl_python.sh builds one, once. Where there is none, what needs it is skipped."""
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT, SECONDS, VERSION, Environment, Python, environment, grown_by_line_5, run
from test_archives import BUILD, EPOCH, INFO, TAG, elf_files, make_program, metadata

MACHINE = os.uname().machine
NAME = "pymem_bpf-%s-py3-none-musllinux_1_2_%s.whl" % (VERSION, MACHINE)
EXTENSION = "pymem_bpf/_lines.abi3.so"
LOADER = "/lib/ld-musl-%s.so.1" % MACHINE
needs_musl_gcc = pytest.mark.skipif(shutil.which("musl-gcc") is None,
                                    reason="there is no musl-gcc (Debian: musl-tools)")


def test_name_says_what_is_inside(musl_wheel, musl_unpacked):
    """Nothing in it needs glibc, or a musl before that of its tag."""
    assert os.path.basename(musl_wheel) == NAME
    assert metadata((musl_unpacked / INFO / "WHEEL").read_text())["Tag"] in NAME
    tool, = musl_unpacked.glob("*.data/scripts/pymem-bpf")
    extensions = [path for path in [musl_unpacked / EXTENSION] if path.exists()]
    assert elf_files(musl_unpacked) == sorted([tool] + extensions)
    said = {path: run(["objdump", "-x", path], env=dict(os.environ, LC_ALL="C")) for path in [tool] + extensions}
    assert re.findall(r"NEEDED +(\S+)", said[tool]) == [] and "INTERP" not in said[tool]
    for path in extensions:
        assert re.findall(r"NEEDED +(\S+)", said[path]) == ["libc.so"] and "GLIBC" not in said[path]


def test_same_files_as_for_glibc(unpacked, musl_unpacked):
    """But for the extensions, and what says which wheel it is."""
    def files(folder):
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return {name: content for name, content in found.items()
                if not name.endswith(".so") and name not in (INFO + "/RECORD", INFO + "/WHEEL")}
    assert files(musl_unpacked) == files(unpacked)


def test_pip_takes_the_right_one(wheel, musl_wheel, tmp_path):
    """pip of a system, as it says what it is; also of one that has neither, which is told so."""
    folder = tmp_path / "both"
    folder.mkdir()
    for path in wheel, musl_wheel:
        shutil.copy(path, str(folder))
    # Of a wheel that is for systems like this one, only what systems with musl take can be told.
    glibc = os.path.basename(wheel) if "-manylinux_" in wheel else None
    for platform, taken in (("musllinux_1_2_" + MACHINE, NAME), ("musllinux_1_1_" + MACHINE, None),
                            ("musllinux_1_2_riscv64", None), ("manylinux_2_28_" + MACHINE, glibc)):
        got = tmp_path / platform
        command = [sys.executable, "-m", "pip", "download", "--no-index", "--no-deps", "--only-binary", ":all:"]
        said = run(command + ["--platform", platform, "--find-links", folder, "-d", got, "pymem-bpf"], 0 if taken else 1,
                   env=environment())
        assert os.listdir(str(got)) == [taken] if taken else "No matching distribution" in said


def compile_for_musl(folder, code, *flags):
    source, library = folder / "x.c", folder / "x.so"
    source.write_text(code)
    run(["musl-gcc", "-shared", "-fPIC", *flags, "-o", library, source])
    return library


@needs_musl_gcc
def test_platform_tag(tmp_path):
    old = compile_for_musl(tmp_path, "#include <string.h>\nint f(const char *s) { return strchr(s, 1) != 0; }")
    assert run(TAG + [old]) == "musllinux_1_2_%s\n" % MACHINE
    make_program(tmp_path / "program", "-static")
    assert run(TAG + [old, tmp_path / "program"]) == "musllinux_1_2_%s\n" % MACHINE
    make_program(tmp_path / "program")
    assert "the files are for glibc and musl" in run(TAG + [old, tmp_path / "program"], 1)
    newer = compile_for_musl(tmp_path, "void *f(void) { extern void *reallocarray(); return reallocarray(0, 1, 1); }")
    assert "needs reallocarray, which musl 1.2.0 does not have" in run(TAG + [newer], 1)
    both = compile_for_musl(tmp_path, "int f;", "-Wl,--no-as-needed", "/lib/%s-linux-gnu/libm.so.6" % MACHINE)
    assert "needs glibc and musl" in run(TAG + [both], 1)


def test_reproducible(tmp_path):
    """Both wheels, in this folder and in another one. The extensions of one are not in the other."""
    copy, program = tmp_path / "a longer" / "name", tmp_path / "pymem-bpf"
    make_program(program, "-static")
    copy.mkdir(parents=True)
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=PROJECT)
    packed = subprocess.run(["tar", "-c", "--null", "--files-from=-"], cwd=PROJECT, input=listed, check=True,
                            stdout=subprocess.PIPE).stdout
    run(["tar", "-x", "-C", copy], input=packed, stdin=None)
    made = []
    for folder in PROJECT, str(copy):
        out = tmp_path / str(len(made))
        run([sys.executable, "-B", os.path.join(folder, "tools", "build-wheel"), "--out", out, "--program", program,
             "--extensions", "3.11 abi3", "--python", sys.executable], env=environment(SOURCE_DATE_EPOCH=EPOCH))
        made.append({name: (out / name).read_bytes() for name in os.listdir(str(out))})
    assert NAME in made[0] and len(made[0]) == 3 and made[0].keys() == made[1].keys()
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []
    said = run([sys.executable, "-m", "zipfile", "-l", out / NAME])
    assert re.findall(r"\S+\.so", said) == []


def test_refused_without_musl_gcc(tmp_path):
    """Nothing is left."""
    (tmp_path / "bin").mkdir()
    for name in os.listdir("/usr/bin"):
        if name != "musl-gcc":
            (tmp_path / "bin" / name).symlink_to("/usr/bin/" + name)
    make_program(tmp_path / "pymem-bpf", "-static")
    command = BUILD + ["--out", tmp_path / "out", "--program", tmp_path / "pymem-bpf", "--extensions", "abi3"]
    command.append("--musl-extension")
    said = run(command, 1, env=environment(PATH=str(tmp_path / "bin")))
    assert "build-wheel: --musl-extension: there is no musl-gcc (Debian: musl-tools)" in said
    assert not list((tmp_path / "out").glob("*.whl"))
    said = run(BUILD + ["--find-pythons", "--extensions", "3.7"], 1, env=environment(PATH=str(tmp_path / "bin")))
    assert 'for: 3.7 (' in said and said.endswith('--extensions ""\n'), said


@needs_musl_gcc
def test_musl_has_what_the_extension_calls(tmp_path):
    """The wheel has it when it is asked for; musl's loader finds all but what is Python's. It ends with status 127, as none
    is there."""
    make_program(tmp_path / "pymem-bpf", "-static")
    run(BUILD + ["--out", tmp_path, "--program", tmp_path / "pymem-bpf", "--extensions", "abi3", "--musl-extension"])
    run([sys.executable, "-m", "zipfile", "-e", tmp_path / NAME, tmp_path / "unpacked"])
    said = run([LOADER, "--list", tmp_path / "unpacked" / EXTENSION], 127)
    missing = re.findall(r"Error relocating \S+: (\w+): symbol not found", said)
    assert missing and [name for name in missing if not name.startswith(("Py", "_Py"))] == []
    assert said.count("Error ") == len(missing), said


@needs_musl_gcc
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root folder")
def test_program_beside_the_loader_alone(musl_unpacked, tmp_path):
    """In a root with musl's loader and no other file."""
    tool, = musl_unpacked.glob("*.data/scripts/pymem-bpf")
    (tmp_path / "lib").mkdir()
    shutil.copy(LOADER, str(tmp_path / "lib"))
    shutil.copy(str(tool), str(tmp_path))
    assert run(["chroot", tmp_path, "/pymem-bpf", "--version"]) == "pymem-bpf %s\n" % VERSION


@pytest.fixture(scope="module")
def musl(tmp_path_factory):
    """A Python in a root in which there is nothing else but musl's loader."""
    cache = os.environ.get("PYMEM_CACHE") or os.path.expanduser("~/.cache/pymem-bpf")
    path = cache + "/pythons/musl-3.13/bin/python3.13"
    if not os.path.exists(path):
        pytest.skip("no Python with musl is in the cache: tests/musl_python.sh builds it")
    if os.geteuid():
        pytest.skip("only root may change the root folder")
    root = tmp_path_factory.mktemp("musl") / "root"
    shutil.copytree(os.path.dirname(os.path.dirname(path)), str(root / "usr"), symlinks=True)
    (root / "lib").mkdir()
    shutil.copy(LOADER, str(root / "lib"))
    return Python("musl", [os.path.join(PROJECT, "tests", "pythons.sh"), "run", str(root),
                           "/usr/bin/" + os.path.basename(path)])


@pytest.fixture(scope="module")
def installed_there(musl, wheel, musl_wheel, tmp_path_factory):
    """An environment into which its own pip has installed the wheel; it refuses the other one."""
    there = Environment(tmp_path_factory.mktemp("installed") / "venv", musl)
    there.install(musl_wheel)
    said = there.pip("install", "--no-index", "--no-deps", "--force-reinstall", wheel, status=1)
    assert "is not a supported wheel on this platform" in said
    return there


def test_program(installed_there):
    """It is where a shell looks, and runs where there is no other C library."""
    root = installed_there.command[:-1]
    assert run(root + [installed_there.bin / "pymem-bpf", "--version"]) == "pymem-bpf %s\n" % VERSION
    assert run(root + [installed_there.bin / "pymem-mprof", "--version"], env=environment()).strip() == VERSION


def test_main_job(installed_there):
    """A process of that Python: the line that makes it grow."""
    grown = grown_by_line_5(installed_there.command, installed_there.bin / "pymem-bpf")
    assert 18 << 20 < grown < 24 << 20


def test_line_profile(installed_there, musl_unpacked):
    """Line profiles work by the extension of the wheel, if it has it. If not, the error says how it is built."""
    if not (musl_unpacked / EXTENSION).exists():
        said = installed_there.run("-c", "import pymem_bpf.line_profiler", status=1)
        assert "the extension module is not there for this Python (3.13): build it" in said
        assert " -m pip install --force-reinstall --no-binary pymem-bpf pymem-bpf (" in said
        return
    code = ("import pymem_bpf.line_profiler as p\n"
            "print(p._lines.__file__, max(p._lines.Recorder.resident_steps()) >= 0)")
    assert installed_there.run("-c", code).strip().endswith("site-packages/%s True" % EXTENSION)


def test_checks_of_the_extension(installed_there, musl_unpacked):
    """All that the extension must count, in that Python."""
    if not (musl_unpacked / EXTENSION).exists():
        pytest.skip("this wheel for musl has no extension (--musl-extension)")
    done = subprocess.run(installed_there.command + ["-B", os.path.join(PROJECT, "tests", "python", "lines_checks.py")],
                          stdout=subprocess.PIPE, timeout=SECONDS, env=environment())
    assert done.returncode == 0
    found = json.loads(done.stdout.decode().splitlines()[-1])
    assert len(found) > 50 and {name: why for name, why in found.items() if why} == {}


def test_uninstalled(installed_there):
    installed_there.pip("uninstall", "--yes", "pymem-bpf")
    left = set(installed_there.files()) - set(installed_there.before)
    assert all((installed_there.folder / path).is_dir() for path in left), left
