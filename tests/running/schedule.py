# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs groups of tests at the same time, as far as they don't disturb each other.

A group is of one of three kinds:

  CPU     computes, in jobs that are independent: as many at a time as there are slots
  HOST    profiles processes of this machine: beside jobs that compute. A job may look at all processes, and
          then no other HOST job runs; or only at those that it starts (job.shares), and then others of that
          kind may run, too
  ALONE   measures what others would change: after everything else has ended, and alone

A slot is a CPU. Each job takes one. HOST jobs have one from the start of the first to the end of the last:
those that look at all processes come first, meanwhile others compute, and slots in which nothing is left to
be computed are for those that share. A group's output is kept until it ends and is printed in one piece; meanwhile
one line a minute says what runs. If only one group was asked for, each job's output is printed when it ends,
or line by line if there is only one job.
"""
import queue
import sys
import threading
import time
import traceback

from running.outcomes import FAILED, Outcome, Tally, slowest

CPU, HOST, ALONE = "cpu", "host", "alone"
HEARTBEAT_SECONDS, LOOK_SECONDS = 60, 0.5


class Job:
    """A part of a group that runs by itself. run() returns outcomes and may say() lines; count() tells how
    many tests of a job that is running have ended. `shares`: see HOST."""

    def __init__(self, name, function=None, shares=False):
        self.name, self.function, self.shares = name, function, shares

    def run(self, say):
        return self.function(say)

    def count(self):
        return 0


class Group:
    """`plan(arguments)` returns jobs; `conclude(outcomes, say)` more outcomes, when all have ended."""

    def __init__(self, name, kind, plan, conclude=None):
        self.name, self.kind, self.plan, self.conclude = name, kind, plan, conclude


class Printer:
    """Blocks of lines, none of which is cut by another."""

    def __init__(self, out=None):
        self.out, self.lock = out or sys.stdout, threading.Lock()

    def block(self, lines):
        with self.lock:
            self.out.write("".join(line + "\n" for line in lines))
            self.out.flush()


def attempt(name, function):
    """What it returns: outcomes. If it raises, that is a failure, and the others go on."""
    try:
        return function()
    except Exception:
        return [Outcome(name + ": tests/run itself failed", FAILED, traceback.format_exc())]


def failure_texts(outcomes):
    """What failures said, once where several say the same."""
    lines, last = [], None
    for outcome in outcomes:
        if outcome.status == FAILED and outcome.text and not outcome.is_said and outcome.text != last:
            lines += ["-- " + outcome.name] + outcome.text.splitlines()
            last = outcome.text
    return lines


def summary(name, outcomes, seconds):
    tally, times = Tally(outcomes), slowest(outcomes)
    lines = failure_texts(outcomes)
    lines += ["SKIP %s: %s" % skip for skip in tally.skips] + ["FAIL " + name for name in tally.failed]
    return lines + (["slowest of %s:" % name] + times if times else []) + [
        "%s: %s, %.0f s" % (name, tally, seconds)]


class Running:
    """A group in this run: its jobs' lines and outcomes, in the order of the jobs."""

    def __init__(self, group, arguments, printer, is_only):
        self.group, self.printer, self.is_only = group, printer, is_only
        self.start, self.outcomes, self.lock = None, None, threading.Lock()
        self.jobs, self.problems = [], []
        try:
            self.jobs = group.plan(arguments)
        except Exception:
            self.problems = [Outcome(group.name + ": its tests can't be listed", FAILED,
                                     traceback.format_exc())]
        self.lines, self.found = [[] for _ in self.jobs], [None] * len(self.jobs)

    def begin(self):
        with self.lock:
            if self.start is None:
                self.start = time.monotonic()
                if self.is_only:
                    self.printer.block(["== " + self.group.name])

    def say(self, number, text):
        if self.is_only and len(self.jobs) == 1:
            self.printer.block(text.splitlines())
        else:
            self.lines[number] += text.splitlines()

    def run_job(self, number):
        self.begin()
        job = self.jobs[number]
        found = attempt(job.name, lambda: job.run(lambda text: self.say(number, text)))
        with self.lock:
            self.found[number] = found
            is_last = all(f is not None for f in self.found)
        if self.is_only:
            self.printer.block(self.lines[number])
        if is_last:
            self.end()

    def end(self):
        """Adds up, and prints all of it."""
        self.begin()
        more, outcomes = [], self.problems + [o for found in self.found for o in found]
        if self.group.conclude:
            outcomes += attempt(self.group.name, lambda: self.group.conclude(outcomes, more.append))
        outcomes = outcomes or [Outcome(self.group.name + ": nothing ran", FAILED)]
        body = [] if self.is_only else ["== " + self.group.name] + sum(self.lines, [])
        body += "\n".join(more).splitlines()
        self.printer.block(body + summary(self.group.name, outcomes, time.monotonic() - self.start))
        self.outcomes = outcomes

    def state(self):
        if self.start is None:
            return "%s waits" % self.group.name
        with self.lock:
            ended = sum(len(found) for found in self.found if found is not None)
            running = [job for job, found in zip(self.jobs, self.found) if found is None]
        return "%s %d tests in %.0f s" % (self.group.name, ended + sum(job.count() for job in running),
                                          time.monotonic() - self.start)


def wait(threads, runs, printer):
    """Until all have ended. The main thread waits, since signals are its own."""
    spoke = start = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        next(thread for thread in threads if thread.is_alive()).join(LOOK_SECONDS)
        now = time.monotonic()
        if now - spoke >= HEARTBEAT_SECONDS:
            spoke = now
            states = [run.state() for run in runs if run.outcomes is None]
            printer.block(["-- %.0f s: %s" % (now - start, "; ".join(states))])


def drain(jobs):
    """Runs jobs of a queue until none is left."""
    while True:
        try:
            run, number = jobs.get_nowait()
        except queue.Empty:
            return
        run.run_job(number)


def run_together(runs, slots, printer):
    computing, free = threading.Semaphore(slots), threading.Event()
    waiting, exclusive, sharing = queue.Queue(), queue.Queue(), queue.Queue()
    for run in runs:
        if not run.jobs:
            run.end()
        for number, job in enumerate(run.jobs):
            kind = waiting if run.group.kind == CPU else sharing if job.shares else exclusive
            kind.put((run, number))

    def host_lane():
        drain(exclusive)
        free.set()
        drain(sharing)
        computing.release()

    def worker():
        while True:
            with computing:
                try:
                    run, number = waiting.get_nowait()
                except queue.Empty:
                    break
                run.run_job(number)
        free.wait()
        with computing:
            drain(sharing)

    computing.acquire()
    threads = [threading.Thread(target=worker, daemon=True) for _ in range(slots)]
    threads.append(threading.Thread(target=host_lane, daemon=True))
    for thread in threads:
        thread.start()
    wait(threads, runs, printer)


def run_groups(chosen, printer, slots):
    """`chosen`: (Group, its arguments). Returns the outcomes of all."""
    runs = [Running(group, arguments, printer, len(chosen) == 1) for group, arguments in chosen]
    run_together([run for run in runs if run.group.kind != ALONE], slots, printer)
    for run in runs:
        if run.group.kind == ALONE:
            run_together([run], slots, printer)
    for run in runs:
        if run.outcomes is None:
            run.outcomes = [Outcome(run.group.name + ": did not end", FAILED)]
    return [outcome for run in runs for outcome in run.outcomes]
