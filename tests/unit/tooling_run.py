#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How tests/run ends and what it prints: tests that are unsteady, fail, die, are skipped or did not run;
groups at the same time. Uses fake tests and the real runner."""
import glob
import io
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
RUN = os.path.join(TESTS, "run")
sys.path[:0] = [TESTS, os.path.join(TESTS, "vm")]

from running import again, commands, groups, outcomes, pytest_runs, schedule, tap  # noqa: E402
from running.outcomes import FAILED, PASSED, SKIPPED, UNSTEADY, Outcome  # noqa: E402
from running.schedule import ALONE, CPU, HOST, Group, Job  # noqa: E402

PATIENCE = 120
# `good` passes; `shaky` fails as often as $2 says; $1 counts its runs.
BINARY = """#!/bin/sh
echo run >> %(counter)s
echo 1..2
echo "ok 1 - good"
if [ $(wc -l < %(counter)s) %(fails)s ]; then echo "# expected 1"; echo "not ok 2 - shaky"; exit 1; fi
echo "ok 2 - shaky"
"""


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def program(self, name, text):
        path = self.write(name, text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def binary(self, name, fails):
        """A unit test whose second point fails in the runs for which `fails`, as for test(1), holds."""
        return self.program(name, BINARY % {"counter": self.path(name + ".runs"), "fails": fails})

    def runs(self, name):
        with open(self.path(name + ".runs")) as f:
            return len(f.readlines())

    def run_unit(self, *paths):
        """(status, lines)"""
        done = subprocess.run([RUN, "unit", *paths], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
        return done.returncode, done.stdout.decode().splitlines()


class Ends(Folder):
    """The exit status and the last lines of the real runner."""

    def test_all_is_well(self):
        status, lines = self.run_unit(self.binary("test_a", "-lt 0"))
        self.assertEqual((status, lines[-2:]), (0, ["0 unsteady, of at most 3", "2 passed, 0 failed"]))
        self.assertEqual(self.runs("test_a"), 1)
        self.assertIn("slowest of unit:", lines)

    def test_seconds_of_the_whole_run(self):
        """Those of what is run again too: each of the four runs sleeps."""
        path = self.binary("test_a", "= 1")
        with open(path) as f:
            text = f.read()
        self.program("test_a", text.replace("echo run", "sleep 1; echo run", 1))
        began = time.monotonic()
        status, lines = self.run_unit(path)
        took = time.monotonic() - began
        self.assertEqual((status, self.runs("test_a")), (0, 4))
        self.assertRegex(lines[-3], r"^\d+ s in all$")
        self.assertTrue(4 <= int(lines[-3].split()[0]) <= took + 0.5, (lines[-3], took))

    def test_unsteady(self):
        status, lines = self.run_unit(self.binary("test_a", "= 1"))
        self.assertEqual((status, lines[-2:]), (0, ["1 unsteady, of at most 3", "2 passed, 0 failed"]))
        self.assertEqual(self.runs("test_a"), 4)
        self.assertIn("UNSTEADY test_a: shaky", lines)
        self.assertIn("    # expected 1", lines, "its first failure")

    def test_more_than_three_unsteady(self):
        status, lines = self.run_unit(*(self.binary("test_%d" % n, "= 1") for n in range(4)))
        self.assertEqual((status, lines[-2:]), (1, ["4 unsteady, of at most 3", "8 passed, 1 failed"]))
        self.assertIn("FAIL 4 tests are unsteady, at most 3 may be", lines)

    def test_three_unsteady(self):
        status, lines = self.run_unit(*(self.binary("test_%d" % n, "= 1") for n in range(3)))
        self.assertEqual((status, lines[-2:]), (0, ["3 unsteady, of at most 3", "6 passed, 0 failed"]))

    def test_failure_that_repeats(self):
        for fails, runs in (("-ge 1", 2), ("!= 2", 3), ("!= 3", 2)):
            with self.subTest(fails):
                name = "test_%d" % time.monotonic_ns()
                status, lines = self.run_unit(self.binary(name, fails))
                self.assertEqual((status, lines[-2:]),
                                 (1, ["0 unsteady, of at most 3", "1 passed, 1 failed"]))
                self.assertIn("FAIL %s: shaky" % name, lines)
                self.assertEqual(self.runs(name), runs)

    def test_dies(self):
        for text, why in (("echo 1..2; echo ok 1 - a; kill -SEGV $$", "1 of 2 tests ran, signal 11"),
                          ("echo 1..1; echo ok 1 - a; exit 3", "but its end: status 3"),
                          ("exit 0", "0 of 0 tests ran, status 0"), ("echo 1..0", "0 of 0 tests ran")):
            with self.subTest(text):
                status, lines = self.run_unit(self.program("test_a", "#!/bin/sh\n" + text))
                self.assertEqual(status, 1)
                self.assertTrue(any(why in line for line in lines if line.startswith("FAIL")), lines)
                self.assertRegex(lines[-1], "[01] passed, 1 failed$")

    def test_cannot_be_started(self):
        status, lines = self.run_unit(self.program("test_a", "#!/nonexistent\n"))
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))

    def test_skips_alone_are_no_success(self):
        text = "#!/bin/sh\necho 1..1; echo '# SKIP: no such thing'; echo 'ok 1 # SKIP a'"
        status, lines = self.run_unit(self.program("test_a", text))
        self.assertEqual((status, lines[-1]), (1, "0 passed, 0 failed, 1 skipped"))
        self.assertIn("SKIP test_a: a: SKIP: no such thing", lines)

    def test_unknown_group(self):
        done = subprocess.run([RUN, "nosuch"], stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"no such group", done.stderr)

    def test_interrupted(self):
        pid = self.path("pid")
        path = self.program("test_a", "#!/bin/sh\necho $$ > %s.tmp; mv %s.tmp %s; exec sleep 1000" % (
            (pid,) * 3))
        process = subprocess.Popen([RUN, "unit", path], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(pid):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGTERM)
        with open(pid) as f:
            self.assertFalse(os.path.exists("/proc/" + f.read().strip()), "what it ran goes on")


class Formatting(Folder):
    def test_only_by_the_one_that_decides(self):
        """Another clang-format is a skip with its reason; that one is run."""
        self.addCleanup(os.environ.update, PATH=os.environ["PATH"])
        os.environ["PATH"] = self.folder + ":" + os.environ["PATH"]
        for version in ("14.0.6", "19.1.7"):
            self.program("clang-format", "#!/bin/sh\necho 'Debian clang-format version %s'\n" % version)
            job = groups.formatting_job()
            if version.startswith(groups.FORMATTER + "."):
                self.assertEqual([o.status for o in job.run(print)], [PASSED])
            else:
                skipped, = job.run(print)
                self.assertEqual((skipped.status, skipped.text[:18]), (SKIPPED, "clang-format is 19"))


class Again(unittest.TestCase):
    def settle(self, found):
        out = io.StringIO()
        again.settle(found, schedule.Printer(out))
        return out.getvalue()

    def test_crash_of_a_fuzzer_is_a_failure_at_once(self):
        for said, excused in (("Test unit written to /tmp/x/crash-0a1b", False),
                              ("fuzz_walk: a regression case fails", False), ("no end in 125 s", True)):
            job = groups.command_job("fuzz_x", ["sh", "-c", "echo '%s'; exit 1" % said], find=groups.FIND)
            self.assertEqual(job.run(print)[0].again is not None, excused, said)

    def test_too_many_are_not_run_again(self):
        found = [Outcome(str(n), FAILED, again=lambda: self.fail("run again"))
                 for n in range(again.MOST_AGAIN + 1)]
        self.assertIn("none is run again", self.settle(found))
        self.assertEqual({o.status for o in found}, {FAILED})

    def test_an_exception_is_no_success(self):
        def broken():
            raise OSError("no such thing")
        found = [Outcome("a", FAILED, again=broken)]
        self.assertIn("no such thing", self.settle(found))
        self.assertEqual(found[0].status, FAILED)

    def test_guest_boots_once_for_a_check(self):
        """One check alone; all of them where the guest had ended before its plan."""
        for said, wanted in (("1..2\nok 1 - check\nnot ok 2 - serve", ("serve",)),
                             ("1..2\nok 1 - check", ())):
            boots, guest = [], groups.Guest(("7.2", 2), {})

            def boot(*checks):
                boots.append(checks)
                text = said if len(boots) == 1 else "1..1\nok 1 - serve"
                status = int(len(boots) == 1)
                return commands.Ended(status, [(0.0, line) for line in text.splitlines()], 1.0)
            guest.boot = boot
            found = guest.run(lambda text: None)
            self.assertEqual([o.status for o in found], [PASSED, FAILED])
            self.settle(found)
            self.assertEqual(found[1].status, UNSTEADY)
            self.assertEqual(boots, [(), wanted])


class Commands(Folder):
    def test_given_up_with_what_it_started(self):
        path = self.path("pid")
        ended = commands.run(["sh", "-c", "sleep 1000 & echo $! > %s; echo said; wait" % path], 1)
        self.assertEqual((ended.status, ended.output()), (None, "said"))
        with open(path) as f:
            pid = f.read().strip()
        deadline = time.monotonic() + PATIENCE
        while os.path.exists("/proc/" + pid):
            self.assertLess(time.monotonic(), deadline, "what it started goes on")
            time.sleep(0.01)

    def test_points_have_their_time(self):
        _, points = tap.read_points([(1.0, "1..2"), (3.0, "ok 1 - a"), (3.5, "ok 2 - b")])
        self.assertEqual([(p[0], p[3]) for p in points], [("a", 3.0), ("b", 0.5)])

    def test_slowest(self):
        found = [Outcome("test %d" % n, PASSED, seconds=float(n)) for n in range(30)]
        lines = outcomes.slowest(found)
        self.assertEqual((len(lines), lines[0].split()), (10, ["29.0", "s", "test", "29"]))


NODES = """
import os, pytest, time
HERE = os.path.dirname(__file__)

def first(name):
    path = os.path.join(HERE, name)
    is_first = not os.path.exists(path)
    open(path, "a").close()
    return is_first

def test_good(): pass

@pytest.mark.parametrize("word", ["a b/c::d", "\\u00e9"])
def test_shaky(word):
    assert not first("shaky" + str(len(word))), "the first time"

def test_bad(): assert False, "ever so"

@pytest.fixture
def shaky_end():
    yield
    assert not first("end"), "an end"

def test_end(shaky_end): pass

def test_then_skipped():
    assert not first("skipped")
    pytest.skip("no more")

@pytest.mark.skip(reason="not here")
def test_skipped(): pass
"""


class Pytest(Folder):
    def job(self, text, **how):
        self.write("test_nodes.py", textwrap.dedent(text))
        return pytest_runs.PytestJob("e2e", pytest_runs.Tests(self.folder, self.folder), **how)

    def run_job(self, job):
        self.said = []
        found = job.run(self.said.append)
        return {o.name.split("::", 1)[-1]: o for o in found}

    def test_nodes_again(self):
        found = self.run_job(self.job(NODES))
        before = {name: o.status for name, o in found.items()}
        again.settle(found.values(), schedule.Printer(io.StringIO()))
        after = {name: o.status for name, o in found.items() if o.status != before[name]}
        shaky = [name for name in found if name.startswith("test_shaky")]
        self.assertEqual(len(shaky), 2, list(found))
        self.assertEqual(after, {name: UNSTEADY for name in shaky + ["test_end"]})
        self.assertEqual((before["test_good"], before["test_skipped"]), (PASSED, SKIPPED))
        self.assertEqual({found[n].status for n in ("test_bad", "test_then_skipped")}, {FAILED})
        self.assertEqual(found["test_skipped"].text, "not here")
        self.assertIn("the first time", found[shaky[0]].text)
        self.assertIn("ever so", "\n".join(self.said))

    def test_does_not_import(self):
        found = self.run_job(self.job("import nosuch_module_anywhere\n"))
        self.assertEqual([(o.status, o.again) for o in found.values()], [(FAILED, None)])

    def test_dies_in_the_middle(self):
        found = self.run_job(self.job("""
            import os
            def test_a(): pass
            def test_b(): os._exit(0)
            def test_c(): pass
            """))
        self.assertEqual([o.status for o in found.values()], [PASSED, FAILED])

    def test_nothing_there(self):
        found = self.run_job(self.job(""))
        self.assertEqual([(o.name, o.status) for o in found.values()],
                         [("e2e: pytest: status 5 after 0 tests", FAILED)])

    def test_does_not_end(self):
        found = self.run_job(self.job("import time\ndef test_a(): time.sleep(1000)\n", seconds=5))
        self.assertIn(FAILED, [o.status for o in found.values()])


class Groups(unittest.TestCase):
    """Groups at the same time."""

    def run_groups(self, chosen, slots=2):
        out = io.StringIO()
        found = schedule.run_groups([(group, []) for group in chosen], schedule.Printer(out), slots)
        return found, out.getvalue().splitlines()

    def test_output_is_whole(self):
        """Two jobs at a time, each of which waits in the middle until the other has said something."""
        barrier = threading.Barrier(2)

        def talk(name):
            def job(say):
                for n in range(3):
                    barrier.wait(PATIENCE)
                    say("%s says %d" % (name, n))
                return [Outcome(name, PASSED)]
            return Job(name, job)
        _, lines = self.run_groups([Group("one", CPU, lambda _: [talk("a")]),
                                    Group("two", CPU, lambda _: [talk("b")])])
        for group, name in (("one", "a"), ("two", "b")):
            at = lines.index("== " + group)
            self.assertEqual(lines[at + 1:at + 5], ["%s says %d" % (name, n) for n in range(3)] +
                             ["%s: 1 passed, 0 failed, 0 s" % group])

    def test_who_runs_beside_whom(self):
        lock, running, seen = threading.Lock(), [], []

        def job(kind):
            def work(say):
                with lock:
                    running.append(kind)
                    seen.append(sorted(running))
                time.sleep(0.01)
                with lock:
                    running.remove(kind)
                return [Outcome(kind, PASSED)]
            return Job(kind, work)

        def group(kind, shares=False):
            def plan(_):
                jobs = [job("shares" if shares else kind) for _ in range(5)]
                for one in jobs:
                    one.shares = shares
                return jobs
            return Group(kind, kind, plan)
        for slots in 1, 2, 4:
            seen.clear()
            found, _ = self.run_groups([group(ALONE), group(CPU), group(HOST, True), group(HOST), group(CPU),
                                        group(HOST)], slots)
            self.assertEqual(len(found), 30)
            self.assertLessEqual(max(map(len, seen)), slots)
            self.assertTrue(all(s.count(HOST) + bool(s.count("shares")) <= 1 for s in seen), seen)
            self.assertTrue(all(s == [ALONE] for s in seen if ALONE in s), seen)
            self.assertEqual(max(s.count("shares") for s in seen) > 1, slots > 1)

    def test_parts(self):
        """Each file of tests/e2e is in one of the parts, and these have about the same size."""
        whole = {name: "" for name in ("PYMEM_MATRIX", "PYMEM_ATTACKS")}  # with which there are no parts
        with unittest.mock.patch.dict(os.environ, whole):
            parts = [set(job.words[2:]) for job in groups.plan_e2e([]) if job.shares]
        files = {os.path.abspath(path) for path in glob.glob(os.path.join(HERE, "..", "e2e", "test_*.py"))}
        self.assertEqual({os.path.abspath(path) for part in parts for path in part}, files)
        self.assertEqual(sum(map(len, parts)), len(files))
        sizes = [sum(map(os.path.getsize, part)) for part in parts]
        self.assertLess(max(sizes), 2 * min(sizes))

    def test_nothing_ran(self):
        found, lines = self.run_groups([Group("empty", CPU, lambda _: []), Group("host", HOST, lambda _: [])])
        self.assertEqual([(o.name, o.status) for o in found],
                         [("empty: nothing ran", FAILED), ("host: nothing ran", FAILED)])
        self.assertIn("FAIL empty: nothing ran", lines)

    def test_exceptions_are_failures(self):
        def broken(*_):
            raise OSError("no such thing")
        chosen = [Group("plan", CPU, broken), Group("job", CPU, lambda _: [Job("j", broken)]),
                  Group("end", CPU, lambda _: [Job("j", lambda say: [Outcome("j", PASSED)])], broken)]
        found, lines = self.run_groups(chosen)
        self.assertEqual([o.status for o in found], [FAILED, FAILED, PASSED, FAILED])
        self.assertEqual(sum(line == "OSError: no such thing" for line in lines), 3)

    def test_heartbeat(self):
        self.addCleanup(setattr, schedule, "HEARTBEAT_SECONDS", schedule.HEARTBEAT_SECONDS)
        self.addCleanup(setattr, schedule, "LOOK_SECONDS", schedule.LOOK_SECONDS)
        schedule.HEARTBEAT_SECONDS, schedule.LOOK_SECONDS, out = 0, 0.01, io.StringIO()

        def job(say):
            deadline = time.monotonic() + PATIENCE
            while "-- " not in out.getvalue():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            return [Outcome("j", PASSED)]
        schedule.run_groups([(Group("slow", HOST, lambda _: [Job("j", job)]), []),
                             (Group("next", HOST, lambda _: [Job("k", job)]), [])], schedule.Printer(out), 2)
        first = next(line for line in out.getvalue().splitlines() if line.startswith("-- "))
        self.assertTrue(re.match(r"-- \d+ s: slow 0 tests in \d+ s; next waits$", first), first)


if __name__ == "__main__":
    unittest.main()
