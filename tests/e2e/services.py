# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real services, each with programs that keep memory (programs/services): gunicorn with Flask and with Django, a celery
worker with redis, pandas, a Jupyter kernel. All are asked for work in the same way, and can say what their
allocators have handed out.

They run as anybody's would: of the environment that other targets have nothing is set that changes what malloc does. Each
has its sockets and files in a folder of its own."""
import ast
import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import tempfile
import threading
import time
import types

import harness

PYTHON = "/usr/bin/python3"  # the one that Debian's packages are for
FOLDER = os.path.join(harness.PROGRAMS, "services")
PLENTY = 10 ** 9


def until_ready(is_so, process, what):
    """As harness.until(), for what never comes to be if that process has ended."""
    def ready():
        assert process.poll() is None, "%s has ended, status %s" % (what, process.poll())
        return is_so()
    harness.until(ready, what)


class Service:
    """One that runs. pid: of the process that does the work."""

    def __init__(self):
        self.cleanup = contextlib.ExitStack()
        self.folder = self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pymem-service."))
        try:
            self.start()
            self.pid = self.told()["pid"]
        except BaseException:
            self.close()
            raise

    def environment(self, **more):
        env = harness.environment(HOME=self.folder, PYTHONPATH=FOLDER + ":" + harness.PROGRAMS, **more)
        del env["MALLOC_MMAP_THRESHOLD_"], env["MIMALLOC_PURGE_DELAY"]
        return env

    def spawn(self, words, **how):
        """A process with all that it starts itself, which is ended with the service. What it says is in `log`."""
        log = open(os.path.join(self.folder, "log"), "ab")
        process = subprocess.Popen(words, start_new_session=True, cwd=self.folder, stderr=log,
                                   **dict(dict(stdout=log, stdin=subprocess.DEVNULL, env=self.environment()), **how))
        log.close()
        self.cleanup.callback(self.end, process)
        return process

    def log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            return f.read()[-4000:]

    @staticmethod
    def end(process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        harness.end_process(process)

    def close(self):
        self.cleanup.close()

    def started(self, works, rate):
        """Work of these kinds in turn, `rate` times a second at most, until the result is left."""
        return Load(self, works, rate)

    def file(self):
        """Where the lines are that do the work."""
        return os.path.join(FOLDER, self.program + ".py")


class Load:
    """Requests, one after the other, from a thread of this process."""

    numbers = iter(range(1, 10 ** 9))

    def __init__(self, service, works, rate):
        self.service, self.works, self.pause = service, works, 1 / rate
        self.over, self.error, self.done = threading.Event(), None, 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.wait(self.pause):
                self.service.once(self.works[self.done % len(self.works)], next(Load.numbers))
                self.done += 1
        except Exception as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        assert not self.error, "%r; %s" % (self.error, self.service.log())


# --- gunicorn ---

class Connection(http.client.HTTPConnection):
    """HTTP by a socket in the file system."""

    def __init__(self, path):
        http.client.HTTPConnection.__init__(self, "localhost", timeout=harness.PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Gunicorn(Service):
    """A master and one worker."""

    def start(self):
        self.path = os.path.join(self.folder, "socket")
        process = self.spawn([PYTHON, "-m", "gunicorn", "--bind", "unix:" + self.path, "--workers", "1",
                              "--timeout", "0", "--worker-tmp-dir", self.folder] + self.options)
        until_ready(lambda: os.path.exists(self.path), process, "gunicorn: " + self.log())

    def get(self, path):
        with contextlib.closing(Connection(self.path)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, "%s: %d, %s" % (path, answer.status, self.log())
            return body

    def once(self, work, number):
        self.get("/%s?n=%d" % (work, number))

    def told(self, drop=None):
        return json.loads(self.get("/in_use" + ("?drop=" + drop if drop else "")).decode())


class Flask(Gunicorn):
    """In threads, with the program loaded before the worker is forked."""

    program = "shop_flask"
    options = ["--threads", "4", "--preload", "shop_flask:app"]


class Django(Gunicorn):
    program = "shop_django"
    options = ["shop_django:application"]


# --- celery ---

class Celery(Service):
    """A worker with one process for its tasks, and redis as its broker. Results are read from redis itself: celery's client
    for them takes locks when a result is collected as garbage, wherever its thread is, and may wait for itself."""

    program = "jobs_celery"

    def broker(self):
        """Starts redis; its address."""
        self.path = path = os.path.join(self.folder, "redis")
        redis = self.spawn(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", self.folder])
        until_ready(lambda: os.path.exists(path), redis, "redis")
        return "redis+socket://" + path

    def start(self):
        broker = self.broker()
        self.spawn([PYTHON, "-m", "celery", "-A", "jobs_celery", "worker", "--pool", "prefork", "--concurrency", "1",
                    "--without-gossip", "--without-mingle", "--without-heartbeat"],
                   env=self.environment(JOBS_BROKER=broker))
        import celery  # slow
        import redis as client
        self.app = celery.Celery(broker=broker)
        self.cleanup.callback(self.app.close)
        self.results = client.Redis(unix_socket_path=self.path)
        self.cleanup.callback(self.results.close)

    def result(self, task, argument):
        key = "celery-task-meta-" + self.app.send_task(task, [argument]).id
        harness.until(lambda: self.results.exists(key), "%s done by celery" % task)
        answer = json.loads(self.results.get(key))
        self.results.delete(key)
        assert answer["status"] == "SUCCESS", answer
        return answer["result"]

    def once(self, work, number):
        """Tasks are queued; the next one not before this one is done."""
        self.result("jobs_celery." + work, number)

    def told(self, drop=None):
        return self.result("in_use", drop)


# --- pandas ---

class Pandas(Service):
    """A worker that is told by its input what to do."""

    program = "frames_pandas"

    def start(self):
        self.process = self.spawn([PYTHON, self.file()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = harness.Lines(self.process.stdout)
        assert self.lines.next(), "pandas: " + self.log()

    def tell(self, *words):
        self.process.stdin.write((" ".join(words) + "\n").encode())
        self.process.stdin.flush()

    @contextlib.contextmanager
    def started(self, works, rate):
        self.tell(",".join(works), str(rate))
        yield types.SimpleNamespace(done=PLENTY, error=None)  # it does not say how much it has done
        self.told()

    def told(self, drop=""):
        self.tell("in_use", drop)
        return json.loads(self.lines.next().decode())


# --- Jupyter ---

FIRST_CELL = """from notebook import analysis, told
history = []
def keep(number):
    history.append(analysis(number))
"""


class Kernel(Service):
    """A Jupyter kernel, and a person who runs one cell after the other."""

    program = "notebook"

    # What a cell of each kind is.
    CELLS = {
        "outputs": "analysis(%d)",
        "outputs_fixed": "analysis(%d);",
        "history": "keep(%d)",
        "history_fixed": "history[:] = [analysis(%d)]",
    }

    def start(self):
        from jupyter_client import BlockingKernelClient, KernelManager  # slow
        manager = KernelManager()
        manager.connection_file = os.path.join(self.folder, "kernel.json")
        manager.write_connection_file()
        self.cleanup.callback(manager.cleanup_resources)
        self.process = self.spawn([PYTHON, "-m", "ipykernel_launcher", "-f", manager.connection_file],
                                  env=self.environment(IPYTHONDIR=self.folder, JUPYTER_RUNTIME_DIR=self.folder))
        self.client = BlockingKernelClient(connection_file=manager.connection_file)
        self.client.load_connection_file()
        self.client.start_channels()
        self.cleanup.callback(self.client.stop_channels)
        self.wait()
        self.run(FIRST_CELL)

    def wait(self):
        """Until it answers, and what it publishes arrives: that a cell has ended is said once, and is waited for. The
        client's own waiting takes a kernel that is busy starting for a dead one."""
        deadline = time.monotonic() + harness.PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            self.client.kernel_info()
            with contextlib.suppress(queue.Empty):
                self.client.get_shell_msg(timeout=2)
                self.client.get_iopub_msg(timeout=1)
                return
        raise AssertionError("the kernel does not answer: status %s, %s" % (self.process.poll(), self.log()))

    def run(self, code, **how):
        reply = self.client.execute_interactive(code, timeout=harness.PATIENCE, output_hook=lambda message: None,
                                                **how)["content"]
        assert reply["status"] == "ok", reply
        return reply

    def once(self, work, number):
        self.run(self.CELLS[work] % number)

    def told(self, drop=None):
        reply = self.run("", silent=True, user_expressions={"told": "told(%r)" % drop})["user_expressions"]["told"]
        return ast.literal_eval(reply["data"]["text/plain"])
