# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""FlameWatch and %memflame. Starting, ending and what goes wrong: with a stand-in for the program, as root and as an
ordinary user behind a stand-in for sudo, of root's like the real one, which the user can't send signals to. And with the
real program."""
import html.parser
import os
import re
import subprocess

import pytest
import sessions
from sessions import needs_program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PROGRAM = '''#!/usr/bin/python3
import os, signal, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
def mode(name):
    return os.path.exists(os.path.join(folder, name))
def end(number, _):
    if mode("fails"):
        sys.stderr.write("pymem-bpf: the report \\x1b[31mcan't be written\\n")
        os._exit(3)
    if mode("empty"):
        os._exit(0)
    page = "<!DOCTYPE html><title>é</title><script>/* %s */</script><p>args %s</p><p>\\"quoted\\" & 'so'</p>" % (
        number, " ".join(sys.argv[1:]))
    page += "x" * (3 << 20) if mode("large") else ""
    sys.stdout.buffer.write(page.encode())
    sys.stdout.flush()
    os._exit(0)
signal.signal(signal.SIGINT, signal.SIG_IGN if mode("deaf") else end)
with open(os.path.join(folder, "ran"), "w") as f:
    f.write("%d %d" % (os.getpid(), os.geteuid()))
if mode("refuses"):
    sys.exit("pymem-bpf: pid 1: is not Python")
sys.stderr.write("pymem-bpf: something about lines\\nattached; Ctrl-C ends and prints the report\\n")
sys.stderr.flush()
deadline = time.monotonic() + 60
while time.monotonic() < deadline and not mode("dies"):
    time.sleep(.01)
sys.exit("pymem-bpf: out of memory")
'''
SUDO = r'''
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[1], "-n"))
		return 2;
	if (!access("REFUSE", F_OK)) {
		fprintf(stderr, "sudo: a password is required\n");
		return 1;
	}
	if (setresgid(0, 0, 0) || setresuid(0, 0, 0))
		return 3;
	execv(argv[2], argv + 2);
	return 4;
}
'''


class Frame(html.parser.HTMLParser):
    """The iframe in a result."""

    def __init__(self, source):
        html.parser.HTMLParser.__init__(self)
        self.frames = []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        if tag == "iframe":
            self.frames.append(dict(attributes))


class Scene:
    """A stage with stand-ins. mode(): what the program does."""

    def __init__(self, user):
        self.stage = sessions.Stage(user)
        self.folder = os.path.join(self.stage.path, "bin")
        os.mkdir(self.folder)
        self.program = os.path.join(self.folder, "pymem-bpf")
        with open(self.program, "w") as f:
            f.write(PROGRAM)
        source = os.path.join(self.folder, "sudo.c")
        with open(source, "w") as f:
            f.write(SUDO.replace("REFUSE", os.path.join(self.folder, "refuse")))
        sudo = os.path.join(self.folder, "sudo")
        subprocess.check_call(["cc", "-D_GNU_SOURCE", "-o", sudo, source])
        os.chmod(self.program, 0o755)
        os.chmod(sudo, 0o4755)
        self.environment = {"PYMEM_BPF": self.program, "PATH": self.folder + ":" + os.environ["PATH"]}
        self.kernel = sessions.Kernel(self.stage, **self.environment)
        self.kernel.run("%load_ext pymem_bpf\nimport os\nos.chdir(os.environ['HOME'])")

    def mode(self, *names):
        for name in ("fails", "empty", "large", "deaf", "refuses", "dies", "refuse", "ran"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                os.unlink(path)
        for name in names:
            open(os.path.join(self.folder, name), "w").close()

    def ran(self):
        """(PID, user) of the stand-in."""
        with open(os.path.join(self.folder, "ran")) as f:
            return tuple(map(int, f.read().split()))

    def close(self):
        self.kernel.close()
        self.stage.close()


@pytest.fixture(scope="module", params=[0, sessions.USER], ids=["root", "user"])
def a_scene(request):
    one = Scene(request.param)
    yield one
    one.close()


@pytest.fixture
def scene(a_scene):
    a_scene.mode()
    yield a_scene
    pid = a_scene.ran()[0] if os.path.exists(os.path.join(a_scene.folder, "ran")) else None
    assert pid is None or not os.path.exists("/proc/%d" % pid), "the program still runs"
    for _ in range(10):  # the kernel's other threads open and close some meanwhile
        descriptors = a_scene.kernel.run("sorted(os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') "
                                         "if os.path.islink('/proc/self/fd/' + n))").result
        if descriptors is not None:
            break
    assert "ptmx" not in descriptors and "deleted" not in descriptors


def test_shown(scene):
    cell = scene.kernel.run("%%memflame\nb = bytearray(1000)\nprint('ran')\n")
    assert not cell.error and cell.text == "ran\n" and scene.ran()[1] == 0
    assert set(cell.forms) == {"text/plain", "text/html"}
    assert re.match(r"Flame graph of \d+\.\d\d s, 1 KiB of HTML\. %memflame -o FILE or save\(FILE\) keeps it", cell.result)
    frame, = Frame(cell.forms["text/html"]).frames
    assert frame["sandbox"] == "allow-scripts" and "height:640px" in frame["style"] and frame["title"]
    pid = scene.kernel.run("os.getpid()").result
    assert frame["srcdoc"] == ("<!DOCTYPE html><title>é</title><script>/* 2 */</script><p>args -p %s --format flamegraph</p>"
                               "<p>\"quoted\" & 'so'</p>" % pid)
    assert scene.kernel.run("bytes(b)[:2]").result == r"b'\x00\x00'"


def test_kept(scene):
    cell = scene.kernel.run("g = %memflame -o flame.html b = bytearray(1000)")
    assert not cell.error and cell.text == "*** saved to flame.html\n"
    path = os.path.join(scene.stage.home, "flame.html")
    assert scene.kernel.run("g").result.endswith("It is in %s; open it in a browser" % path)
    with open(path, encoding="utf-8") as f:
        assert f.read().startswith("<!DOCTYPE html><title>é")
    cell = scene.kernel.run("%memflame -o /nonexistent/x b = 1")
    assert "*** /nonexistent/x can't be written: No such file" in cell.text and Frame(cell.forms["text/html"]).frames


def test_too_large(scene):
    scene.mode("large")
    cell = scene.kernel.run("g = %memflame b = 1\ng")
    assert not cell.error and "more than the 2 MiB that are shown in a notebook. It is in /" in cell.result
    assert "<iframe" not in cell.forms["text/html"] and len(cell.forms["text/html"]) < 1000
    path = re.search(r"It is in (\S+);", cell.result).group(1)
    assert os.path.getsize(path) > 3 << 20
    os.unlink(path)


def test_what_is_raised_comes_after_the_graph(scene):
    cell = scene.kernel.run("%memflame b = 1; raise KeyError('mine')")
    assert cell.error == "KeyError: 'mine'" and Frame(cell.displayed[0]["text/html"]).frames
    cell = scene.kernel.run("%memflame raise KeyboardInterrupt")
    assert cell.error.startswith("KeyboardInterrupt") and Frame(cell.displayed[0]["text/html"]).frames


@pytest.mark.parametrize("mode, said", [
    ("fails", "pymem-bpf: the report ?[31mcan't be written"), ("empty", "wrote no page"),
    ("refuses", "pymem-bpf: pid 1: is not Python"), ("dies", "pymem-bpf: out of memory")])
def test_what_goes_wrong(scene, mode, said):
    scene.mode(mode)
    cell = scene.kernel.run("x = 0\nimport time\n%memflame time.sleep(.3); x = 1")
    assert cell.error.startswith("UsageError: ") and said in cell.error and "attached" not in cell.error, cell.error
    assert "pymem-bpf -p " in cell.error
    assert scene.kernel.run("x").result == ("0" if mode == "refuses" else "1")
    if mode != "refuses":
        cell = scene.kernel.run("%memflame time.sleep(.3); raise KeyError('mine')")
        assert cell.error == "KeyError: 'mine'" and cell.result is None


def test_one_that_does_not_end(scene):
    """Root kills it; of a user's the terminal is hung up, which ends it."""
    scene.mode("deaf")
    cell = scene.kernel.run("from pymem_bpf import flames\nflames.END_SECONDS = .5\n%memflame x = 2")
    assert cell.error.startswith("UsageError: ") and "has not ended 0 s after the code did" in cell.error


def test_not_permitted(scene):
    scene.mode("refuse")
    cell = scene.kernel.run("x = 0\n%memflame x = 1")
    if not scene.stage.user:
        assert not cell.error  # root needs no sudo
        return
    assert "sudo -n has not started it: sudo: a password is required" in cell.error
    if os.stat(os.path.dirname(scene.stage.path)).st_mode & 0o022:  # the folder of temporary files, mostly
        assert "It can't safely be permitted: others than root can replace %s" % scene.program in cell.error
    else:
        assert "nobody ALL=(root) NOPASSWD: %s ^-p [0-9]+ --format flamegraph$" % scene.program in cell.error
    assert scene.kernel.run("x").result == "0"


def test_not_there(scene):
    cell = scene.kernel.run("os.environ['PYMEM_BPF'] = '/nonexistent/pymem-bpf'\n%memflame x = 1")
    assert cell.error.startswith("UsageError: no helper: /nonexistent/pymem-bpf can't be started")
    scene.kernel.run("os.environ['PYMEM_BPF'] = %r\npath = os.environ['PATH']" % scene.program)
    if scene.stage.user:
        cell = scene.kernel.run("os.environ['PATH'] = '/nonexistent'\n%memflame x = 1")
        scene.kernel.run("os.environ['PATH'] = path")
        assert "needs root, and there is no sudo" in cell.error
    for line, said in ("%memflame", "nothing to run"), ("%memflame -x 1", "no option -x"):
        assert said in scene.kernel.run(line).error


def test_a_terminal(scene):
    terminal = sessions.Terminal(scene.stage, **scene.environment)
    try:
        terminal.type("%load_ext pymem_bpf")
        said = terminal.type("%memflame x = 1")
        assert "Flame graph of " in said and "<iframe" not in said
        assert terminal.type("print(x)") == "1"
    finally:
        terminal.close()


@needs_program
def test_the_real_program(a_scene):
    """Of a cell that keeps 60 MB: the page names the function."""
    a_scene.mode()
    a_scene.kernel.run("os.environ['PYMEM_BPF'] = %r" % sessions.PROGRAM)
    try:
        cell = a_scene.kernel.run("import time\ndef very_own_name(n):\n    return [bytearray(1 << 20) for _ in range(n)]")
        cell = a_scene.kernel.run("%%memflame\nkept = very_own_name(60)\ntime.sleep(.5)\n")
        assert not cell.error, cell.error
        frame, = Frame(cell.forms["text/html"]).frames
        assert "very_own_name" in frame["srcdoc"] and "<html" in frame["srcdoc"].lower()
    finally:
        a_scene.kernel.run("os.environ['PYMEM_BPF'] = %r" % a_scene.program)


def test_whose_program_may_be_permitted(tmp_path):
    """A line for sudo is only given of a program that nobody but root can replace."""
    own, link, open_folder = tmp_path / "pymem-bpf", tmp_path / "link", tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    for path in own, open_folder / "pymem-bpf":
        path.write_text("#!/bin/sh\n")
    os.chown(str(own), 65534, 65534)
    link.symlink_to("/usr/bin/env")
    paths = ["/usr/bin/env", str(link), "/usr/bin/../bin/env", str(own), str(open_folder / "pymem-bpf")]
    done = subprocess.run(["/usr/bin/python3", "-c", "import sys\nfrom pymem_bpf.flames import _is_roots\n"
                           "print([_is_roots(path) for path in sys.argv[1:]])"] + paths, stdout=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=os.path.join(sessions.PROJECT, "python", "src")), check=True)
    assert done.stdout.decode().strip() == "[True, False, False, False, False]"
