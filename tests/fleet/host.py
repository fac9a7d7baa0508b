# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A host with many Pythons of many kinds: gunicorn, celery with redis, uWSGI, scripts, two containers."""
import contextlib
import http.client
import os
import subprocess
import tempfile
import threading
import time

import containers
import harness
import services

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
MIB = 1 << 20
PYTHON = services.PYTHON


class Server(services.Service):
    """A service of programs/ that nobody asks how it is. process: its first; pids(): of all that it has."""

    def told(self, drop=None):
        return {"pid": self.process.pid}

    def environment(self, **more):
        return dict(super().environment(**more), PYTHONPATH=PROGRAMS)

    def pids(self):
        found = [self.process.pid]
        for pid in found:
            found += children(pid)
        return found

    def get(self, path):
        with contextlib.closing(services.Connection(self.socket)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, (path, answer.status, self.log())
            return body


def children(pid):
    with contextlib.suppress(FileNotFoundError), open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return [int(word) for word in f.read().split()]
    return []


class Gunicorn(Server):
    """A master and workers. leak: its first worker keeps the baskets that it is asked for."""

    def __init__(self, workers, leak=False):
        self.workers, self.leak = workers, leak
        super().__init__()

    def start(self):
        self.socket = os.path.join(self.folder, "socket")
        env = self.environment(**({"FLEET_LEAK": "1"} if self.leak else {}))
        self.process = self.spawn([PYTHON, "/usr/bin/gunicorn", "--bind", "unix:" + self.socket, "--workers", str(self.workers),
                                   "--config", os.path.join(PROGRAMS, "shop_conf.py"), "shop:leaking" if self.leak else "shop:application"], env=env)
        services.until_ready(lambda: os.path.exists(self.socket) and len(self.pids()) > self.workers, self.process,
                             "gunicorn")
        self.get("/basket")


class Uwsgi(Server):
    """A master and workers, in C, with an interpreter that is a library."""

    def __init__(self, workers):
        self.workers = workers
        super().__init__()

    def start(self):
        self.socket = os.path.join(self.folder, "socket")
        self.process = self.spawn(["uwsgi", "--plugin", "python3", "--http-socket", self.socket, "--module",
                                   "pages:application", "--master", "--processes", str(self.workers), "--die-on-term",
                                   "--pythonpath", PROGRAMS])
        services.until_ready(lambda: os.path.exists(self.socket) and len(self.pids()) > self.workers, self.process, "uwsgi")
        self.get("/")


class Celery(Server):
    """A worker with processes for its tasks, and redis."""

    def __init__(self, workers):
        self.workers = workers
        super().__init__()

    def start(self):
        path = os.path.join(self.folder, "redis")
        redis = self.spawn(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", self.folder])
        services.until_ready(lambda: os.path.exists(path), redis, "redis")
        broker = "redis+socket://" + path
        self.process = self.spawn([PYTHON, "-m", "celery", "-A", "jobs", "worker", "--pool", "prefork", "--concurrency",
                                   str(self.workers), "--without-gossip", "--without-mingle", "--without-heartbeat"],
                                  env=self.environment(JOBS_BROKER=broker))
        import celery  # slow
        self.app = celery.Celery(broker=broker)
        self.cleanup.callback(self.app.close)
        services.until_ready(lambda: len(self.pids()) > self.workers, self.process, "celery")

    def send(self, number):
        self.app.send_task("resize", [number])


class Script(Server):
    """programs/script.py under a name of its own, so that it is a program of its own."""

    def __init__(self, name, seconds, python):
        self.name, self.seconds, self.python = name, seconds, python
        super().__init__()

    def start(self):
        path = os.path.join(self.folder, self.name + ".py")
        os.symlink(os.path.join(PROGRAMS, "script.py"), path)
        self.process = self.spawn([self.python, path, str(self.seconds)], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"


class Host:
    """All of it, as a context. leaking: the gunicorn of which one worker leaks; containers: [the quiet one, the one that is
    to be killed]."""

    LIMIT = 96 * MIB

    def __init__(self, count):
        self.stack = contextlib.ExitStack()
        self.count, self.servers, self.containers = count, [], []

    def add(self, server):
        self.stack.callback(server.close)
        self.servers.append(server)
        return server

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self):
        self.leaking = self.add(Gunicorn(4, leak=True))
        self.shops = [self.leaking] + [self.add(Gunicorn(8)) for _ in range(3)]
        self.jobs = [self.add(Celery(8)) for _ in range(3)]
        self.pages = [self.add(Uwsgi(8)) for _ in range(2)]
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="pymem-fleet."))
        for python in "trixie-3.13", "bullseye-3.9":
            container = containers.Container(folder, python, self.LIMIT)
            self.stack.callback(container.close)
            self.containers.append(container)
        pythons = [command[0] for name, command in harness.list_pythons()
                   if len(command) == 1 and name.split("-")[1].split(".")[1] in ("8", "10", "11", "12", "13")]
        number = 0
        while len(self.pids()) < self.count:
            self.add(Script("script%d" % (number % 25), 1 + number % 10, pythons[number % len(pythons)]))
            number += 1

    def pids(self):
        """Of all Pythons."""
        return sum((server.pids() for server in self.servers), []) + sum(
            ([c.pid] + children(c.pid) for c in self.containers if c.process.poll() is None), [])


class Load:
    """Somebody who asks the servers, `rate` times a second each, in a thread."""

    def __init__(self, host, rate):
        self.host, self.rate = host, rate
        self.over, self.error, self.done = threading.Event(), None, 0
        self.thread = threading.Thread(target=self.run)

    def once(self):
        for server in [self.host.leaking] * 3 + self.host.shops:
            server.get("/basket")
        for server in self.host.pages:
            server.get("/")
        for server in self.host.jobs:
            server.send(self.done)
        self.done += 1

    def run(self):
        try:
            while not self.over.is_set():
                began = time.monotonic()
                self.once()
                self.over.wait(max(0, 1 / self.rate - (time.monotonic() - began)))
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
