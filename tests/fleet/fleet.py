#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A host of many Pythons, watched by the agent, with Prometheus collecting: leaks, alarms, kills, and all that can go
wrong. Says of each thing what was to be and what was; the last line is "N passed, N failed".

  tests/fleet/fleet.py [--minutes N] [--count N] [--docs FILE]

--docs writes the table, and what a fleet of such hosts needs, into FILE between its marker lines; only if nothing
failed.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e"), os.path.join(os.path.dirname(os.path.dirname(HERE)), "bench")]
# pylint: disable=wrong-import-position
import collector  # noqa: E402
import disk  # noqa: E402
import fleet_docs  # noqa: E402
import harness  # noqa: E402
import host as hosts  # noqa: E402
from test_agent import Agent  # noqa: E402
from test_agent_metrics import ask, check_never_falls, check_sums, fresh, total, url_of  # noqa: E402
from agent import forks  # noqa: E402
from top import cpu_by_name  # noqa: E402

MIB = 1 << 20
STORE_SIZE = 64  # MiB of the disk that gets full
AIM_SHARE, AIM_BYTES = 0.25, 64 * MIB  # per cent of a CPU; of the agent and its helpers
REST = 10  # minutes that all takes after the time in which nothing happens but work
QUIET = 2  # processes and threads a second: of a host that starts more, the aim is not asked for


def line_of(name, text):
    """The number of the line of a program of ours that has the text."""
    with open(os.path.join(hosts.PROGRAMS, name), encoding="utf-8") as f:
        return next(number for number, line in enumerate(f, 1) if text in line)


def cost(share, rss, started):
    """(whether it is as it should be, what to say) of the agent's share of a CPU in per cent and its RSS, where the host
    started so many processes and threads a second: each costs some milliseconds, which is no fault of the agent."""
    met = share <= AIM_SHARE and rss <= AIM_BYTES
    aim = "the aim, %.2f %% and %.0f MiB, " % (AIM_SHARE, AIM_BYTES / MIB)
    how = "is met" if met else "is missed" if started < QUIET else "is missed because the host started %.1f a second" % started
    return met or started >= QUIET, "%.2f %% of a CPU, %.1f MiB, helpers included: %s; processes and threads started: %.1f a second" % (
        share, rss / MIB, aim + how, started)


class Checks:
    """What was to be, and what was."""

    def __init__(self):
        self.rows, self.failed = [], 0

    def add(self, what, good, measured):
        self.failed += not good
        self.rows.append((what, measured, good))
        print("%-4s %s: %s" % ("ok" if good else "FAIL", what, measured), flush=True)
        return good

    def holds(self, what, function, *arguments):
        """Of something that raises AssertionError if it is not as it should be; it returns what to say."""
        try:
            self.add(what, True, function(*arguments) or "yes")
        except AssertionError as error:
            self.add(what, False, str(error).split("\n", 1)[0][:300])

    def comes(self, what, function, seconds, why=None):
        """Waits until the function returns something, which is said. why: says what there is instead."""
        deadline = time.monotonic() + seconds
        while True:
            found = function()
            if found or time.monotonic() > deadline:
                return self.add(what, bool(found), found or "not within %d s%s" % (seconds, "; " + why() if why else "")) and found
            time.sleep(0.5)


class Run:
    """All of it. minute: seconds that stand for a minute of the hour."""

    def __init__(self, options, folder, store, host):
        self.options, self.folder, self.store, self.host = options, folder, store, host
        self.checks, self.pages, self.facts = Checks(), [], {}
        self.hour = max(60, options.minutes * 60 / 4)
        self.interval = 5 if options.minutes < 30 else 15
        self.port = collector.free_port()
        self.leak = line_of("shop.py", "BASKETS.append")
        self.fill = line_of("inside.py", "KEPT.append")

    def agent(self):
        return Agent(self.store, "--size", "32", "--listen", "127.0.0.1:%d" % self.port, "--metrics-lines", "10",
                     "--alarm", "process:growth>2MiB/min over 1min", "--alarm", "container:limit>60%")

    @property
    def leaking_worker(self):
        return min(hosts.children(self.host.leaking.process.pid))

    # --- the parts ---

    def attach(self, agent):
        began = time.monotonic()
        agent.says("and all that will start")
        said = re.search(r"records (\d+) Python processes", agent.text()).group(1)
        self.checks.add("all Pythons are watched", int(said) >= len(self.host.pids()),
                        "%s, of which %d are the run's; in %.1f s" % (said, len(self.host.pids()), time.monotonic() - began))
        return url_of(agent)

    def observe(self, agent, url):
        """The time in which nothing happens but work."""
        seconds = 60 * max(self.options.minutes / 2, self.options.minutes - REST)
        before, start, next_page = cpu_by_name(agent.process.pid), time.monotonic(), 0
        started = forks()
        while time.monotonic() < start + seconds:
            if time.monotonic() >= next_page:
                # This process is a Python, too, and is not to be one that grows.
                self.pages.append(os.path.join(self.folder, "page%d" % len(self.pages)))
                with open(self.pages[-1], "w", encoding="utf-8") as f:
                    f.write(ask(url, headers={"Accept": "application/openmetrics-text"})[2])
                next_page = time.monotonic() + 4 * self.interval
            agent.waits()
            time.sleep(0.5)
        after, seconds = cpu_by_name(agent.process.pid), time.monotonic() - start
        share = 100 * sum(used - before.get(name, 0) for name, used in after.items()) / seconds
        # RSS, and that of its helpers.
        rss = sum(harness.rss(pid) for pid in [agent.process.pid] + hosts.children(agent.process.pid))
        self.facts.update(cpu=share, rss=rss / MIB)
        found = fresh(url)
        level = total(found, "pymem_agent_shed_level")
        self.checks.add("the agent keeps its budget (a tenth of all CPUs, 256 MiB) and sheds nothing",
                        level == 0 and share <= 10 * os.cpu_count() and rss <= 256 * MIB,
                        "%.2f %% of a CPU over %.0f s, scraped each %d s, %.1f MiB, helpers included; the host's load was %.1f" % (
                            share, seconds, self.interval, rss / MIB, os.getloadavg()[1]))
        self.checks.add("the agent's cost", *cost(share, rss, (forks() - started) / seconds))

    def sums(self, url):
        def page():
            found = fresh(url)
            check_sums(found)
            return "%d programs, %.1f MiB" % (len(found["pymem_rss_bytes"]), total(found, "pymem_rss_bytes") / MIB)
        self.checks.holds("lines and what is unattributed are each program's change, programs are containers, to the byte",
                          page)

        def truth():
            pids = self.host.pids()
            want = sum(harness.rss(pid) for pid in pids)
            found = total(fresh(url), "pymem_rss_bytes")
            others = found - want
            assert others >= -0.01 * want, "%d bytes, processes have %d" % (found, want)
            return "%.1f MiB in metrics, %.1f MiB of the run's processes in /proc" % (found / MIB, want / MIB)
        self.checks.holds("RSS is that of /proc", truth)

    def leaks(self, agent, prometheus):
        window = "%ds" % self.hour
        program = "gunicorn shop:leaking"

        def answer():
            found = prometheus.query('topk(1, delta(pymem_line_change_bytes{file!="(other)"}[%s]))' % window)
            if found and found[0][0]["line"] == str(self.leak) and found[0][0]["program"] == program:
                labels, value = found[0]
                return "%s:%s %s of %s, +%.1f MiB in %s" % (os.path.basename(labels["file"]), labels["line"],
                                                           labels["function"], labels["program"], value / MIB, window)
            return None
        self.checks.comes("a query's first answer is the line that leaks", answer, 4 * self.hour)

        def fires():
            programs = [labels["program"] for labels in prometheus.alert("PythonProgramGrows")]
            return ", ".join(programs) if program in programs else None
        def parts():
            which = '{program="%s"}' % program
            return "; ".join("%s: %s" % (text, [value for _, value in prometheus.query(text)]) for text in (
                "program:pymem_rss_bytes:delta1h" + which, "pymem_rss_bytes" + which,
                "pymem_rss_bytes%s offset %s" % (which, window), "deriv(pymem_rss_bytes%s[%ds])" % (which, self.hour / 4),
                'ALERTS{alertname="PythonProgramGrows"}'))
        if self.checks.comes("Prometheus' alert fires for that program", fires, 2 * self.hour + 60, parts):
            names = {labels["program"] for labels in prometheus.alert("PythonProgramGrows")}
            self.checks.add("and for no other", names == {program}, ", ".join(sorted(names)))

        def told():
            for line in agent.text().splitlines():
                if "alarm process:growth" in line and "PID %d" % self.leaking_worker in line:
                    return line if "shop.py:%d keep" % self.leak in line else None
            return None
        line = self.checks.comes("the agent's alarm names the worker and the line", told, self.hour)
        if line:
            path = line.rsplit("; ", 1)[1]
            self.checks.add("and its report is kept", os.path.exists(path), os.path.basename(path))

    def killed(self, prometheus):
        victim = self.host.containers[1]
        pid = victim.pid
        victim.fill()

        def words():
            names = [name for name in os.listdir(self.store) if name.startswith("oom-") and name.endswith("-%d.json" % pid)]
            if not names:
                return None
            with open(os.path.join(self.store, names[0]), encoding="utf-8") as f:
                data = json.load(f)
            frames = [frame for stack in data["last_words"]["stacks"] for frame in stack["frames"]]
            place = next((f for f in frames if f["function"] == "fill" and f["line"] in (self.fill, self.fill + 1)), None)
            return "%s: inside.py:%d fill, cause %s" % (names[0], place["line"], data["last_words"]["cause"]) \
                if place else "no such line: %r" % frames
        self.checks.comes("who was killed in its container left its last words", words, 60)
        listed = subprocess.run([harness.TOOL, "oom", self.store, "-n", "0"], stdout=subprocess.PIPE, check=True,
                                timeout=60).stdout.decode()
        row = next((row for row in listed.splitlines() if re.search(r" %d +OOM" % pid, row)), None)
        self.checks.add("pymem-bpf oom lists it", bool(row), " ".join((row or listed).split()))

        def fires():
            found = [labels for labels in prometheus.alert("PythonProgramKilled") if labels["where"] == victim.name]
            return found and "%(program)s in %(where)s" % found[0]
        self.checks.comes("Prometheus' alert of that fires", fires, 60)

    # --- what goes wrong ---

    def without_prometheus(self, prometheus, url):
        before = fresh(url)
        prometheus.stop()
        time.sleep(3 * self.interval)
        after = fresh(url)
        self.checks.holds("Prometheus gone: counters go on", lambda: "%d counters, none fell" % check_never_falls(before, after))
        prometheus.start()
        window = "%ds" % (20 * self.interval)
        self.checks.comes("it is back: no counter seems to begin again", lambda: [
            value for _, value in prometheus.query("max(resets(pymem_grown_bytes_total[%s])) + 1" % window)] == [1] and
            "resets(): 0", 4 * self.interval)

    def full_disk(self, agent, url):
        """The disk has no room for a while, and the agent needs some: new programs begin all the time. What it removes to have
        room is filled again."""
        def paused():
            left = disk.free_bytes(os.path.dirname(self.store))
            return total(fresh(url), "pymem_agent_recording") == 0 and \
                "pymem_agent_recording 0 after %.0f s; %d bytes of the disk were free" % (time.monotonic() - began, left)

        def said():
            return next((line for line in agent.text().splitlines() if self.is_of_recording(line)), None)

        def unrecorded():
            return total(fresh(url), "pymem_agent_unrecorded_seconds")
        before, began = unrecorded(), time.monotonic()
        with disk.Newcomers() as newcomers:
            with disk.Ballast(os.path.dirname(self.store)) as ballast:
                self.checks.comes("disk full: a metric says that nothing is recorded", paused, 120,
                                  lambda: "%d new programs" % len(newcomers.started))
                self.checks.comes("and a line of the journal says why", said, 15)
                self.checks.comes("and for how long it did not is known", lambda: unrecorded() - before > 5 and
                                  "%.1f s so far" % (unrecorded() - before), 60)
            self.checks.comes("there is room again: it records",
                              lambda: total(fresh(url), "pymem_agent_recording") == 1 and "pymem_agent_recording 1", 90)
            time.sleep(3 * self.interval)
        error = ballast.error or newcomers.error
        self.checks.add("the disk was full, and new programs began all along", error is None,
                        repr(error) if error else "%d of them" % len(newcomers.started))
        self.checks.holds("and the recording since then is whole", self.newest)

    @staticmethod
    def is_of_recording(line):
        """Of the one that ends there, or the next one that can't be begun. SQLite has words of its own for it."""
        return (".pymem" in line or "no recording can be begun" in line) and \
            ("No space left" in line or "disk is full" in line)

    def newest(self):
        """The recording that is written now adds up, and has programs."""
        name = max(name for name in os.listdir(self.store) if name.endswith(".pymem"))
        count = len(self.whole(name)["processes"])
        assert count, "%s has no process" % name
        return "%d processes in %s" % (count, name)

    def whole(self, name):
        """The report of a recording, of which each process adds up."""
        done = subprocess.run([harness.TOOL, "report", os.path.join(self.store, name), "--format", "json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        assert done.returncode == 0, "%s: %s" % (name, done.stderr.decode())
        report = json.loads(done.stdout.decode())
        for process in report["processes"]:
            lines = sum(line["increment_bytes"] for line in process["lines"])
            rest = sum(process["lost_bytes"].values())
            change = process["rss_end_bytes"] - process["rss_start_bytes"]
            assert lines + rest == change, "%s: PID %d: %d + %d is not %d" % (name, process["pid"], lines, rest, change)
        return report

    def recordings(self, killed):
        """Each opens, adds up, and says how it ended."""
        said, count = [], 0
        for name in sorted(name for name in os.listdir(self.store) if name.endswith(".pymem")):
            report = self.whole(name)
            count += len(report["processes"])
            said += [note for note in report["notes"] if "was not ended by its recorder" in note]
        assert not killed or said, "no recording says that its recorder was killed"
        return "%d processes in %d recordings%s" % (count, len(os.listdir(self.store)), "; " + said[0] if said else "")

    def all(self):
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            load = stack.enter_context(hosts.Load(self.host, 1))
            with open(collector.RULES, encoding="utf-8") as f:
                rules = collector.scaled(f.read(), self.hour)
            with self.agent() as agent:
                url = self.attach(agent)
                time.sleep(20)
                prometheus = stack.enter_context(collector.Prometheus(
                    os.path.join(self.folder, "prometheus"), ["127.0.0.1:%d" % self.port], self.interval, rules))
                self.observe(agent, url)
                self.sums(url)
                self.leaks(agent, prometheus)
                self.killed(prometheus)
                self.without_prometheus(prometheus, url)
                self.full_disk(agent, url)
                agent.process.kill()
                agent.wait()
            with self.agent() as agent:
                agent.says("and all that will start")
                url = url_of(agent)
                time.sleep(3 * self.interval)
                self.sums(url)
                self.checks.add("killed and started again: it ends as it should", agent.stop() == 0,
                                agent.text().splitlines()[-1])
            self.checks.holds("all recordings open, and all of each adds up", self.recordings, True)
            self.checks.add("the load ran all along", load.error is None and load.done > 10,
                            "%d rounds%s" % (load.done, ", %r" % load.error if load.error else ""))
        self.facts["minutes"] = (time.monotonic() - began) / 60
        return self

    def measure_fleet(self):
        self.facts.update(collector.sizes(os.path.join(self.folder, "sizes"), self.pages, 50, 40),
                          page=os.path.getsize(self.pages[-1]), count=len(self.host.pids()))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=8, help="that it takes, about (8; the hour: 60)")
    parser.add_argument("--count", type=int, default=200, help="Pythons (200)")
    parser.add_argument("--docs", help="file whose tables are to be written")
    return parser.parse_args()


def main():
    options = parse()
    for tool in "crun", "uwsgi", "redis-server", "gunicorn", "prometheus":
        if not shutil.which(tool):
            sys.exit("%s is missing: tools/install-deps fleet installs it" % tool)
    if os.geteuid():
        sys.exit("fleet.py: only root can do this: it loads BPF, mounts, and makes containers")
    # What was started is ended, and the disk unmounted, whatever ends this.
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit("fleet.py: ended by a signal"))
    with tempfile.TemporaryDirectory(prefix="pymem-fleet.") as folder, \
            disk.small(os.path.join(folder, "disk"), STORE_SIZE) as mounted, hosts.Host(options.count) as host:
        print("%d Pythons run" % len(host.pids()), flush=True)
        run = Run(options, folder, os.path.join(mounted, "store"), host).all()
        run.measure_fleet()
    if options.docs and not run.checks.failed:
        fleet_docs.write(options.docs, run.checks.rows, run.facts)
    print("%d passed, %d failed" % (len(run.checks.rows) - run.checks.failed, run.checks.failed))
    return run.checks.failed != 0


if __name__ == "__main__":
    sys.exit(main())
