# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--functions, on each interpreter that has function probes; and the refusals of the others."""
import csv
import io
import re
import signal
import subprocess

import pytest

import harness
from conftest import called, pythons, rows
from test_ends import assert_nothing_left, bpf_objects
from test_lines import PROGRAMS, aborts, semaphores

PAGE = 4096
SLACK = 160 * 1024
PROBES = 4  # places of function__entry, function__return, gc__start, gc__done


def functions_of(python, name, *arguments):
    """Runs a program from GO to its truth under --functions; (target, truth, report)."""
    with harness.Target(python.command, name) as target:
        with harness.Tool("--functions", "-p", target.pid, *arguments) as tool:
            tool.attached()
            links = harness.attached_links(tool.process.pid)
            truth = target.go(lambda: harness.until(
                lambda: harness.attached_links(tool.process.pid) >= links + PROBES, "attached to the child"))
            harness.rss_at_rest(target.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0, "the program must not notice"
    report.check_conservation(target.pid)
    for image in report.images(target.pid):
        check_functions(image)
    assert report.image(target.pid)["engine"] == "functions"
    return target, truth, report


def check_functions(image):
    """What holds of any process. What is in no function is the rest, so only the truth of a program can tell
    whether it is right."""
    seen = [(f["file"], f["line"], f["function"]) for f in image["functions"]]
    assert len(seen) == len(set(seen)), "a function has one row"
    for function in image["functions"]:
        assert function["peak_bytes"] is None or function["peak_bytes"] <= image["rss_peak_bytes"]


def function_of(image, target, name):
    """The row of a function of the program. Before 3.11 it has its plain name."""
    found = [f for f in image["functions"] if f["file"] == target.path and f["function"] == name]
    if not found:
        line = definition(target.path, name)
        found = [f for f in image["functions"] if f["file"] == target.path and f["line"] == line]
    return found[0] if found else None


def definition(path, name):
    """The line of `def NAME`, of a class's if it has a dot."""
    inside, wanted = not name.count("."), name.split(".")[-1]
    with open(path) as f:
        for number, line in enumerate(f, 1):
            if line.startswith("class "):
                inside = line.startswith("class %s:" % name.split(".")[0])
            if inside and re.match(r"\s*(async )?def %s\(" % wanted, line):
                return number
    raise AssertionError("no function " + name)


def walked(image, function):
    """What the walk charged to lines of functions of that name in that file."""
    return sum(r["increment_bytes"] for r in image["lines"]
               if (r["file"], r["function"]) == (function["file"], function["function"]))


def check_truth(python, target, truth, image, slack=SLACK):
    for name, want in truth["functions"].items():
        row = function_of(image, target, name)
        assert row, "%s was not called; there are %s" % (name, [f["function"] for f in image["functions"]])
        assert row["calls"] == want["calls"], (name, row)
        for key in ("self", "total"):
            if key in want:
                assert abs(row[key + "_bytes"] - want[key]) <= slack, (name, key, want, row)


def test_some_python_has_function_probes():
    """The tests below run where they can: somewhere it must be."""
    assert called(), "no interpreter here has function probes"


def test_counted(function_python):
    """Calls to the one, amounts to some pages: through generators, coroutines, exceptions, recursion."""
    target, truth, report = functions_of(function_python, "calls")
    image = report.image(target.pid)
    check_truth(function_python, target, truth, image)
    assert not [n for n in report.data["notes"] if "not counted" in n and "function event" in n], report.data["notes"]
    collects = function_of(image, target, "cycles")
    assert abs(collects["gc_bytes"] - truth["gc"]) <= SLACK and collects["collections"] == 1, collects
    high, work = function_of(image, target, "high"), function_of(image, target, "work")
    assert high["peak_bytes"] - high["return_bytes"] >= truth["high"] - 2 * (1 << 20), high
    assert work["peak_bytes"] >= high["peak_bytes"] and work["calls"] == 1
    assert abs(work["total_bytes"]) <= 8 * SLACK, work
    assert abs(image["outside_functions_bytes"]) <= SLACK, image["outside_functions_bytes"]


def test_peak_and_return(function_python):
    """RSS while a function ran and at its return, from below and from above: what was kept until then is known."""
    target, _, report = functions_of(function_python, "calls")
    image = report.image(target.pid)
    # In blocks: what work() has kept when the function returns, and how much more it had meanwhile.
    for name, kept, more in (("idle", 0, 0), ("both", 5, 0), ("lazily", 15, 0), ("recurse", 20, 0), ("high", 53, 19)):
        row = function_of(image, target, name)
        at_return = image["rss_start_bytes"] + kept * ((1 << 20) + PAGE)
        assert abs(row["return_bytes"] - at_return) <= 2 * SLACK, (name, at_return, row)
        assert abs(row["peak_bytes"] - at_return - (more << 20)) <= 2 * SLACK, (name, at_return, row)


def test_engines_agree(function_python):
    """The walk sees the same events by other means: what a function changed itself is what its lines have, and
    with its callees what the line has that called it."""
    target, truth, report = functions_of(function_python, "calls")
    image = report.image(target.pid)
    compared = 0
    names = [(f["file"], f["function"]) for f in image["functions"]]
    for function in image["functions"]:
        # Before 3.11 methods of several classes have one name.
        if names.count((function["file"], function["function"])) > 1:
            continue
        # The walk charges a frame that is just being made to the one or the other.
        assert abs(function["self_bytes"] - walked(image, function)) <= PAGE * (function["calls"] + 4), function
        compared += abs(function["self_bytes"]) >= 1 << 20
    assert compared >= 10
    for label, name in truth["calls"].items():
        row, function = report.rows(target.pid, *harness.find_line(target.path, label)), function_of(image, target, name)
        got = sum(r["total_bytes"] for r in row)
        assert abs(function["total_bytes"] - got) <= PAGE * 4 * (function["calls"] + 4), (label, function, row)
    # What is in no function is what the walk has elsewhere, or has attributed to nothing.
    known = {(f["file"], f["function"]) for f in image["functions"]}
    rest = sum(r["increment_bytes"] for r in image["lines"] if (r["file"], r["function"]) not in known)
    rest += sum(image["lost_bytes"].values())
    assert abs(image["outside_functions_bytes"] - rest) <= SLACK, (image["outside_functions_bytes"], rest)


def test_separate_runs_agree(function_python):
    """The same program under one engine and then under the other."""
    target, truth, exact = functions_of(function_python, "calls")
    other, _, plain = harness.profile(function_python.command, "calls", arguments=(), check=False)
    for name, want in truth["functions"].items():
        if "." in name and function_python.version < (3, 11):
            continue  # several have that name
        row = function_of(exact.image(target.pid), target, name)
        got = walked(plain.image(other.pid), dict(row, file=other.path))
        assert abs(row["self_bytes"] - got) <= PAGE * want["calls"] + SLACK, (name, row, got)


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n not in ("huge",)])
def test_amounts_on_lines(function_python, name):
    """The walk's figures are as right as without --functions."""
    target, truth, report = functions_of(function_python, name)
    report.check_lines(target.pid, target.path, truth["lines"])


def test_threads_do_not_mix(function_python):
    target, truth, report = functions_of(function_python, "lines_threads")
    image = report.image(target.pid)
    measured, noise = (function_of(image, target, name) for name in ("measured", "noise"))
    want = truth["lines"]["keep"]["run_increment"]
    assert measured["calls"] == noise["calls"] == 1
    assert abs(measured["self_bytes"] - want) <= SLACK and abs(noise["self_bytes"]) <= SLACK + (3 << 20)


def test_beyond_the_stack(function_python):
    """Deeper frames than are followed are counted by name, and their callers have what they changed."""
    target, truth, report = functions_of(function_python, "beyond")
    image = report.image(target.pid)
    sink, work = function_of(image, target, "sink"), function_of(image, target, "work")
    want = truth["lines"]["call_sink"]["run_increment"]
    assert 120 <= sink["calls"] < 128, sink
    assert abs(sink["total_bytes"] - want) <= 8 * SLACK and abs(sink["self_bytes"] - want) <= 8 * SLACK, sink
    assert work["calls"] == 1 and abs(work["total_bytes"] - want - (1 << 20)) <= 8 * SLACK, work
    said = [int(n.split()[0]) for n in report.data["notes"] if "not counted: in recursions deeper" in n]
    assert said == [truth["depth"] + 1 - sink["calls"]], report.data["notes"]
    assert not [n for n in report.data["notes"] if "entry was not seen" in n], report.data["notes"]


def test_running_before(function_python):
    """What ran before is in no row, what it called is; that is said, and the amounts are there."""
    target, truth, report = functions_of(function_python, "calls_open")
    image = report.image(target.pid)
    check_truth(function_python, target, truth, image)
    assert not function_of(image, target, "outer") and not function_of(image, target, "inner")
    assert abs(image["outside_functions_bytes"] - truth["outside"]) <= 2 * SLACK, image["outside_functions_bytes"]
    said = [int(n.split()[0]) for n in report.data["notes"] if "entry was not seen" in n]
    # inner(), outer(), and what they wait in.
    assert len(said) == 1 and 2 <= said[0] <= 5, report.data["notes"]


def test_thrown_into(function_python):
    """Into a generator that is left an exception is thrown. 3.12 and later tell of no entry then, so its caller
    has the amounts, and that is said."""
    target, truth, report = functions_of(function_python, "calls_thrown")
    image = report.image(target.pid)
    check_truth(function_python, target, truth, image)
    told = function_python.version < (3, 12)
    cleans, throws = function_of(image, target, "cleans"), function_of(image, target, "throws")
    assert cleans["calls"] == 1
    assert abs((cleans if told else throws)["self_bytes"] - truth["cleans"]) <= SLACK, (cleans, throws)
    assert abs((throws if told else cleans)["self_bytes"]) <= SLACK, (cleans, throws)
    assert bool([n for n in report.data["notes"] if "entry was not seen" in n]) is not told, report.data["notes"]


MANY = """
import os
os.read(0, 1)
made = {}
for i in range(3000):
    exec("def f%d(): return bytearray(1)" % i, made)
    made["f%d" % i]()
os.write(1, b"called\\n")
os.read(0, 1)
"""


def test_more_than_there_is_room_for(some_function_python):
    """Functions that the table has no room for are missed by name; the others are right, and all adds up."""
    with subprocess.Popen(some_function_python.command + ["-c", MANY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=harness.environment()) as target:
        harness.rss_at_rest(target.pid)
        with harness.Tool("--functions", "--max-stacks", 1024, "-p", target.pid) as tool:
            tool.attached()
            target.stdin.write(b"\n")
            target.stdin.flush()
            assert harness.Lines(target.stdout).next() == b"called"
            harness.rss_at_rest(target.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        target.stdin.close()
    image = report.image(target.pid)
    check_functions(image)
    made = [f for f in image["functions"] if re.match(r"f\d+$", f["function"])]
    assert 100 <= len(made) <= 1024 and all(f["calls"] == 1 for f in made), len(made)
    said = [n for n in report.data["notes"] if "raise --max-stacks" in n]
    assert said, report.data["notes"]


def test_children(function_python):
    """A forked child's functions are counted, from the moment it is known."""
    target, truth, report = functions_of(function_python, "lines_fork")
    child = report.images(truth["child"])[0]
    assert child["engine"] == "functions"
    row = function_of(child, target, "grow")
    assert row["calls"] == truth["runs"]
    assert abs(row["self_bytes"] - (truth["runs"] << 20)) <= 3 * SLACK


def test_forked_meanwhile(function_python):
    """Functions that were entered before the fork are in no row of the child; what they call there is."""
    target, truth, report = functions_of(function_python, "calls_fork")
    assert function_of(report.image(target.pid), target, "split")["calls"] == 1
    child = report.images(truth["child"])[0]
    check_truth(function_python, target, truth, child)
    assert not function_of(child, target, "split")
    # A fork's page tables lack what can be had from files.
    assert -SLACK <= child["outside_functions_bytes"] - truth["before"] <= 8 << 20, child["outside_functions_bytes"]


def test_launched(function_python):
    """`-- CMD`: from the first call on, where the command is the interpreter itself."""
    if len(function_python.command) > 1:
        pytest.skip("it is started by others, which are followed: test_launch.py")
    path = harness.program_path("calls")
    with harness.Tool("--functions", "--", *function_python.command, path, "cold", stdin=subprocess.DEVNULL,
                      env=harness.environment(PYMEM_E2E_LAUNCHED="1")) as tool:
        report = tool.report()
    image = report.images(report.pids()[0])[0]
    check_functions(image)
    found = {f["function"]: f for f in image["functions"] if f["file"] == path}
    assert found["recurse"]["calls"] == 5 and found["<module>"]["calls"] == 1, found


@pytest.mark.host
def test_whole_host(function_python):
    """-a: all processes of a binary, those that start later too; the others by the walk."""
    others = [p for p in pythons() if p.name not in called()][:1]
    with harness.Tool("-a", "--functions") as tool:
        tool.attached()
        with harness.Target(function_python.command, "calls", arguments=("cold",)) as target:
            harness.until(lambda: semaphores(target.pid)["function__entry"], "wanted by the profiler")
            tool.polled()
            truth = target.go()
            assert target.end() == 0
        for other in others:
            with harness.Target(other.command, "grow") as plain:
                plain.go()
                tool.polled()
                assert plain.end() == 0
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
    image = report.images(target.pid)[0]
    for name, want in truth["functions"].items():
        assert function_of(image, target, name)["calls"] == want["calls"], name
    for other in others:
        assert report.images(plain.pid)[0]["engine"] == "walk"


def text_of(python, *arguments):
    """What is printed of `calls`."""
    with harness.Target(python.command, "calls") as target:
        with harness.Tool("--functions", "-p", target.pid, *arguments, output=False) as tool:
            tool.attached()
            target.go()
            assert tool.stop() == 0, tool.stderr
            text = tool.stdout().decode()
        assert target.end() == 0
    return target, text


@pytest.mark.parametrize("options", [(), ("-v",)], ids=["answer", "table"])
def test_table(some_function_python, options):
    target, text = text_of(some_function_python, "-n", "0", "--width", "120", *options)
    row = re.search(r"^ +5 +\+5\.\d MiB +\+5\.\d MiB +\d+\.\d MiB +\d+\.\d MiB  \S*calls\.py:%d recurse$"
                    % definition(target.path, "recurse"), text, re.M)
    assert row, text
    assert re.search(r" in no function that was seen to be called$", text, re.M), text
    assert re.search(r"^ +Calls +Self +Increment +Peak +At return  Function$", text, re.M), text


def test_few_rows(some_function_python):
    """Those that are left out are a row, and there are columns that fit."""
    _, text = text_of(some_function_python, "-n", "3", "--width", "60")
    assert re.search(r"and \d+ more functions \(-n\s+0\s+shows\s+all\)", text), text
    assert all(len(line) <= 60 for line in text.splitlines()), text
    assert "At return" not in text and "Calls" in text


@pytest.mark.parametrize("name", ["both", "idle"])
def test_one_function(some_function_python, name):
    """-f: the function's line stands above the walk's lines; a function that has none has that line alone."""
    target, text = text_of(some_function_python, "-f", name, "--width", "120")
    own, all_of_it = {"both": (r"\+3\.\d", r"\+5\.\d"), "idle": (r"0\.0", r"0\.0")}[name]
    assert re.search(r"^Function: .*%s\n\n1 call: %s.MiB itself, %s.MiB with what it called; RSS at\s+most "
                     r"\d+\.\d.MiB while it ran, \d+\.\d.MiB at its return\n" % (name, own, all_of_it), text, re.M), text
    assert ("Line Contents" in text) == (name == "both"), text


def test_csv(some_function_python):
    """The rows of functions, and what is in none: as much as the program took, and nothing besides."""
    with harness.Target(some_function_python.command, "calls") as target:
        with harness.Tool("--functions", "-p", target.pid, "--format", "csv", output=False) as tool:
            tool.attached()
            truth = target.go()
            assert tool.stop() == 0
            found = list(csv.DictReader(io.StringIO(tool.stdout().decode())))
        assert target.end() == 0
    of_functions = [r for r in found if r["row"] == "function"]
    outside = [r for r in of_functions if not r["file"]]  # there is no row of nothing
    assert len(outside) <= 1 and all(abs(int(r["self_bytes"])) <= SLACK for r in outside), outside
    own = sum(int(r["self_bytes"]) for r in of_functions if r["file"])
    assert abs(own - sum(int(r["increment_bytes"]) for r in found if r["increment_bytes"])) <= SLACK
    row, = [r for r in of_functions if r["function"].endswith("recurse") and r["file"] == target.path]
    assert int(row["occurrences"]) == truth["functions"]["recurse"]["calls"]
    assert abs(int(row["run_increment_bytes"]) - truth["functions"]["recurse"]["total"]) <= SLACK
    assert int(row["mem_usage_bytes"]) > 0 and int(row["peak_bytes"]) > 0


def test_recorded(some_function_python, tmp_path):
    """A recording has what the report has."""
    path = str(tmp_path / "calls.pymem")
    with harness.Target(some_function_python.command, "calls") as target:
        with harness.Tool("--functions", "-p", target.pid, "--record", path) as tool:
            tool.attached()
            target.go()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    said = subprocess.run([harness.TOOL, "report", path, "--format", "json"], check=True, stdout=subprocess.PIPE).stdout
    recorded = harness.Report(harness.json.loads(said.decode())).image(target.pid)
    assert recorded["functions"] == report.image(target.pid)["functions"]
    assert recorded["engine"] == "functions"
    said = subprocess.run([harness.TOOL, "report", path, "-f", "recurse"], check=True, stdout=subprocess.PIPE).stdout
    assert b"5 calls: " in said
    for options, named in ((["--format", "folded"], "--format folded"), (["--by", "container"], "--by …"), ([], None)):
        done = subprocess.run([harness.TOOL, "report", path, *options], check=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
        said = done.stderr.decode()
        assert ("functions were counted, and" in said) == bool(named), said
        assert not named or "%s does not show them" % named in said, said


@pytest.mark.parametrize("options, reason", [
    (["--format", "folded"], "--format folded has lines only"),
    (["--format", "html", "-o", "page"], "--format html has lines only"),
    (["--record", "it", "--format", "pprof", "-o", "it.gz"], "--format pprof has lines only"),
    (["--by", "container"], "--functions and --by exclude each other"),
    (["--by", "container", "--record", "it"], "--functions and --by exclude each other")])
def test_shown_nowhere(options, reason, tmp_path):
    """What would show no functions is refused by name, before anything is written."""
    done = subprocess.run([harness.TOOL, "--functions", "-p", "1", *options], cwd=str(tmp_path), stderr=subprocess.PIPE)
    assert done.returncode == 2 and reason in done.stderr.decode(), done.stderr
    assert not list(tmp_path.iterdir())


def test_no_probes(walked_python):
    """By name, with the alternatives; the target is left alone."""
    reason = "ends the process once its line probe is on" if aborts(walked_python) else "has no function probes"
    with harness.Target(walked_python.command, "grow") as target:
        with harness.Tool("--functions", "-p", target.pid) as tool:
            assert tool.wait() == 1
            said = tool.stderr.decode()
        assert reason in said and "%mprun" in said and str(target.pid) in said
        assert "%d.%d" % walked_python.version[:2] in said and "--functions" in said
        with harness.Tool("--functions", "-a") as tool:
            tool.attached()
            target.go()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    image = report.image(target.pid)
    assert image["engine"] == "walk" and "functions" not in image
    assert any("no function probes that can be used" in note for note in report.data["notes"])


def test_lines_name_functions(function_python):
    """Where there are no line probes, --lines says what there is."""
    if "lines" in rows()[function_python.name]["engines"]:
        pytest.skip("it has line probes")
    with harness.Target(function_python.command, "grow") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            assert tool.wait() == 1
            assert "--functions in its place" in tool.stderr.decode(), tool.stderr
        target.go()
        assert target.end() == 0


def test_listed(function_python):
    """`ps` says the same in its table and in JSON."""
    with harness.Target(function_python.command, "grow") as target:
        said = subprocess.run([harness.TOOL, "ps", "--format", "json"], check=True, stdout=subprocess.PIPE).stdout
        row, = (r for r in harness.json.loads(said.decode())["processes"] if r["pid"] == target.pid)
        assert "functions" in row["engines"]
        said = subprocess.run([harness.TOOL, "ps", "-v"], check=True, stdout=subprocess.PIPE).stdout.decode()
        shown, = (r for r in said.splitlines() if r.split()[:1] == [str(target.pid)])
        assert ",".join(row["engines"]) in shown.split(), shown
        target.go()
        assert target.end() == 0


def test_no_event_for_lines(function_python):
    """3.11 tells of entries only while the line probe is wanted, too. That costs no event for a line."""
    with harness.Target(function_python.command, "calls") as target:
        with harness.Tool("--functions", "-p", target.pid) as tool:
            tool.attached()
            wanted = semaphores(target.pid)
            assert wanted["function__entry"] == wanted["function__return"] == 1, wanted
            assert wanted.get("line", 0) == (function_python.version[:2] == (3, 11)), wanted
            target.go()
            assert tool.stop() == 0
        assert not any(semaphores(target.pid).values())
        assert target.end() == 0


def test_killed_tool_leaves_nothing(function_python):
    """SIGKILL of the profiler: the probes go with it, and the target goes on."""
    before = bpf_objects()
    with harness.Target(function_python.command, "calls") as target:
        with harness.Tool("--functions", "-p", target.pid) as tool:
            tool.attached()
            assert bpf_objects() - before and semaphores(target.pid)["function__entry"]
            tool.stop(signal.SIGKILL)
        assert_nothing_left(before)
        assert not any(semaphores(target.pid).values()), semaphores(target.pid)
        target.go()
        assert target.end() == 0
