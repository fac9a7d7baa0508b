# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Line profiles where there is no helper: a table all the same, marked, with its error and the command that makes
it exact. For an ordinary user, for root on each Python; in scripts, in a terminal, in a kernel. lines_checks_estimate.py
has what needs no other user."""
import json
import os
import re
import socket
import subprocess

import pytest
import sessions
from conftest import HERE, PACKAGE, SLACK
from test_lines_truth import TRUTH
from test_magics_mprun import table

MIB = 1 << 20
SECONDS = 600
HEAD = re.compile(r"^Approximate: to (the page|within \d+\.\d MiB a run of a line \(at worst \d+\.\d\)), other threads' "
                  r"changes included\. `sudo (\S+) serve --socket \S+` makes it exact$", re.M)
SCRIPT = '''
@profile
def keep(n):
    kept = bytearray(n)
    return kept
keep(30000000)
'''

pytestmark = sessions.needs_program


@pytest.fixture(scope="module")
def stage():
    one = sessions.Stage(sessions.USER)
    one.write("script.py", SCRIPT)
    one.write("things.py", SCRIPT.replace("@profile\n", "").replace("keep(30000000)\n", ""))
    for name in "lines_truth.py",:
        with open(os.path.join(HERE, name)) as f:
            one.write(name, f.read())
    yield one
    one.close()


def check_truth(text):
    said = json.loads(text)
    assert said["approximate"] and not said["unread"]
    wrong = {}
    for function, lines in TRUTH.items():
        for line, (runs, mib) in lines.items():
            found, error = said["functions"][function][str(line)], SLACK + runs * said["error"]
            if found[0] != runs or abs(found[1] - mib * MIB) > error:
                wrong[function, line] = found, runs, mib
    assert not wrong
    return said


def test_figures_of_an_ordinary_user(stage):
    status, out = stage.run([sessions.PYTHON, "lines_truth.py", "-"])
    assert status == 0, out
    assert check_truth(out)["reason"] == ""


def test_figures_on_each_python(python):
    """As root, since some interpreters are in root's folders: there is no program that could be started."""
    done = subprocess.run(python.command + [os.path.join(HERE, "lines_truth.py"), "-"],
                          env=dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1",
                                   PYMEM_BPF="/nonexistent/pymem-bpf", PYMEM_BPF_SOCKET=sessions.NO_SOCKET),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS)
    assert done.returncode == 0, done.stderr.decode()
    assert "/nonexistent/pymem-bpf" in check_truth(done.stdout.decode())["reason"]


def test_a_script(stage):
    command = [sessions.PYTHON, "-m", "pymem_bpf", "--precision", "1"]
    status, out = stage.run(command + ["script.py"])
    assert status == 0, out
    assert HEAD.search(out).group(2) == sessions.PROGRAM and "NOTE" not in out
    assert table(out)["kept = bytearray(n)"][1] == pytest.approx(30000000 / MIB, abs=1)
    for options, environment in (["--exact"], {}), ([], {"PYMEM_BPF_EXACT": "1"}):
        status, out = stage.run(command + options + ["script.py"], **environment)
        assert status == 1 and "sudo %s serve" % sessions.PROGRAM in out and "Line #" not in out


def test_decorated_functions(stage):
    """Each table has the mark; who insists has none, and it is said."""
    stage.write("decorated.py", "from pymem_bpf import profile\n" + SCRIPT + "keep(30000000)\n")
    status, out = stage.run([sessions.PYTHON, "decorated.py"])
    assert status == 0 and len(HEAD.findall(out)) == 2, out
    status, out = stage.run([sessions.PYTHON, "decorated.py"], PYMEM_BPF_EXACT="1")
    assert status == 0 and "Line #" not in out and out.count("run unprofiled") == 1, out


def test_where_the_program_is_not_installed(stage):
    status, out = stage.run([sessions.PYTHON, "-m", "pymem_bpf", "script.py"], PYMEM_BPF="", PATH="/usr/bin:/bin")
    installed = os.path.exists("/usr/local/sbin/pymem-bpf") or os.path.exists("/usr/local/bin/pymem-bpf")
    assert status == 0, out
    if not installed:
        assert "Once pymem-bpf is installed, `sudo pymem-bpf serve --socket %s` makes it exact" % sessions.NO_SOCKET in out


@pytest.mark.parametrize("mode, said", [(0o600, "permission denied"), (0o666, "is no pymem-bpf server")])
def test_a_server_that_can_not_be_used(stage, mode, said):
    """Not its own fault that there is none: why is said, and the table is marked."""
    path = os.path.join(stage.path, "refusing.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        os.chmod(path, mode)
        listener.listen(8)
        listener.settimeout(120)
        process = subprocess.Popen(stage.command([sessions.PYTHON, "-m", "pymem_bpf", "script.py"]), cwd=stage.home,
                                   env=stage.environment(PYMEM_BPF_SOCKET=path), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        if mode == 0o666:
            connection, _ = listener.accept()
            connection.settimeout(120)
            connection.recv(4096)
            connection.send(b"hello")
            connection.close()
        out = process.communicate(timeout=SECONDS)[0].decode()
    os.unlink(path)
    assert process.returncode == 0 and HEAD.search(out), out
    assert "NOTE: the figures are approximate, because: " in out and said in out


@pytest.fixture(scope="module")
def kernel(stage):
    one = sessions.Kernel(stage)
    one.run("%load_ext pymem_bpf\nfrom things import keep")
    yield one
    one.close()


def test_a_notebook(kernel):
    """Displayed, not paged: so nbconvert --execute has it, too."""
    cell = kernel.run("%mprun -f keep keep(30000000)")
    assert not cell.error and cell.pages == "" and cell.text == "" and len(cell.displayed) == 1
    plain, html = cell.displayed[0]["text/plain"], cell.displayed[0]["text/html"]
    assert HEAD.search(plain).group(2) == sessions.PROGRAM
    assert table(plain)["kept = bytearray(n)"][1] == pytest.approx(30000000 / MIB, abs=1)
    assert "<b>Approximate: to " in html and re.search(r"serve --socket \S+` makes it exact</b>", html)
    assert re.search(r"<td [^>]*>28\.\d MiB</td><td [^>]*>1</td><td [^>]*><pre [^>]*>    kept = bytearray\(n\)</pre>", html)


def test_machine_readable(kernel):
    """The results know what they are."""
    kernel.run("p = %mprun -r -f keep keep(30000000)")
    assert kernel.run("(p.approximate, p.approximate_reason, p.error_bytes >= 0, p.results()[0].approximate, "
                      "p.results()[0].error_bytes == p.error_bytes)").result == "(True, '', True, True, True)"


def test_a_file(kernel, stage):
    kernel.run("%mprun -T approximate.txt -f keep keep(30000000)")
    with open(os.path.join(stage.home, "approximate.txt")) as f:
        assert HEAD.search(f.read())


def test_children(kernel):
    kernel.run("import subprocess, sys\ndef parent():\n    child = subprocess.Popen([sys.executable, '-c', "
               "'b = bytearray(60000000); print(flush=True); input()'], stdin=subprocess.PIPE, "
               "stdout=subprocess.PIPE)\n    child.stdout.readline()\n    child.communicate(b'x')\n")
    for option, low, high in ("-c ", 55, 90), ("", -3, 6):
        cell = kernel.run("%mprun " + option + "-f parent parent()")
        found = table(cell.shown)
        grown = sum(row[1] for text, row in found.items() if text.startswith("child = ") or "readline" in text)
        assert HEAD.search(cell.shown) and low < grown < high, cell.all()


def test_memit_needs_nothing(kernel):
    said = kernel.run("%memit keep(30000000)").text
    assert float(re.search(r"increment: (\d+\.\d\d) MiB", said).group(1)) == pytest.approx(30000000 / MIB, abs=1)
    assert "pproximate" not in said and "NOTE" not in said


def test_a_terminal(stage):
    """The pager is for terminals."""
    terminal = sessions.Terminal(stage, PAGER="sed s/^/PAGED:/")
    try:
        terminal.type("%load_ext pymem_bpf\n")
        terminal.type("from things import keep")
        said = terminal.type("import IPython.core.page as p, pymem_bpf.magics as m; m.page = lambda text: "
                             "print('PAGED:', text)")
        said = terminal.type("%mprun -f keep keep(30000000)")
        assert "PAGED: Filename" in said and HEAD.search(said), said
    finally:
        terminal.close()


def test_exact_again_when_a_server_runs(stage):
    """With the command of the table, without starting anew."""
    server = sessions.Server()
    path = server.path
    try:
        os.rename(path, path + ".later")
        one = sessions.Kernel(stage, PYMEM_BPF_SOCKET=path)
        try:
            one.run("%load_ext pymem_bpf\nfrom things import keep")
            assert HEAD.search(one.run("%mprun -f keep keep(30000000)").shown)
            os.rename(path + ".later", path)
            cell = one.run("%mprun -f keep keep(30000000)")
            assert "pproximate" not in cell.shown and "kept = bytearray(n)" in table(cell.shown), cell.all()
        finally:
            one.close()
    finally:
        server.close()
