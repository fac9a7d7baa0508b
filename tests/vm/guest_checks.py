# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Amounts on lines, conservation and clean ends on the kernel of a guest.

Uses the harness of tests/e2e without pytest and prints a TAP point for each check. tests/run and kernels.py
read these, and the lines "# guest:" and "# cost:". in_guest.sh runs it. The exit status is the number of
failed checks.
"""
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e"), os.path.dirname(HERE), HERE]
sys.dont_write_bytecode = True

import guest_events  # noqa: E402
import hardened  # noqa: E402
import harness  # noqa: E402
import heaps  # noqa: E402
import serving  # noqa: E402
import test_ends  # noqa: E402
import test_functions  # noqa: E402
from guest_common import CAPABILITIES, PYTHON, STARVED, comment  # noqa: E402

OWN_PROGRAMS = os.path.join(HERE, "programs")
THREADED = ("threads", "smp", "turns")
# Programs that one profiler watches together, since to load it is dear in an emulator: its
# programs are verified each time. file_map needs a disk, which a guest has not.
AMOUNTS = ("grow", "free", "threads", "madvise", "munmap", "mremap", "fork", "cow", "prefork",
           "shared", "huge", "seed", "numpy_temporaries", "smp")
LINES = ("seed", "threads", "fork", "numpy_temporaries")
# What CI has time for: what a kernel could do differently.
SHORT = ("check", "short_verifier", "short_amounts", "vm_calls", "counted_lines", "counted_functions", "kill_9",
         "serve",
         "births_watch", "births_burst", "last_words", "page_cache")
SHORT_AMOUNTS = ("threads", "fork", "mremap", "shared")
# All of it, by make check-vm.
FULL = ("check", "verifier", "amounts", "vm_calls", "lines", "counted_lines", "counted_functions", "killed_check",
        "kill_9",
        "serve", "memit", "accounts", "cost", "births_watch", "births_burst", "last_words", "last_words_of_host",
        "page_cache", "huge_pages", "swapped", "kernel_memory", "memory_cgroup", "reclaims", "memory_high", "taken", "few_capabilities")
# With more CPUs than two: what depends on their number.
SMP = ("check", "smp_amounts", "cost")
# Kernels before 6.2 keep what a task counts to themselves for a while: so many pages may be
# on their way.
BATCH = 64
# Runs of a program whose events are timed: the quickest counts, since the host has other work.
COST_RUNS = 3
# Kernels with uprobe_multi, which bursts need.
BURSTS_SINCE = (6, 6)
# Whose the profiler is, with what it has of root's rights, and the program that it attaches to, with so many threads.
PROFILER, PROFILED, ACCOUNT_THREADS = 4711, 4712, 20
# Seconds between two looks: the first will do where the emulator has a CPU of its own.
BIRTHS_SECONDS = (10, 30, 90)


def batched():
    """Does this kernel count per task (before 6.2)? By what the profiler says itself."""
    said = subprocess.run([harness.TOOL, "check"], check=True, stdout=subprocess.PIPE).stdout
    return b"batched per task" in said


def check_batched_lines(report, target, lines, threads):
    """The lines' amounts, where threads hand over a batch at a time: two that do so in the same
    instant may swap it (ACCURACY.md), so one line may be wrong by a batch for each thread. All
    lines together lack no more than what the report says was lost, by name."""
    bound, total, room = BATCH * harness.KIB * 4 * threads, 0, 0
    for label, truth in lines.items():
        rows = report.rows(target.pid, *harness.find_line(target.path, label))
        tolerance = truth.get("tolerance", harness.TOLERANCE) + truth.get("slack", 0)
        room += tolerance
        for what in [w for w in truth if w not in ("tolerance", "slack")]:
            field = what.partition("_")[0] + "_bytes"
            off = sum(r[field] for r in rows) - truth[what]
            assert abs(off) <= tolerance + bound, "%s: %s off by %+d: %s" % (
                label, field, off, report.top(target.pid))
            total += off
    lost = sum(abs(n) for image in report.images(target.pid) for n in image["lost_bytes"].values())
    if all("increment" in truth for truth in lines.values()):
        assert -room - min(lost, bound) <= total <= room, "together %+d, lost %d: %s" % (
            total, lost, report.top(target.pid))


class Watched:
    """A target, and what is known of it from its page tables and its own truth."""

    def __init__(self, name):
        path = os.path.join(OWN_PROGRAMS, name + ".py")
        path = path if os.path.exists(path) else None
        self.name, self.target = name, harness.Target(PYTHON, name, path)

    def rest(self):
        """Before it is profiled."""
        self.first = harness.rss_at_rest(self.target.pid)

    def work(self):
        pid = self.target.pid
        self.before = harness.rss_at_rest(pid)
        self.truth = self.target.go()
        self.after = harness.rss_at_rest(pid)
        self.children = self.truth.get("children", [])
        self.ends = {c["pid"]: harness.rss_at_rest(c["pid"]) for c in self.children
                     if harness.state(c["pid"]) == "S"}

    def settle(self):
        self.settled = harness.rss_at_rest(self.target.pid)

    def check_change(self, report):
        """Against its page tables. The profiler itself may bring in pages of its files: as it attaches
        probes, and as it reads what is in it at the end; they may be within the figures or not."""
        image = report.image(self.target.pid)
        said = image["rss_end_bytes"] - image["rss_start_bytes"]
        true = [end - start for start in (self.before, self.first) for end in (self.after, self.settled)]
        assert said in true, (said, true, image["lost_bytes"])

    def check(self, report, old):
        target, threads = self.target, {name: self.truth.get("cpus", 2) for name in THREADED}
        report.check_conservation(target.pid)
        self.check_change(report)
        if self.name == "huge":
            harness.check_huge(self.truth)
        if old and self.name in threads:
            check_batched_lines(report, target, self.truth["lines"], threads[self.name])
        else:
            report.check_lines(target.pid, target.path, self.truth["lines"])
        for child in self.children:
            report.check_conservation(child["pid"])
            report.check_lines(child["pid"], target.path, child["lines"])
        for pid, end in self.ends.items():
            assert report.image(pid)["rss_end_bytes"] == end


def together(names, options=(), worked=None):
    """Programs under one profiler, one after the other; all are checked, then the first that was
    wrong is told. `worked` is called when each has done its work."""
    with contextlib.ExitStack() as stack:
        watched = []
        for name in names:
            watched.append(Watched(name))
            stack.enter_context(watched[-1].target)
        for w in watched:
            w.rest()
        pids = ",".join(str(w.target.pid) for w in watched)
        tool = stack.enter_context(harness.Tool(*options, "-p", pids))
        tool.attached()
        for w in watched:
            w.work()
            if worked:
                worked()
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
        for w in watched:
            w.settle()
            assert w.target.end() == 0, "the program must not notice"
    wrong, old = [], batched()
    for w in watched:
        try:
            w.check(report, old)
            print("# good: %s %s" % (w.name, " ".join(options)), flush=True)
        except AssertionError as e:
            wrong.append("%s: %s" % (w.name, e))
    assert not wrong, "\n".join(wrong)


def check():
    """The programs load and attach."""
    done = subprocess.run([harness.TOOL, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    comment(done.stdout.decode("utf-8", "replace"))
    assert done.returncode == 0, "status %d" % done.returncode


def amounts():
    together(AMOUNTS)


def short_amounts():
    together(SHORT_AMOUNTS)


def smp_amounts():
    together(("threads", "smp", "fork"))


def lines():
    """Amounts by the walk stay what they are under --lines."""
    together(LINES, ["--lines"])


def verifier(*modes):
    path = os.path.join(os.path.dirname(HERE), "verifier", "compare.py")
    assert subprocess.run([sys.executable, path] + list(modes)).returncode == 0, "see above"


def short_verifier():
    verifier("lines")


def bpf_programs():
    """{name: (run_cnt, run_time_ns)}, of the profiler's programs."""
    return {p["name"]: (p.get("run_cnt", 0), p.get("run_time_ns", 0))
            for p in test_ends.bpftool_list("prog") if "name" in p}


def cost():
    """The kernel's own clock around each program (bpf_stats), with one CPU busy at a time: an emulator
    with one thread gives time to all that are. Comparable only with that of other guests."""
    readings, switch = [], "/proc/sys/kernel/bpf_stats_enabled"
    with open(switch) as f:
        before = f.read()
    try:
        with open(switch, "w") as f:
            f.write("1")
        together(["turns"] * COST_RUNS, worked=lambda: readings.append(bpf_programs()))
    finally:
        with open(switch, "w") as f:
            f.write(before)
    assert "rss_stat" in readings[0], "rss_stat is not loaded: %s" % readings[0]
    for name in ("rss_stat", "fault_user"):
        known = [r[name] for r in readings if name in r]
        runs = [(count - before, (ns - start) / (count - before))
                for (before, start), (count, ns) in zip(known, known[1:]) if count > before]
        assert runs or name != "rss_stat", "rss_stat has not run: %s" % readings
        if runs:
            print("# cost: %s, %d CPUs: %s %d runs, %d ns each" % (
                os.uname().release, os.cpu_count(), name, sum(r[0] for r in runs),
                min(r[1] for r in runs)), flush=True)


def killed_check():
    with harness.Target(PYTHON, "killed") as target:
        with harness.Tool("-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            target.process.wait(harness.PATIENCE)
            report = tool.report()
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])


def kill_9():
    with harness.Target(PYTHON, "grow") as target, harness.Tool("-p", target.pid) as tool:
        tool.attached()
        tool.process.send_signal(signal.SIGKILL)
        tool.wait()
        target.go()
        assert target.end() == 0
    if not any(os.access(p + "/bpftool", os.X_OK) for p in ("/usr/sbin", "/usr/bin")):
        raise AssertionError("bpftool is not installed")
    test_ends.assert_nothing_left(set())


def counted_lines():
    """The exact engine: runs to the one, increments to some pages."""
    with harness.Target(PYTHON, "counted") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            harness.rss_at_rest(target.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    report.check_conservation(target.pid)
    for label, want in truth["lines"].items():
        file, line = harness.find_line(target.path, label)
        rows = [r for r in report.rows(target.pid, file, line) if r["occurrences"] is not None]
        assert sum(r["occurrences"] for r in rows) == want["occurrences"], (label, rows)
        got = sum(r["run_increment_bytes"] for r in rows)
        # A fault's page may be told of one fault late before 6.2.
        slack = (16 + want["occurrences"]) * 4096
        assert abs(got - want["run_increment"]) <= slack, (label, got, want)


def counted_functions():
    """The exact engine, of functions: calls to the one, increments to some pages."""
    with harness.Target(PYTHON, "calls") as target:
        with harness.Tool("--functions", "-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            harness.rss_at_rest(target.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    report.check_conservation(target.pid)
    image = report.image(target.pid)
    test_functions.check_functions(image)
    # A fault's page may be told of one fault late before 6.2.
    test_functions.check_truth(None, target, truth, image, test_functions.SLACK + 64 * 4096)


def serve():
    """Figures on the page, for an ordinary user's process, against the page tables."""
    path = os.path.join(harness.DATA, "socket")
    os.chmod(harness.DATA, 0o755)
    with serving.Server(harness.TOOL, path) as server, serving.Client(path, 65534) as client:
        assert client.track()["status"] == serving.OK
        page = client.page()
        for what in (("grow", 2000), ("fork", 500), ("reset",), ("grow", 3000), ("shrink",)):
            client.tell(*what)
            truth = harness.rss_at_rest(client.pid) // serving.PAGE
            assert abs(page.rss - truth) <= BATCH, (what, page.rss, truth)
            if what[0] == "fork":
                assert page.tree - page.rss > 500
            if what[0] == "reset":
                assert page.resets == 1 and page.peak_now() - page.rss <= BATCH
        assert page.peak_now() - page.rss >= 3000 - BATCH
        client.tell("end_children")
        assert abs(page.tree - page.rss) <= BATCH
        assert server.stop() == 0
        assert page.state == serving.ENDED
    test_ends.assert_nothing_left(set())


def memit():
    """The peak of a command against VmHWM."""
    code = ("block = bytearray(60 << 20)\ndel block\n"
            "print([l.split()[1] for l in open('/proc/self/status') if 'VmHWM' in l][0])")
    done = subprocess.run([harness.TOOL, "memit", "--", sys.executable, "-c", code], check=True,
                          stdout=subprocess.PIPE).stdout.decode().splitlines()
    peak = float(done[1].split()[2])
    assert done[1].startswith("peak memory: ") and abs(peak - int(done[0]) / 1024) < 1, done


def account_of(accounts, user):
    """What the processes of that user hold, by table (bpf/account/owner.bpf.h)."""
    return accounts[1 + user % (len(accounts) // 2 - 1)]["held"]


def accounts():
    """A profiler with capabilities that is not root: what is there when it attaches is on its own user's account."""
    code = ("import threading\nfor i in range(%d): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
            "print(flush=True)\ninput()" % ACCOUNT_THREADS)
    less = ["setpriv", "--clear-groups", "--reuid=%d" % PROFILER, "--regid=%d" % PROFILER]
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
                          preexec_fn=lambda: os.setuid(PROFILED)) as target:
        assert target.stdout.readline() == b"\n"
        before = less + ["--inh-caps=" + CAPABILITIES, "--ambient-caps=" + CAPABILITIES]
        with harness.Tool("-p", target.pid, before=before, output=False) as tool:
            tool.attached()
            found = harness.bpf_variables(tool.process.pid)["accounts"]
            tool.process.send_signal(signal.SIGINT)
            assert tool.wait() == 0, tool.stderr
        target.communicate(b"\n")
    comment("accounts: the target's %s, the profiler's %s" % (account_of(found, PROFILED), account_of(found, PROFILER)))
    assert not any(account_of(found, PROFILER)), "the profiler pays for what it profiles"
    # Before 6.2 threads are in a table that all share. The first is one, too.
    assert account_of(found, PROFILED)[-1] == (ACCOUNT_THREADS + 1 if batched() else 0)


def births_of(how):
    """`heap -d --births HOW` of a program that leaks into a dict and a list; the target, and the look."""
    with heaps.Leaking(PYTHON) as target:
        for seconds in BIRTHS_SECONDS:
            done = heaps.run("--format", "json", "-q", "-p", target.pid, "-d", seconds, "--births", how)
            said = (done.stdout + done.stderr).decode("utf-8", "replace")
            if not any(words in said for words in STARVED):
                break
            comment("%s: starved in %d s" % (how, seconds))
        look = heaps.looks_of(done)["looks"][0]
        assert target.process.poll() is None, "it ended with %s" % target.process.returncode
    comment("%s: %s" % (how, look.verdict))
    for note in look.data["notes"]:
        comment("%s: note: %s" % (how, note))
    return target, look


def births_watch():
    """By debug registers, which the emulator has, and many a host has not: so they must work here."""
    target, look = births_of("watch")
    assert "debug registers do nothing" not in look.notes(), (
        "THE DEBUG REGISTERS OF THIS GUEST RAISE NO TRAP: watchpoints are tested nowhere: %s" % look.notes())
    assert target.check_lines(look) == {"watch"}


def births_burst():
    """By probes on what makes objects; refused by name where a kernel can't attach them together."""
    target, look = births_of("burst")
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) >= BURSTS_SINCE:
        assert target.check_lines(look) == {"burst"}
        return
    assert not look.data["births"], look.data["births"]
    assert "bursts need Linux 6.6" in look.notes() and "debug registers" not in look.notes(), look.notes()


CHECKS = {check.__name__: check for check in (
    check, amounts, short_amounts, smp_amounts, lines, verifier, short_verifier, cost, killed_check, kill_9, counted_lines,
    counted_functions, serve, memit, accounts, births_watch, births_burst, *guest_events.CHECKS, hardened.hardened)}


def chosen():
    if os.cpu_count() > 2:
        return SMP
    more = ("preempted",) if guest_events.preempts() else ()
    # The last one can't be undone.
    return FULL + more + ("hardened",) if os.environ.get("PYMEM_VM_FULL") else SHORT + more


def main():
    only = sys.argv[1:] or chosen()
    harness.DATA = tempfile.mkdtemp()
    failed = 0
    print("# guest: %s, %d CPUs\n1..%d" % (os.uname().release, os.cpu_count(), len(only)), flush=True)
    for number, name in enumerate(only, 1):
        start, good = time.monotonic(), True
        try:
            CHECKS[name]()
        except Exception:
            good = False
            failed += 1
            comment(traceback.format_exc())
        comment("%s: %.0f s" % (name, time.monotonic() - start))
        print("%s %d - %s" % ("ok" if good else "not ok", number, name), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
