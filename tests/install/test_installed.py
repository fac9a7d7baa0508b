# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""pip installs the wheel, offline, for every interpreter; what is there then works; nothing stays behind."""
import importlib.util
import json
import os
import re
import subprocess

import pytest
from conftest import PROJECT, SECONDS, VERSION, Environment, environment, grown_by_line_5, run

USER = 65534
ABOUT = """
import importlib.metadata as m, json
about = m.distribution("pymem-bpf")
points = sorted((p.group, p.name, p.value) for p in about.entry_points)
print(json.dumps([about.version, about.metadata["Requires-Python"], points, m.version("pymem_bpf")]))
"""
def expected(python):
    """The name of the extension's file for an interpreter."""
    if python.version >= (3, 12) and not python.free_threaded:
        return "_lines.abi3.so"
    return "_lines.cpython-%d%d%s-%s-linux-gnu.so" % (python.version + ("t" * python.free_threaded, os.uname().machine))


def test_each_interpreter(python, wheel, unpacked, tmp_path):
    there = Environment(tmp_path / "venv", python)
    there.install(wheel)
    assert run([there.bin / "pymem-bpf", "--version"]) == "pymem-bpf %s\n" % VERSION
    assert there.run("-c", "import pymem_bpf; print(pymem_bpf.__version__)") == VERSION + "\n"
    about = json.loads(there.run("-c", ABOUT))
    assert about == [VERSION, ">=3.8", [["console_scripts", "pymem-mprof", "pymem_bpf.mprof:main"],
                                        ["pytest11", "pymem_bpf", "pymem_bpf.pytest_plugin"]], VERSION]
    assert there.run("-c", "import pymem_bpf; pymem_bpf.memory_usage(max_usage=True)") == ""
    lines = ("-c", "import pymem_bpf.line_profiler as p; print(p._lines.__file__)")
    if any(unpacked.rglob(expected(python))):
        path = there.run(*lines).strip()
        assert os.path.basename(path) == expected(python) and path.startswith(str(there.folder))
    else:  # a wheel with fewer extensions
        named = "the extension module is not there for this Python (%d.%d%s)" % (
            python.version + ("t" * python.free_threaded,))
        assert named in there.run(*lines, status=1)
    there.pip("uninstall", "--yes", "pymem-bpf")
    left = set(there.files()) - set(there.before)
    # Folders that pip made and does not remove.
    assert all((there.folder / path).is_dir() for path in left), left


def test_unpacked(python, unpacked):
    """The files run with this interpreter's C library, which may be older, or a root folder of its own. Where no pip
    is for an interpreter, this is what is known of it."""
    tool, = unpacked.glob("*.data/scripts/pymem-bpf")
    assert run(python.command[:-1] + [tool, "--version"]) == "pymem-bpf %s\n" % VERSION
    code = "import pymem_bpf.line_profiler as p; print(p._lines.Recorder.resident_steps())"
    env = environment(PYTHONPATH=str(unpacked), PYTHONDONTWRITEBYTECODE="1")
    if not (unpacked / "pymem_bpf" / expected(python)).exists():
        assert "ImportError" in run(python.command + ["-c", code], 1, env=env)
    else:
        assert run(python.command + ["-c", code], env=env).startswith("(")


def test_command(installed):
    """A command for the shell, for root: it is where sudo does not look, and needs nothing around it."""
    env = {"PATH": "%s:/usr/bin:/bin" % installed.bin}
    said = run(["sh", "-c", "command -v pymem-bpf; command -v pymem-mprof"], env=env)
    assert said == "%s/pymem-bpf\n%s/pymem-mprof\n" % (installed.bin, installed.bin)
    assert "pymem-bpf can do its main job here" in run(["sh", "-c", "env -i $(which pymem-bpf) check"], env=env)
    assert run(["pymem-mprof", "--version"], env=env).strip() == VERSION
    page = installed.folder / "share" / "man" / "man8" / "pymem-bpf.8"
    assert page.read_bytes() == open(os.path.join(PROJECT, "docs", "pymem-bpf.8"), "rb").read()


def test_not_root(installed):
    """An ordinary user is told what to type, word for word."""
    done = subprocess.run(["pymem-bpf", "-p", "1"], stderr=subprocess.PIPE, timeout=SECONDS, cwd="/", user=USER,
                          group=USER, extra_groups=[], env={"PATH": "%s:/usr/bin:/bin" % installed.bin})
    assert done.returncode == 3
    assert "\nRun it as root: sudo $(which pymem-bpf) …  (" in done.stderr.decode()


def test_main_job(installed):
    """A real process: the line that makes it grow, and all of the change."""
    grown = grown_by_line_5(installed.command, installed.bin / "pymem-bpf")
    assert 18 << 20 < grown < 24 << 20


@pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="IPython is not installed")
def test_magics(installed):
    """%load_ext finds it; %mprun is exact, by the program of this environment, which is not in PATH."""
    code = ("%load_ext pymem_bpf\n"
            "%memit list(range(300000))\n"
            "from pymem_bpf import _helper\nprint('program', _helper.program())\n"
            "import colorsys\n%mprun -f colorsys.rgb_to_hsv colorsys.rgb_to_hsv(.1, .2, .3)\n")
    said = installed.run("-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code,
                         env={"PATH": "/usr/bin:/bin", "HOME": str(installed.folder),
                              "PYMEM_BPF_SOCKET": str(installed.folder / "no-socket")})
    assert re.search(r"peak memory: \d+\.\d+ MiB, increment: \d+\.\d+ MiB", said), said
    assert "program %s/pymem-bpf\n" % installed.bin in said
    assert "Line Contents" in said and "def rgb_to_hsv(r, g, b):" in said
    if os.geteuid() == 0:
        assert "Approximate" not in said, said


def test_pytest_plugin(installed, tmp_path):
    """pytest has its options without being told of it."""
    (tmp_path / "test_one.py").write_text(
        "import pytest\n@pytest.mark.limit_memory('24 MB')\ndef test_small():\n    pass\n"
        "@pytest.mark.limit_memory('24 MB')\ndef test_large():\n    assert bytearray(50 << 20)\n")
    said = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--memory", str(tmp_path), status=1,
                         cwd=str(tmp_path))
    assert "1 failed, 1 passed" in said and re.search(r"test_large", said), said


def test_server(installed):
    """What a user is told to run, as root would: the path is the environment's."""
    said = installed.run("-c", "from pymem_bpf import _helper; print(_helper.command())",
                         env={"PATH": "/usr/bin:/bin"})
    assert said == "sudo %s/pymem-bpf serve\n" % installed.bin
