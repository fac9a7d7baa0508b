# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One run of a program under a contender, and what its lines truly do."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

import common
import contenders
import readings

OUTPUT = common.OUTPUT
TAIL = 300
MARK = re.compile(r"# (?:truth|known): (\w+)")


class Folder:
    """A folder for one run's outputs, inside the project, which a tree's root has at that path."""

    def __enter__(self):
        os.makedirs(OUTPUT, exist_ok=True)
        self.path = tempfile.mkdtemp(prefix="run.", dir=OUTPUT)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def start(command, job, environment, seconds):
    """(status or None after a timeout, stderr). A run's processes are a session of their own, so
    that a timeout ends all of them."""
    env = dict(os.environ, PYMEM_BENCH_SCALE=repr(job.scale), PYTHONDONTWRITEBYTECODE="1",
               PYTHONPATH=contenders.SAME, PYMEM_BENCH_RESULT=job.path("result"))
    env.pop("PYMEM_BENCH_SNAPSHOT", None)
    env.update(job.environment)
    env.update(environment)
    with open(job.path("stderr"), "wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                   env=env, start_new_session=True, cwd=job.folder)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status, job.text("stderr")


def results(job):
    """The objects that the program wrote (bench/same/measured.py)."""
    return [json.loads(row) for row in job.text("result").splitlines()]


def run(contender, program, scale, seconds, environment=None, parse=True):
    """{"status": "ok", the program's own figures, "reading"}, or "timeout" or "failed" and why."""
    with Folder() as folder:
        job = contenders.Job(contender.host, program, folder, scale, environment)
        status, said = start(contender.command(job), job, contender.environment(job), seconds)
        if status is None:
            return {"status": "timeout", "reason": "no end in %d s" % seconds}
        try:
            own = [r for r in results(job) if "seconds" in r]
        except readings.NoReading:
            own = []
        if status or not own:
            last = said.strip().splitlines()[-1:] or ["no word"]
            return {"status": "failed", "reason": "status %s: %s" % (status, last[0][-TAIL:])}
        found = dict(own[-1], status="ok", reading=None)
        found.pop("live")
        if parse:
            try:
                found["reading"] = contender.read(job, own[-1])
            except (readings.NoReading, ValueError, KeyError, TypeError,
                    subprocess.TimeoutExpired) as e:
                found["unreadable"] = "%s: %s" % (type(e).__name__, e)
        return found


def truth(host, program, scale, seconds, environment=None):
    """{mark: {"line", "runs", "sum", "held", "most", "top", "copied"}} of a program: the sum of the
    changes of RSS over all runs, the greatest of one run, the most above its start that a run
    reached, the highest RSS while it ran, and what children had copied."""
    with Folder() as folder:
        job = contenders.Job(host, program, folder, scale, environment)
        command = job.python(os.path.join(contenders.SAME, "truth.py"), program)
        status, said = start(command, job, {}, seconds)
        if status != 0:
            raise RuntimeError("%s: no truth: status %s: %s" % (program, status, said[-TAIL:]))
        return add_up(results(job), marked_lines(program))


def marked_lines(program):
    """{mark: line}"""
    with open(program) as f:
        found = ((number, MARK.search(text)) for number, text in enumerate(f, 1))
        return {match[1]: number for number, match in found if match}


def add_up(objects, lines):
    marks = {}
    for said in objects:
        for name, amount in said.get("known", {}).items():
            marks[name] = {"line": lines[name], "runs": None, "sum": amount, "held": None,
                           "most": None, "top": 0, "copied": 0}
        if "mark" not in said:
            continue
        mark = marks.setdefault(said["mark"], {"line": said["line"], "runs": 0, "sum": 0,
                                               "held": 0, "most": 0, "top": 0, "copied": 0})
        mark["runs"] += 1
        mark["sum"] += said["rss"]
        for key, of in (("held", "rss"), ("most", "most"), ("top", "top")):
            mark[key] = max(mark[key], said[of])
        mark["copied"] += said["copied"]
    return marks
