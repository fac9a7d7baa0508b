# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real IPython sessions for tests: in a terminal, and in a Jupyter kernel, as root or as an ordinary
user, from a copy of the package that any user may read."""
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pexpect
import pytest
from jupyter_client import BlockingKernelClient, KernelManager

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.join(PROJECT, "build", "pymem-bpf")
PYTHON = "/usr/bin/python3"
USER = 65534
PATIENCE = 600
PROMPT = r"In \[\d+\]: "
NO_SOCKET = "/nonexistent/pymem-bpf.sock"
needs_program = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK) or os.geteuid() != 0,
                                   reason="needs root and build/pymem-bpf (make)")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x07")

SEED = '''def sum_of_lists(N):
    total = 0
    for i in range(5):
        L = [j ^ (j >> i) for j in range(N)]
        total += sum(L)
        del L # remove reference to L
    return total
'''


class Stage:
    """A folder with the package, the program and a home, which `user` may use. Remove it with
    close()."""

    def __init__(self, user=0):
        self.user = user
        self.path = open_folder()
        self.package = os.path.join(self.path, "python")
        shutil.copytree(os.path.join(PROJECT, "python", "src"), self.package,
                        ignore=shutil.ignore_patterns("__pycache__", "build"))
        self.home = os.path.join(self.path, "home")
        os.mkdir(self.home)
        self.write("mprun_demo.py", SEED)
        subprocess.check_call(["chmod", "-R", "a+rX", self.path])
        subprocess.check_call(["chown", "-R", str(user), self.home])

    def write(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, "w") as f:
            f.write(text)
        os.chown(path, self.user, -1)
        return path

    def environment(self, **more):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("PYTHON", "PYMEM"))}
        env.update(HOME=self.home, IPYTHONDIR=os.path.join(self.home, "ipython"), TERM="dumb",
                   PYTHONPATH=self.package + ":" + self.home, PYTHONDONTWRITEBYTECODE="1",
                   JUPYTER_RUNTIME_DIR=os.path.join(self.home, "runtime"),
                   PYMEM_BPF=PROGRAM, PYMEM_BPF_SOCKET=NO_SOCKET,
                   # A mapping for each block of 128 KiB and more, whatever was freed before. Free-threaded
                   # builds have mimalloc, which gives memory back at once only if told to.
                   MALLOC_MMAP_THRESHOLD_="131072", MIMALLOC_PURGE_DELAY="0")
        env.update(more)
        return env

    def command(self, words):
        """The command, run as the stage's user."""
        if not self.user:
            return list(words)
        number = str(self.user)
        return ["setpriv", "--reuid", number, "--regid", number, "--clear-groups"] + list(words)

    def run(self, words, **environment):
        """(status, output) of a command."""
        done = subprocess.run(self.command(words), env=self.environment(**environment), cwd=self.home,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def close(self):
        shutil.rmtree(self.path)


class Terminal:
    """ipython3 in a terminal of its own."""

    def __init__(self, stage, python=PYTHON, **environment):
        words = stage.command([python, "-m", "IPython", "--simple-prompt", "--no-banner",
                               "--colors=NoColor", "--no-confirm-exit"])
        self.child = pexpect.spawn(words[0], words[1:], env=stage.environment(**environment),
                                   cwd=stage.home, timeout=PATIENCE, encoding="utf-8", echo=False,
                                   dimensions=(200, 200))
        self.child.expect(PROMPT)

    def type(self, line):
        """What was printed between the line and the next prompt. A block ends with an empty line."""
        for one in line.split("\n"):
            self.child.sendline(one)
            if "\n" in line:
                self.child.expect([r" {3}\.\.\.: ?", PROMPT])
        if "\n" in line:
            while self.child.after and "..." in self.child.after:
                self.child.sendline("")
                self.child.expect([r" {3}\.\.\.: ?", PROMPT])
        else:
            self.child.expect(PROMPT)
        return CONTROL.sub("", self.child.before).strip("\n")

    def pid(self):
        return self.child.pid

    def close(self):
        """Ends it. pexpect's own way gives up after tenths of a second."""
        if self.child.isalive():
            self.child.kill(9)
            self.child.wait()
        self.child.close()


class Cell:
    """What a cell gave: text (stdout), result (text of Out[]), forms (all forms of that), shown (text of what was displayed), displayed (all
    forms of that, {MIME type: data}), pages (of the pager), error."""

    def __init__(self):
        self.text, self.result, self.shown, self.pages, self.error = "", None, "", "", ""
        self.forms = {}
        self.displayed = []

    def all(self):
        return self.text + self.shown + self.pages + self.error


class Kernel:
    """A Jupyter kernel."""

    def __init__(self, stage, python=PYTHON, **environment):
        self.manager = KernelManager()
        self.manager.connection_file = os.path.join(stage.home, "kernel-%d.json" % time.monotonic_ns())
        # The kernel reads the file as its own user.
        self.manager.write_connection_file()
        os.chown(self.manager.connection_file, stage.user, -1)
        words = stage.command([python, "-m", "ipykernel_launcher", "-f", self.manager.connection_file])
        self.process = subprocess.Popen(words, env=stage.environment(**environment), cwd=stage.home,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Not the manager's: that one believes in kernels only that it started itself.
        self.client = BlockingKernelClient(connection_file=self.manager.connection_file)
        self.client.load_connection_file()
        self.client.start_channels()
        try:
            self.wait()
        except BaseException:
            self.close()
            raise

    def wait(self):
        """Until it answers on both channels. The client's own waiting takes a kernel that is busy
        starting for a dead one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            self.client.kernel_info()
            try:
                self.client.get_shell_msg(timeout=2)
                self.client.get_iopub_msg(timeout=1)
                return
            except queue.Empty:
                continue
        raise RuntimeError("the kernel does not answer: status %s" % self.process.poll())

    def run(self, code):
        cell = Cell()

        def hook(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                cell.text += content["text"]
            elif message["msg_type"] == "execute_result":
                cell.forms = content["data"]
                cell.result = cell.forms["text/plain"]
            elif message["msg_type"] == "display_data":
                cell.displayed.append(content["data"])
                cell.shown += content["data"]["text/plain"]

        # A kernel that stops on errors refuses what comes until it has dealt with them: the next cell, too,
        # if that is quick enough.
        reply = self.client.execute_interactive(code, timeout=PATIENCE, output_hook=hook,
                                                stop_on_error=False)["content"]
        if reply["status"] == "aborted":
            raise RuntimeError("the kernel did not run: %s" % code)
        if reply["status"] == "error":
            cell.error = CONTROL.sub("", "%s: %s" % (reply["ename"], reply["evalue"]))
        for payload in reply.get("payload", []):
            if payload.get("source") == "page":
                cell.pages += payload["data"]["text/plain"]
        return cell

    def close(self):
        self.client.stop_channels()
        self.process.kill()
        self.process.wait()
        self.manager.cleanup_resources()


def open_folder():
    """Path of a new temporary folder that every user may enter. pytest's own are root's alone; one that is
    opened is closed by the next pytest that begins."""
    folder = tempfile.mkdtemp(prefix="pymem-bpf-test-")
    os.chmod(folder, 0o755)
    return folder


class Server:
    """A real `pymem-bpf serve` that any user may connect to."""

    def __init__(self):
        self.folder = open_folder()
        self.path = os.path.join(self.folder, "serve.sock")
        self.process = subprocess.Popen([PROGRAM, "serve", "--socket", self.path],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("pymem-bpf serve: %r" % self.process.stderr.read())
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        self.process.stderr.close()
        shutil.rmtree(self.folder)


def pythons(oldest=(3, 8)):
    """[(name, command)] of the interpreters that there are, from a version on."""
    said = subprocess.check_output([os.path.join(PROJECT, "tests", "pythons.sh"), "list"]).decode()
    found = []
    for line in said.splitlines():
        name, _, command = line.partition("\t")
        version = tuple(int(n) for n in re.search(r"(\d+)\.(\d+)", name).groups())
        if version >= oldest:
            found.append((name, command.split(" ")))
    return found


if __name__ == "__main__":
    sys.exit("this is no test: python3 -m pytest runs those beside it")
