# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The wheels that `make wheel` has left, the interpreters that are here, and environments into which pip installs them.

Nothing is fetched: pip is Debian's, or one that an interpreter brings along."""
import functools
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import zipfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
SECONDS = 1200  # against hangs: pip alone takes minutes where others have the CPUs
ASK = "import sys; print('%d.%d %d' % (sys.version_info[:2] + ('t' in sys.abiflags,)))"
# Lives until its input ends.
GROWS = """
import sys
print(1, flush=True)
sys.stdin.readline()
kept = [bytes(1000) for _ in range(20000)]
print(2, flush=True)
sys.stdin.readline()
"""
PIPS = ["/usr/share/python-wheels/pip-*.whl", "/usr/lib/python3*/ensurepip/_bundled/pip-*.whl",
        "~/.pyenv/versions/*/lib/python3.*/ensurepip/_bundled/pip-*.whl"]

with open(os.path.join(PROJECT, "VERSION")) as version_file:
    VERSION = version_file.read().strip()


def run(command, status=0, **more):
    """Runs it; what it printed, stdout and stderr together."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                          **dict({"stdin": subprocess.DEVNULL, "cwd": "/"}, **more))
    said = done.stdout.decode(errors="replace")
    assert done.returncode == status, "%s: status %d\n%s" % (command, done.returncode, said)
    return said


def grown_by_line_5(python, program):
    """Bytes by which, as the program reports it, the fifth line makes a process of this interpreter grow: 20 MB."""
    with subprocess.Popen(python + ["-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        assert target.stdout.readline() == b"1\n"
        with subprocess.Popen([str(program), "-p", str(target.pid), "--format", "json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as tool:
            said = b""
            while b"attached" not in said:  # that it has begun
                part = os.read(tool.stderr.fileno(), 4096)
                assert part, said
                said += part
            target.stdin.write(b"\n")
            target.stdin.flush()
            assert target.stdout.readline() == b"2\n"
            tool.send_signal(2)
            report = json.loads(tool.communicate(timeout=SECONDS)[0].decode())
        target.stdin.close()
    process, = report["processes"]
    return sum(line["increment_bytes"] for line in process["lines"] if line["line"] == 5)


def environment(**more):
    """The caller's environment without what changes which package or program is found, and without what a make that runs
    this has for itself."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYMEM_", "PIP_", "MAKE", "MFLAGS"))}
    return dict(env, PIP_CONFIG_FILE=os.devnull, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", **more)


class Python:
    """An interpreter: its name, the command (a list), (major, minor), and whether it is free-threaded."""

    def __init__(self, name, command):
        self.name, self.command = name, command
        version, threaded = run(command + ["-c", ASK], env=environment()).split()
        self.version = tuple(map(int, version.split(".")))
        self.free_threaded = threaded == "1"


@functools.lru_cache(maxsize=None)
def pythons():
    """Every interpreter that the wheel is for, and free-threaded ones that are in the cache."""
    said = subprocess.run([os.path.join(PROJECT, "tests", "pythons.sh"), "list"], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    found = [Python(name, command.split()) for name, command in (line.split("\t") for line in said.splitlines())]
    cache = os.environ.get("PYMEM_CACHE") or os.path.expanduser("~/.cache/pymem-bpf")
    for path in sorted(glob.glob(cache + "/pythons/free-threaded-*/bin/python3.*t")):
        found.append(Python("free-threaded-" + os.path.basename(path)[6:], [path]))
    return [python for python in found if python.version >= (3, 8)]


@functools.lru_cache(maxsize=None)
def pips():
    """Wheels of pip that are on this machine, as (version, path), the newest first."""
    found = {}
    for place in PIPS:
        for path in glob.glob(os.path.expanduser(place)):
            found.setdefault(tuple(map(int, re.search(r"pip-([\d.]+)-", path).group(1).split("."))), path)
    return sorted(found.items(), reverse=True)


class Environment:
    """A virtual environment."""

    def __init__(self, folder, python, system_packages=False):
        self.python, self.folder = python, folder
        root = python.command[:-1]  # of an interpreter that is unpacked: what changes the root
        run(python.command + ["-m", "venv", "--without-pip"] + ["--system-site-packages"] * system_packages +
            [str(folder)], env=environment())
        self.bin = folder / "bin"
        self.command = root + [str(self.bin / "python")]
        self.pip_path = None
        self.before = self.files()

    def files(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*")
                      if "__pycache__" not in path.parts)

    def run(self, *words, **more):
        status, env = more.pop("status", 0), environment(PYTHONDONTWRITEBYTECODE="1", **more.pop("env", {}))
        return run(self.command + list(words), status, env=env, **more)

    def pip(self, *words, **more):
        return self.run("-m", "pip", *words, env={"PYTHONPATH": str(self.pip_path)}, **more)

    def install(self, path):
        """By the newest pip that runs on this interpreter. One that is too old, or lacks modules of an interpreter
        that is unpacked in parts, breaks down; if all do, the test is skipped. What pip refuses is a failure."""
        words = ["-m", "pip", "install", "--no-index", "--no-deps", "--no-compile", str(path)]
        for _, pip in pips():
            self.pip_path = self.folder.parent / os.path.basename(pip)
            shutil.copy(pip, str(self.pip_path))
            done = subprocess.run(self.command + words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
                                  env=environment(PYTHONPATH=str(self.pip_path)), timeout=SECONDS)
            if done.returncode == 0:
                return
            said = done.stdout.decode(errors="replace")
            assert "Traceback (most recent call last)" in said, said
        pytest.skip("no pip on this machine runs on %s" % self.python.name)


def built_wheel(variable, is_musl):
    """Path of a wheel: the one that the variable names, else that of build/wheel. None if there is none."""
    named = os.environ.get(variable)
    built = glob.glob(os.path.join(PROJECT, "build", "wheel", "pymem_bpf-*.whl"))
    found = [named] if named else [path for path in built if ("-musllinux_" in path) == is_musl]
    assert len(found) < 2, "one wheel is tested, and there are %d: %s" % (len(found), found)
    return os.path.abspath(found[0]) if found else None


def unpack(wheel, folder):
    """Unpacks a wheel as an installer does, with the modes of its files."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(str(folder))
        for member in archive.infolist():
            os.chmod(str(folder / member.filename), member.external_attr >> 16 & 0o777)
    return folder


@pytest.fixture(scope="session")
def wheel():
    """Path of the wheel for glibc: $PYMEM_WHEEL, else that of build/wheel."""
    found = built_wheel("PYMEM_WHEEL", False)
    assert found, "there is no wheel: run make wheel first"
    return found


@pytest.fixture(scope="session")
def unpacked(wheel, tmp_path_factory):
    """The folder in which the wheel is unpacked."""
    return unpack(wheel, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="session")
def musl_wheel():
    """Path of the wheel for musl: $PYMEM_MUSL_WHEEL, else that of build/wheel."""
    found = built_wheel("PYMEM_MUSL_WHEEL", True)
    if not found:
        pytest.skip("there is no wheel for musl: it was left out (--no-musl, --local)")
    return found


@pytest.fixture(scope="session")
def musl_unpacked(musl_wheel, tmp_path_factory):
    """The folder in which the wheel for musl is unpacked."""
    return unpack(musl_wheel, tmp_path_factory.mktemp("musl-unpacked"))


@pytest.fixture(scope="session", params=["glibc", "musl"])
def each(request):
    """Of each wheel, its path and the folder in which it is unpacked."""
    names = {"glibc": ("wheel", "unpacked"), "musl": ("musl_wheel", "musl_unpacked")}[request.param]
    return tuple(map(request.getfixturevalue, names))


@pytest.fixture(scope="session")
def system():
    """The system's Python."""
    return next(python for python in pythons() if python.name.startswith("system-"))


@pytest.fixture(scope="module")
def installed(wheel, system):
    """An environment of the system's Python with the wheel and with Debian's packages, such as IPython. Other users
    may look into it, too, unlike pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="pymem-install.") as folder:
        os.chmod(folder, 0o755)
        found = Environment(pathlib.Path(folder) / "venv", system, system_packages=True)
        found.install(wheel)
        yield found


def pytest_generate_tests(metafunc):
    if "python" in metafunc.fixturenames:
        metafunc.parametrize("python", pythons(), ids=lambda python: python.name)
