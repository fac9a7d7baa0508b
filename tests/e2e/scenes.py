# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the documents' commands are about: programs of examples/ that run, under the names that the documents give them.

A scene is a context manager: it has started what its documents start, and waited until that is at work. It yields a
Stage. All are children of this process and end with the scene."""
import contextlib
import http.client
import itertools
import os
import shutil
import signal
import socket
import string
import subprocess

import harness
import heaps
import services
from harness import MIB

EXAMPLES = os.path.join(harness.PROJECT, "examples")
PYTHON = services.PYTHON
# Where the documents have the programs.
SHOWN = "/srv/app"


class Stage:
    """folder: of the programs, and that in which the command runs. pid: what PID stands for in the command. names: what
    stands for names of programs in it, since others may run programs that are called that. shown: what the documents
    have in place of other things in the output."""

    def __init__(self, folder, pid=None, names=None, shown=()):
        self.folder, self.pid, self.names = folder, pid, names or {}
        self.shown = [(folder, SHOWN), *shown]

    def as_documented(self, text):
        for ours, theirs in self.shown:
            text = text.replace(ours, theirs)
        return text


@contextlib.contextmanager
def examples():
    """A copy of the programs, in a folder whose name is as long as that in the documents: what is cut where columns end is
    cut in the same place."""
    folder = short_folder()
    try:
        for name in os.listdir(EXAMPLES):
            if name.endswith(".py"):
                shutil.copy(os.path.join(EXAMPLES, name), folder)
        yield folder
    finally:
        shutil.rmtree(folder)


def short_folder():
    for letters in itertools.product(string.ascii_lowercase, repeat=len(SHOWN) - len("/tmp/")):
        with contextlib.suppress(FileExistsError):
            os.mkdir("/tmp/" + "".join(letters), 0o755)
            return "/tmp/" + "".join(letters)
    raise AssertionError("/tmp has a folder of each such name")


def environment(**more):
    """A user's: nothing in it changes what malloc does."""
    env = harness.environment(PYTHONPATH="", **more)
    del env["MALLOC_MMAP_THRESHOLD_"], env["MIMALLOC_PURGE_DELAY"], env["PYTHONPATH"]
    return env


@contextlib.contextmanager
def started(folder, *words):
    """A program of the folder."""
    process = subprocess.Popen([PYTHON, *words], cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def grown(process, size):
    """Returns when RSS is that much, so that imports are over and it is at work."""
    def is_so():
        assert process.poll() is None, "it has ended, status %s" % process.poll()
        return harness.rss(process.pid) >= size
    harness.until(is_so, "%d MiB large" % (size // MIB))


@contextlib.contextmanager
def program(*words, size):
    with examples() as folder, started(folder, *words) as process:
        grown(process, size)
        yield Stage(folder, process.pid)


def shop():
    return program("shop.py", "200", size=20 * MIB)


def service():
    return program("service.py", size=20 * MIB)


def sessions():
    return program("sessions.py", size=11 * MIB)


def freed():
    """When it sleeps at its end, all is let go of."""
    return at_rest("freed.py")


@contextlib.contextmanager
def at_rest(name):
    with examples() as folder, started(folder, name) as process:
        grown(process, 100 * MIB)
        harness.until(lambda: harness.state(process.pid) == "S" and harness.in_system_call(process.pid), "asleep")
        yield Stage(folder, process.pid)


@contextlib.contextmanager
def shop_bounded():
    """The leak is mended, and the queue is full."""
    with examples() as folder:
        path = os.path.join(folder, "shop.py")
        with open(path) as f:
            text = f.read()
        with open(path, "w") as f:
            f.write(text.replace("AUDIT = []\n", "import collections\nAUDIT = collections.deque(maxlen=10000)\n"))
        with started(folder, "shop.py", "200") as process:
            harness.until(lambda: heaps.run("-q", "-p", process.pid, "--types-only").returncode == 0, "Python")
            harness.until(lambda: any(h["path"] == "__main__.AUDIT" and h["entries"] == 10000
                                      for h in heaps.look(process.pid).holders), "full")
            yield Stage(folder, process.pid)


@contextlib.contextmanager
def launched():
    """Nothing runs: the command starts it."""
    with examples() as folder:
        yield Stage(folder)


@contextlib.contextmanager
def host():
    """Programs, of which one grows fastest, and workers with their master."""
    with examples() as folder, contextlib.ExitStack() as stack:
        processes = [stack.enter_context(started(folder, "scorer.py", "--shard", str(n))) for n in range(1, 5)]
        stack.enter_context(started(folder, "master.py", "--workers", "3"))
        for process in processes:
            grown(process, 12 * MIB)
        yield Stage(folder)


# --- real servers ---

# Debian's: other interpreters may come first in ours.
DEBIANS = "/usr/sbin:/usr/bin:/sbin:/bin"


class Web(services.Service):
    """gunicorn, as the recipe starts it, but for the port."""

    program, works = "web", ["page"]

    def start(self):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        shutil.copy(os.path.join(EXAMPLES, "web.py"), self.folder)
        self.process = self.spawn(["gunicorn", "-w", "3", "--bind", "127.0.0.1:%d" % self.port, "web:application"],
                                  env=self.environment(PATH=DEBIANS))
        services.until_ready(lambda: len(children(self.process.pid)) == 3 and self.answers(), self.process, "gunicorn")

    def answers(self):
        try:
            self.once("page", 0)
        except ConnectionRefusedError:
            return False
        return True

    def once(self, work, number):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE)) as web:
            web.request("GET", "/%s/%d" % (work, number))
            answer = web.getresponse()
            assert len(answer.read()) > 1000 and answer.status == 200, self.log()

    def told(self, drop=None):
        return {"pid": self.process.pid}

    def shown(self):
        return [("127.0.0.1:%d" % self.port, "127.0.0.1:8000")]


class Jobs(services.Celery):
    """celery, as the recipe starts it."""

    program, works = "jobs", ["report"]

    def start(self):
        broker = self.broker()
        shutil.copy(os.path.join(EXAMPLES, "jobs.py"), self.folder)
        self.process = self.spawn(["celery", "-A", "jobs", "worker", "--concurrency", "2"],
                                  env=self.environment(BROKER=broker, PATH=DEBIANS))
        import celery  # slow
        self.app = celery.Celery(broker=broker, backend=broker)
        self.cleanup.callback(self.app.close)
        services.until_ready(lambda: len(children(self.process.pid)) == 2, self.process, "celery")

    def once(self, work, number):
        self.app.send_task("jobs." + work, [number], ignore_result=True)

    def told(self, drop=None):
        return {"pid": self.process.pid}

    def shown(self):
        return []


class Notebook(services.Kernel):
    works = ["outputs"]

    def shown(self):
        return [(services.FOLDER, SHOWN)]


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return list(map(int, f.read().split()))


@contextlib.contextmanager
def served(kind, name, least):
    """A service under load, once the process that works has that size. Its name in commands stands for its PIDs."""
    with contextlib.closing(kind()) as service, service.started(service.works, 50):
        pids = [service.pid] + children(service.pid)
        harness.until(lambda: max(map(harness.rss, pids)) >= least, "large")
        yield Stage(service.folder, service.pid, {name: ",".join(map(str, pids))}, service.shown())


def gunicorn():
    return served(Web, "gunicorn", 24 * MIB)


def celery():
    return served(Jobs, "celery", 30 * MIB)


def notebook():
    return served(Notebook, "ipykernel_launcher", 50 * MIB)


def flask():
    """The service of tests/e2e/programs/services, whose view keeps contexts."""
    @contextlib.contextmanager
    def one():
        with contextlib.closing(services.Flask()) as service, service.started(["contexts"], 50):
            yield Stage(services.FOLDER, service.pid)
    return one()
