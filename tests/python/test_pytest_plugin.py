# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The plugin for pytest: each test here runs pytest, with the plugin, on a small suite. Most do so in this process,
which is much faster: what is measured is a change in any case."""
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import types

import pytest
import sessions
from sessions import needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
# All that the plugin uses: pytester forgets the modules that a run has loaded.
from pymem_bpf import _limits, _test_memory, counter, pytest_plugin  # noqa: E402,F401

pytest_plugins = ["pytester"]
PLUGIN = "pymem_bpf.pytest_plugin"
MIB = 1 << 20
# What else than its own data may come and go in a test, with what each CPU holds back of the kernel's counters.
SLACK_MIB = 1.5
needs_xdist = pytest.mark.skipif(importlib.util.find_spec("xdist") is None,
                                 reason="pytest-xdist is not installed (Debian: python3-pytest-xdist)")


@pytest.fixture
def suite(pytester, monkeypatch):
    """suite(source, *words): what pytest says of a module of tests. alone: it is a process of its own."""
    for name in [name for name in os.environ if name.startswith(("PYTEST", "PYTHON", "PYMEM", "COLUMNS"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", os.path.join(sessions.PROJECT, "python", "src"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYMEM_BPF_SOCKET", sessions.NO_SOCKET)

    def run(source, *words, alone=False, **more):
        pytester.makepyfile(test_it="import gc, os, pytest, unittest\nMIB = 1 << 20\nKEPT = []\n" + source)
        for module, text in more.items():
            pytester.makepyfile(**{module: text})
        words = ("-p", "no:cacheprovider") + words
        return (pytester.runpytest_subprocess("-p", PLUGIN, *words) if alone else
                pytester.runpytest_inprocess(*words, plugins=[pytest_plugin]))
    return run


def mib(text):
    """The amount in a text such as `40.1 MiB`."""
    number, unit = re.match(r"[+ ]*(-?[\d.]+)(?: ([KM])iB)?", text).groups()
    return float(number) / (1024 if unit == "K" else 1)


def grown(result, verb="grew by"):
    return [mib(one) for one in re.findall(verb + r" ([\d.]+ [KM]iB)$", result.stdout.str(), re.M)]


LIMITS = """
@pytest.mark.limit_memory("24 MB")
def test_too_much():
    data = bytearray(40 * MIB)

@pytest.mark.limit_memory("24 MB")
def test_freed_again():
    data = bytearray(40 * MIB)
    del data

@pytest.mark.limit_memory("24 MB")
def test_within():
    data = bytearray(8 * MIB)
"""


def test_limit_memory(suite):
    result = suite(LIMITS)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines([
        "Test was limited to 24.0 MiB but resident memory grew by * MiB",
        "*- pymem-bpf -*", 'limit_memory("24 MB"): grew by * MiB, 1* MiB over the limit',
        "RSS at the start * MiB", "*peak * MiB, by VmHWM", "*sudo * serve*", "  pytest 'test_it.py::test_too_much'"])
    assert len(grown(result)) == 2
    assert all(abs(one - 40) < SLACK_MIB for one in grown(result))
    start, = set(re.findall(r"^RSS at the start ([\d.]+) MiB", result.stdout.str(), re.M)[:1])
    peak, = set(re.findall(r"^ +peak +([\d.]+) MiB", result.stdout.str(), re.M)[:1])
    assert abs(float(peak) - float(start) - 40) < SLACK_MIB


def test_what_was_free_before_is_no_room(suite):
    """Memory that an earlier test freed to the C library is not there for the next one's growth to hide in."""
    result = suite("""
def test_frees():
    data, pins = [], []
    for i in range(30 * 1024):
        data.append(bytearray(1024))
    KEPT.append(data[-1])
    del data

@pytest.mark.limit_memory("10 MB")
def test_takes():
    data = [bytearray(1024) for i in range(30 * 1024)]
""")
    result.assert_outcomes(passed=1, failed=1)


def test_reports_are_not_the_end(suite):
    """The fixture `subtests` of pytest 9 has reports made, as of calls, while the test runs."""
    result = suite("""
from _pytest.runner import CallInfo
def subtest(request, wrong=False):
    def run():
        assert not wrong
    call = CallInfo.from_call(run, "call")
    request.node.ihook.pytest_runtest_makereport(item=request.node, call=call)
@pytest.mark.limit_memory("24 MB")
def test_grows_between(request):
    subtest(request)
    data = bytearray(80 * MIB)
    del data
    subtest(request, True)
@pytest.mark.limit_memory("24 MB")
def test_within(request):
    subtest(request)
""", "--memory")
    result.assert_outcomes(passed=1, failed=1)
    assert len(re.findall(r"^limit_memory\(", result.stdout.str(), re.M)) == 1
    assert [name for _, _, name in rows(result)] == ["grows_between", "within"]


def test_the_last_error_holds_no_memory(suite):
    """What the frames of an earlier failure hold is let go before the start, not in the test."""
    result = suite("""
def test_raises():
    data = bytearray(60 * MIB)
    raise ValueError
@pytest.mark.limit_leaks("8 MB")
def test_keeps():
    KEPT.append(bytearray(50 * MIB))
@pytest.mark.limit_memory("8 MB")
def test_takes():
    data = bytearray(50 * MIB)
""", alone=True)
    result.assert_outcomes(failed=3)
    assert all(abs(one - 50) < SLACK_MIB for one in grown(result) + grown(result, "resident but left"))


PATCHED = """
@pytest.fixture
def patched(monkeypatch):
    import gc
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(gc, "collect", None)
    for name in ("open", "read", "write", "close"):
        monkeypatch.setattr(os, name, lambda: 0)
def grow(monkeypatch, kept):
    kept.append(bytearray(80 * MIB))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "open", lambda: 0)
    monkeypatch.setattr(os, "read", None)
%s
def test_in_the_test(monkeypatch):
    grow(monkeypatch, [])
%s
def test_by_fixture(monkeypatch, patched):
    grow(monkeypatch, [])
"""


@pytest.mark.parametrize("helper", [False, pytest.param(True, marks=needs_program)])
def test_what_tests_put_in_place_of_calls(suite, request, monkeypatch, helper):
    """Memory is that of this process, whatever os.getpid() and os.open() are meanwhile."""
    if helper:
        monkeypatch.setenv("PYMEM_BPF_SOCKET", request.getfixturevalue("server"))
    mark = '@pytest.mark.limit_memory("24 MB")'
    result = suite(PATCHED % (mark, mark), alone=True)
    result.assert_outcomes(failed=2)
    assert len(grown(result)) == 2 and all(abs(one - 80) < SLACK_MIB for one in grown(result))
    result = suite(PATCHED % ("", ""), "--memory", alone=True)
    result.assert_outcomes(passed=2)
    assert all(abs(peak - 80) < SLACK_MIB for peak, _, _ in rows(result)) and len(rows(result)) == 2


def test_reading_that_fails_otherwise(suite, monkeypatch):
    """Whatever error it is: a test without a limit passes, one with a limit does not."""
    def fails(self, *_):
        raise TypeError("no such thing")
    for name in ("start", "stop"):
        with monkeypatch.context() as context:
            context.setattr(_test_memory.Measurement, name, fails)
            result = suite(LIMITS + "def test_without(): pass\n", "--memory")
        result.assert_outcomes(passed=1, failed=3)
        result.stdout.fnmatch_lines(["pymem_bpf: the test can't be measured: TypeError: no such thing",
                                     "* tests were not measured: TypeError: no such thing"])


def test_units():
    for text, amount in {"24 MB": 24 * MIB, "1.5 GiB": 3 << 29, "100 KB": 100 << 10, "7B": 7, ".5 mb": MIB // 2,
                         "+2TB": 2 << 40, " 1  PB ": 1 << 50, "3KiB": 3072}.items():
        assert _limits.size_bytes(text) == amount, text
    for text in ("9" * 400 + " MB", "8192 PB"):
        with pytest.raises(ValueError, match="more than any machine has"):
            _limits.size_bytes(text)
    for text in ("24", "24 M", "MB", "-1 MB", "24 MBit", "1e3 MB", "", "24 MB x", 24, None):
        with pytest.raises(ValueError, match="no amount of memory"):
            _limits.size_bytes(text)


LEAKS = """
@pytest.mark.limit_leaks("2 MB")
def test_keeps():
    KEPT.append(bytearray(8 * MIB))

@pytest.mark.limit_leaks("2 MB")
def test_frees():
    data = bytearray(40 * MIB)

@pytest.mark.limit_leaks("2 MB")
def test_leaves_garbage():
    gc.disable()
    data = [bytearray(8 * MIB)]
    data.append(data)

@pytest.mark.limit_leaks("2 MB")
def test_leaves_what_malloc_holds():
    data = [bytearray(1024) for i in range(8 * 1024)]
"""


def test_limit_leaks(suite):
    result = suite(LEAKS)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines([
        "Test was allowed to leave 2.0 MiB resident but left *",
        'limit_leaks("2 MB"): left * MiB, * MiB over the limit', "*at the end * MiB, garbage collected"])
    kept, = grown(result, "resident but left")
    assert abs(kept - 8) < SLACK_MIB


WARMED = """
RUNS = []
@pytest.mark.limit_leaks("2 MB"%s)
def test_cache():
    RUNS.append(len(RUNS))
    if RUNS == [0]:
        KEPT.append(bytearray(8 * MIB))
def test_after():
    assert len(RUNS) == %d
"""


def test_warmups(suite):
    suite(WARMED % ("", 1)).assert_outcomes(passed=1, failed=1)
    suite(WARMED % (", warmups=2", 3)).assert_outcomes(passed=2)


def test_warm_ups_run_as_items_do(suite):
    """By runtest(), which plugins for async tests have their own of."""
    result = suite(WARMED % (", warmups=2", 3), conftest="""
import pytest
class Function(pytest.Function):
    def runtest(self):
        self.config.ran = getattr(self.config, "ran", 0) + 1
        super().runtest()
@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    return [Function.from_parent(collector, name=name)] if name.startswith("test_") else None
def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.write_line("runtest() ran %d times" % config.ran)
""")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["runtest() ran 4 times"])


def test_warm_up_that_raises(suite):
    result = suite("""
@pytest.mark.limit_leaks("2 MB", warmups=1)
def test_raises():
    raise ValueError("in the warm-up")
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ValueError: in the warm-up"])


REFUSED = {
    'limit_memory("24 MB", current_thread_only=True)': "current_thread_only=True*all threads*leave it out",
    'limit_leaks("1 MB", filter_fn=print)': "filter_fn=*nothing to filter*leave it out",
    'limit_leaks("1 MB", current_thread_only=True)': "limit_leaks(current_thread_only=True)",
    'limit_leaked_objects()': "limit_leaked_objects can't be done*use limit_leaks",
    'limit_memory("24 MB", 1)': "limit_memory takes one limit*not 2",
    'limit_memory()': "limit_memory takes one limit*not 0",
    'limit_memory("24 MB", per_thread=False)': "no parameter 'per_thread'*current_thread_only",
    'limit_memory("much")': "'much' is no amount*24 MB",
    'limit_leaks("1 MB", warmups=-1)': "warmups=-1*0 or more",
    'limit_memory("24 MB", warmups=1)': "no parameter 'warmups'",
}


def test_refused(suite, pytester):
    """By name, as errors; no such test runs."""
    source = "".join("@pytest.mark.%s\ndef test_%d(): open('ran', 'w')\n" % (mark, number)
                     for number, mark in enumerate(REFUSED))
    source += """
@pytest.mark.limit_leaks("1 MB", warmups=1)
class TestOfUnittest(unittest.TestCase):
    def test_method(self): open('ran', 'w')
"""
    result = suite(source)
    result.assert_outcomes(errors=len(REFUSED) + 1)
    text = result.stdout.str().replace("[", "(").replace("]", ")")
    for said in list(REFUSED.values()) + ["warmups=1*repeat the work in the test"]:
        pattern = "pymem_bpf: .*" + ".*".join(re.escape(part) for part in said.split("*"))
        assert re.search(pattern, text), said
    assert not (pytester.path / "ran").exists()


def test_refused_where_failure_is_expected(suite):
    result = suite("""
@pytest.mark.xfail
@pytest.mark.limit_memory("much")
def test_it(): pass
""")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*pymem_bpf: limit_memory: 'much' is no amount*"])


def test_accepted(suite):
    """What pytest-memray's suites have and what can be honoured."""
    suite("""
@pytest.mark.limit_memory("24 MB", current_thread_only=False)
def test_1(): pass
@pytest.mark.limit_memory(limit="24 MB")
def test_2(): pass
@pytest.mark.limit_memory(memory_limit="24 MB")
def test_3(): pass
@pytest.mark.limit_leaks(location_limit="2 MB", filter_fn=None, current_thread_only=False)
def test_4(): pass
@pytest.mark.limit_leaks("2 MB")
@pytest.mark.limit_memory("24 MB")
def test_5(): pass
""", "--strict-markers").assert_outcomes(passed=5)


def test_where_marks_are(suite):
    """On modules, classes and functions, of which the closest wins; on parameters; set by a fixture."""
    result = suite("""
pytestmark = pytest.mark.limit_memory("24 MB")
def test_of_module():
    data = bytearray(40 * MIB)
@pytest.mark.limit_memory("64 MB")
class TestOfClass:
    def test_within(self):
        data = bytearray(40 * MIB)
    def test_too_much(self):
        data = bytearray(80 * MIB)
    @pytest.mark.limit_memory("8 MB")
    def test_closest(self):
        data = bytearray(16 * MIB)
class TestOfUnittest(unittest.TestCase):
    def test_too_much(self):
        data = bytearray(40 * MIB)
@pytest.mark.parametrize("size", [8, 40, pytest.param(100, marks=pytest.mark.limit_memory("120 MB"))])
def test_sizes(size):
    data = bytearray(size * MIB)
@pytest.fixture
def limited(request):
    request.node.add_marker(pytest.mark.limit_memory("8 MB"), append=False)
def test_by_fixture(limited):
    data = bytearray(16 * MIB)
""", "-rA")
    result.assert_outcomes(passed=3, failed=6)
    passed = set(re.findall(r"^PASSED test_it.py::(\S+)", result.stdout.str(), re.M))
    assert passed == {"TestOfClass::test_within", "test_sizes[8]", "test_sizes[100]"}


def test_fixtures_are_not_measured(suite):
    suite("""
@pytest.fixture
def large():
    yield bytearray(40 * MIB)
    data = bytearray(40 * MIB)
@pytest.mark.limit_memory("24 MB")
@pytest.mark.limit_leaks("2 MB")
def test_it(large):
    pass
""").assert_outcomes(passed=1)


def test_tests_that_end_otherwise(suite):
    """What raised has its own traceback and the section; expected failures and skips stay what they are."""
    result = suite("""
@pytest.mark.limit_memory("24 MB")
def test_raises():
    data = bytearray(40 * MIB)
    raise ValueError("its own")
@pytest.mark.limit_memory("24 MB")
class TestOfUnittest(unittest.TestCase):
    def test_raises(self):
        data = bytearray(40 * MIB)
        self.fail("of unittest")
@pytest.mark.limit_memory("24 MB")
def test_raises_within():
    raise ValueError("other")
@pytest.mark.xfail
@pytest.mark.limit_memory("24 MB")
def test_expected():
    data = bytearray(40 * MIB)
@pytest.mark.skip
@pytest.mark.limit_memory("nonsense")
def test_skipped(): pass
@pytest.mark.limit_memory("24 MB")
def test_skips():
    data = bytearray(40 * MIB)
    pytest.skip()
""", "--memory")
    result.assert_outcomes(failed=3, xfailed=1, skipped=2)
    text = result.stdout.str()
    assert "ValueError: its own" in text and "AssertionError: of unittest" in text
    sections = [re.findall(r"^limit_memory\(.*", part, re.M)
                for part in re.split(r"^_{3,} .* _{3,}$", text, flags=re.M)]
    assert [len(found) for found in sections[1:]] == [1, 1, 0]
    assert re.search(r"^ *\+(39|40|41)\S* MiB +- .*test_it.py::test_raises$", text, re.M)


TABLE = """
def test_none(): pass
def test_small():
    data = bytearray(8 * MIB)
def test_keeps():
    KEPT.append(bytearray(16 * MIB))
def test_large():
    data = bytearray(40 * MIB)
def test_raises():
    data = bytearray(24 * MIB)
    assert False
@pytest.mark.parametrize("text", ["x" * 100])
def test_long_name(text):
    data = bytearray(4 * MIB)
"""
NAMES = ["large", "raises", "keeps", "small", "long_name", "none"]
ROW = re.compile(r"^ *(\S+(?: [KM]iB)?) +(\S+(?: [KM]iB)?) +(\S+ MiB)  (\S+)$", re.M)


def rows(result):
    """[(peak in MiB, kept in MiB or None, name)]"""
    return [(mib(peak), None if kept == "-" else mib(kept), name.partition("::test_")[2].partition("[")[0])
            for peak, kept, _, name in ROW.findall(result.stdout.str())]


def assert_table(found):
    assert [name for _, _, name in found] == NAMES
    for (peak, _, _), truth in zip(found, (40, 24, 16, 8, 4, 0)):
        assert abs(peak - truth) < SLACK_MIB
    assert found[1][1] is None
    for (_, kept, _), truth in zip(found[:1] + found[2:], (0, 16, 0, 0, 0)):
        assert abs(kept - truth) < SLACK_MIB


def test_table(suite, monkeypatch):
    result = suite(TABLE, "--memory")
    result.assert_outcomes(passed=5, failed=1)
    assert_table(rows(result))
    result.stdout.fnmatch_lines(["6 of 6 tests. *"])
    assert "x" * 100 in result.stdout.str()  # no terminal: nothing is cut
    monkeypatch.setenv("COLUMNS", "70")
    result = suite(TABLE, "--memory-tests", "5")
    assert [name for _, _, name in rows(result)][:4] == NAMES[:4] and len(rows(result)) == 5
    result.stdout.fnmatch_lines(["* ...xxx*xxx[]]", "5 of 6 tests, those that grew most. *"])
    assert max(len(line) for line in result.stdout.lines if "MiB" in line) < 70
    assert len(rows(suite(TABLE, "--memory-tests=0"))) == 6
    assert suite(TABLE, "--memory-tests=x").ret == pytest.ExitCode.USAGE_ERROR


def test_no_table_unasked(suite):
    result = suite(TABLE)
    assert "resident memory" not in result.stdout.str() and not rows(result)


def check_report(path, workers):
    with open(path) as f:
        report = json.load(f)
    assert report["schema"] == "pymem-bpf-pytest/1" and report["unmeasured"] == []
    assert [one["test"].partition("::test_")[2].partition("[")[0] for one in report["tests"]] == NAMES
    for one in report["tests"]:
        assert one["peak_bytes"] - one["start_bytes"] == one["grown_bytes"] and one["start_bytes"] > 8 * MIB
        assert one["outcome"] == ("failed" if "raises" in one["test"] else "passed")
    assert {one["worker"] for one in report["tests"]} == workers
    assert abs(report["tests"][2]["kept_bytes"] / MIB - 16) < SLACK_MIB


def test_options_of_others(suite):
    """A conftest.py may have a --memory of its own; the plugin's words are there as --pymem… in any case."""
    conftest = """
def pytest_addoption(parser):
    parser.addoption("--memory", type=int, default=7, help="mine")
def pytest_report_header(config):
    return "mine: %d" % config.getoption("--memory")
"""
    result = suite("def test_it(): pass\n", "--memory", "3", conftest=conftest)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mine: 3"])
    assert not rows(result)
    result = suite("def test_it(): pass\n", "--pymem", conftest=conftest)
    result.stdout.fnmatch_lines(["mine: 7", "1 of 1 tests. *"])
    result = suite("def test_it(): pass\n", "--memory-tests", "5", "--memory=4", conftest=conftest)
    result.stdout.fnmatch_lines(["mine: 4", "1 of 1 tests. *"])
    assert suite("def test_it(): pass\n", "--memory-other", conftest="").ret == pytest.ExitCode.USAGE_ERROR


def test_options_from_files_and_names(suite, pytester):
    pytester.makeini("[pytest]\naddopts = --memory --memory-report=found.json\n")
    result = suite(TABLE, "--pymem-tests=2")
    assert len(rows(result)) == 2
    check_report(pytester.path / "found.json", {None})


def test_report_is_no_place_of_tests(suite, tmp_path):
    """A file of --memory-report that is there already: conftest.py files are not looked for beside it."""
    path = tmp_path / "found.json"
    path.write_text("")
    result = suite(TABLE, "--memory-report", str(path), "--mine",
                   conftest="def pytest_addoption(parser): parser.addoption('--mine', action='store_true')\n")
    result.assert_outcomes(passed=5, failed=1)
    check_report(path, {None})


def test_interrupted(suite):
    result = suite("""
def test_before(): pass
def test_stopped():
    data = bytearray(40 * MIB)
    raise KeyboardInterrupt
""", "--memory", alone=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.re_match_lines([r" *\+(39|40|41)\S* MiB +- .*test_it.py::test_stopped \(interrupted\)$",
                                  r".*test_it.py::test_before$"])


def test_lines_of_what_was_left_are_ended(suite):
    """At the next test, or at the end of the run."""
    class Lines:
        ended = 0

        def end(self):
            self.ended += 1
    config = types.SimpleNamespace(getoption=lambda name: None)
    item = types.SimpleNamespace(iter_markers=lambda: [])
    for end in (pytest_plugin._Tests.pytest_unconfigure, lambda tests: tests.pytest_runtest_call(item)):
        tests, lines = pytest_plugin._Tests(config, False), Lines()
        tests.run = pytest_plugin._Run(item, _limits.NONE, None, lines)
        end(tests)
        assert lines.ended == 1 and tests.run is None


def test_unittest_that_raises_is_no_leak(suite):
    result = suite("""
@pytest.mark.limit_leaks("2 MB")
class TestOfUnittest(unittest.TestCase):
    def test_raises(self):
        KEPT.append(bytearray(8 * MIB))
        self.fail("of unittest")
    def test_leaks(self):
        KEPT.append(bytearray(8 * MIB))
""")
    result.assert_outcomes(failed=2)
    assert len(re.findall(r"^limit_leaks\(", result.stdout.str(), re.M)) == 1


def test_command_is_for_where_pytest_was_called(suite, pytester, monkeypatch):
    pytester.makeini("[pytest]\n")
    below = pytester.mkdir("below")
    pytester.makepyfile(test_it="")
    monkeypatch.chdir(below)
    result = suite(LIMITS, "..", "-k", "too_much")
    result.stdout.fnmatch_lines(["  pytest '../test_it.py::test_too_much'"])


def test_report(suite, pytester):
    assert not rows(suite(TABLE, "--memory-report=memory.json"))
    check_report(pytester.path / "memory.json", {None})
    result = suite(TABLE, "--memory-report=no/where.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--pymem-report: no/where.json: No such file*"])


def test_report_that_can_not_be_written_at_the_end(suite):
    result = suite("def test_it():\n    os.remove('memory.json')\n    os.mkdir('memory.json')\n",
                   "--memory-report=memory.json")
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["pymem_bpf: memory.json can't be written: *"])


@needs_xdist
def test_xdist(suite, pytester):
    result = suite(TABLE, "-n2", "--memory", "--memory-report=memory.json", alone=True)
    result.assert_outcomes(passed=5, failed=1)
    assert_table(rows(result))
    check_report(pytester.path / "memory.json", {"gw0", "gw1"})
    result = suite(LIMITS, "-n2", alone=True)
    result.assert_outcomes(passed=1, failed=2)
    assert len(re.findall(r"^limit_memory\(", result.stdout.str(), re.M)) == 2


def test_properties(suite, pytester):
    """The figures are in junit's file, too: of measured tests."""
    suite(LIMITS + "def test_without(): pass\n", "--junitxml=junit.xml")
    text = (pytester.path / "junit.xml").read_text()
    assert len(re.findall('<property name="pymem_bpf.peak_bytes" value="[0-9]{8,}"', text)) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_where_the_kernel_refuses(suite, pytester):
    """As in a container whose /proc is read-only."""
    suite(LIMITS + "def test_without(): pass\n" + """
@pytest.mark.limit_leaks("2 MB")
def test_frees():
    data = bytearray(8 * MIB)
@pytest.mark.limit_leaks("2 MB")
def test_keeps():
    KEPT.append(bytearray(8 * MIB))
""")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount --bind /proc /proc && mount -o remount,bind,ro /proc && exec "$@"', "sh",
         sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", PLUGIN, "--memory"],
        cwd=str(pytester.path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode()
    if "mount: " in text:
        pytest.skip("mounts are refused here: %s" % text.splitlines()[0])
    assert "2 passed, 1 failed, 3 errors" in text.replace("1 failed, 2 passed", "2 passed, 1 failed"), text
    assert len(re.findall(r"^pymem_bpf: the limit can't be checked: .*clear_refs can't be written \(Read-only.* serve --socket .*$",
                          text, re.M)) == 3
    assert re.search(r"^3 tests were not measured: .*clear_refs", text, re.M)
    assert re.search(r'^limit_leaks\("2 MB"\): left 8\.', text, re.M)  # which takes no peak


def test_other_systems(suite, monkeypatch):
    elsewhere = types.SimpleNamespace(platform="darwin", modules=sys.modules, stdout=sys.stdout)
    monkeypatch.setattr(pytest_plugin, "sys", elsewhere)
    result = suite(LIMITS + "def test_without(): pass\n", "--memory")
    result.assert_outcomes(passed=1, errors=3)
    result.stdout.fnmatch_lines(["*the limit can't be checked: pymem_bpf reads Linux's /proc, and this is darwin",
                                 "1 tests were not measured: pymem_bpf reads Linux's /proc*"])


def test_beside_pytest_memray(suite, pytester):
    """Its marks are its own, also those that are refused here; what is left is the table."""
    pytester.syspathinsert()
    memray = "def pytest_configure(config):\n" + "".join(
        "    config.addinivalue_line('markers', '%s: pytest-memray\\'s')\n" % name for name in _limits.MARKS)
    source = LIMITS + "@pytest.mark.limit_leaked_objects\ndef test_objects(): pass\n"
    result = suite(source, "-p", "memray", "--memory", memray=memray)
    result.assert_outcomes(passed=4, warnings=1)
    result.stdout.fnmatch_lines(["*pymem_bpf checks no limits*pytest -p no:memray", "4 of 4 tests*"])
    result = suite(source, "-p", "memray", "-W", "error::pytest.PytestWarning", memray=memray)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    suite("def test_it(): pass\n", "-p", "memray", memray=memray).assert_outcomes(passed=1, warnings=0)
    pytester.mkpydir("pytest_memray")
    (pytester.path / "pytest_memray" / "plugin.py").write_text(memray)
    suite(source, "-p", "pytest_memray.plugin").assert_outcomes(passed=4, warnings=1)
    registers = "def pytest_configure(config): config.pluginmanager.register(object(), 'memray_manager')\n"
    conftest = registers + memray.replace("def pytest_configure(config):",
                                          "def pytest_collection(session):\n    config = session.config")
    suite(source, conftest=conftest).assert_outcomes(passed=4, warnings=1)


def test_unused_it_does_nothing(suite):
    """Without marks and options nothing is loaded, measured or printed."""
    source = """
import sys
def test_1(): pass
def test_2(record_property):
    assert 'pymem_bpf.pytest_plugin' in sys.modules
    assert not {"pymem_bpf.memory", "pymem_bpf._test_memory", "pymem_bpf.counter"} & set(sys.modules)
%s
"""
    suite(source % "", alone=True).assert_outcomes(passed=2)
    suite(source % "@pytest.mark.limit_memory('24 MB')\ndef test_0(): pass", alone=True).assert_outcomes(passed=3)
    suite("import sys\n@pytest.mark.limit_memory('24 MB')\ndef test_1(): assert 'pymem_bpf.memory' in sys.modules",
          alone=True).assert_outcomes(passed=1)


def test_package_needs_no_pytest():
    code = ("import sys; sys.modules['pytest'] = None\n"
            "import pymem_bpf, pymem_bpf._limits, pymem_bpf._test_memory\n"
            "from pymem_bpf import *\n")
    env = dict(os.environ, PYTHONPATH=os.path.join(sessions.PROJECT, "python", "src"))
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


NESTED = """
import pymem_bpf
@pytest.mark.limit_memory("24 MB")
def test_measures_itself():
    data = bytearray(40 * MIB)
    del data
    assert pymem_bpf.memory_usage((print,), max_usage=True) > 0
"""
SHOP = """
def load(n):
    rows = []
    for i in range(n):
        rows.append(bytearray(1 << 20))
    return rows
class Store:
    def fill(self):
        self.rows = bytearray(30 << 20)
"""
WITH_LINES = """
import shop
@pytest.mark.limit_memory("24 MB")
def test_load():
    rows = shop.load(40)
@pytest.mark.limit_memory("24 MB")
def test_store():
    store = shop.Store()
    store.fill()
@pytest.mark.limit_memory("24 MB")
def test_freed():
    x = bytearray(40 * MIB)
    del x
@pytest.mark.limit_memory("24 MB")
def test_within(): pass
@pytest.mark.limit_leaks("2 MB")
def test_keeps():
    KEPT.append(bytearray(8 * MIB))
@pytest.mark.limit_memory("24 MB")
def test_raises():
    y = bytearray(40 * MIB)
    raise ValueError
"""


def test_measures_itself(suite):
    """Without a helper that takes the peak away: which is said, and is no pass."""
    result = suite(NESTED + """
@pytest.mark.limit_leaks("2 MB")
def test_leaks():
    KEPT.append(bytearray(8 * MIB))
    pymem_bpf.memory_usage((print,), max_usage=True)
""", "--memory")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["pymem_bpf: the test can't be measured: it measures peaks itself,*serve*",
                                 'limit_leaks("2 MB"): left * over the limit', "2 tests were not measured: it measures*"])
    assert "grew by" not in result.stdout.str()


LAZY = """
from unittest.mock import call
class Lazy:
    def __getattribute__(self, name):
        frame = sys._getframe()
        while frame is not None:  # pytest itself asks, too
            if frame.f_code.co_filename.endswith("_test_memory.py"):
                open("touched", "w").close()
            frame = frame.f_back
        raise RuntimeError(name)
lazy = Lazy()
@functools.lru_cache(maxsize=None)
def cached():
    return bytearray(30 * MIB)
@pytest.mark.limit_memory("24 MB")
def test_it():
    if not KEPT:
        data = cached()
        return
    lazy(call)
"""


@needs_program
def test_values_that_do_as_they_like(suite, server, monkeypatch, pytester):
    """None of them is asked for anything, and functions behind them are found."""
    monkeypatch.setenv("PYMEM_BPF_SOCKET", server)
    result = suite("import functools, sys\n" + LAZY, alone=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["* 30.* MiB  test_it.py:*return bytearray(30 [*] MIB)"])
    assert not (pytester.path / "touched").exists()


def test_functions_that_can_not_be_found(monkeypatch):
    """Then the section says why there are no lines."""
    def fails(*_):
        raise ValueError("no functions")
    monkeypatch.setattr(_test_memory, "functions_named", fails)
    lines = _test_memory.Lines(fails, "/")
    assert "no functions" in lines.reason
    lines.begin()
    lines.end()
    assert lines.grown() == []


@needs_program
def test_helper(suite, server, monkeypatch):
    """Exact to the page, with the lines that grew; undisturbed by what a test itself measures."""
    monkeypatch.setenv("PYMEM_BPF_SOCKET", server)
    result = suite(WITH_LINES + NESTED, alone=True, shop=SHOP)
    result.assert_outcomes(passed=1, failed=6)
    text = result.stdout.str()
    assert len(re.findall(r"by pymem-bpf serve at " + re.escape(server), text)) == 6
    for wanted, truth in ((r"shop\.py:4  rows\.append\(bytearray\(1 << 20\)\)", 40),
                          (r"test_it\.py:8  rows = shop\.load\(40\)", 40),
                          (r"shop\.py:8  self\.rows = bytearray\(30 << 20\)", 30),
                          (r"test_it\.py:\d+  x = bytearray\(40 \* MIB\)", 40),
                          (r"test_it\.py:\d+  KEPT\.append\(bytearray\(8 \* MIB\)\)", 8),
                          (r"test_it\.py:\d+  y = bytearray\(40 \* MIB\)", 40)):
        found = re.search(r"^ +([\d.]+ MiB)  " + wanted, text, re.M)
        assert found, (wanted, text)
        assert abs(mib(found.group(1)) - truth) < 0.5, (wanted, text)
    assert "sudo" not in text


def test_helper_that_can_not_be_used(suite, monkeypatch, tmp_path):
    """What listens is no server: the kernel's mark is used, and the section says why."""
    path = str(tmp_path / "socket")
    other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    other.bind(path)
    other.listen()
    monkeypatch.setenv("PYMEM_BPF_SOCKET", path)
    result = suite(LIMITS)
    other.close()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["Without the helper: %s is another program's socket*" % path])


def test_entry_point(pytester, monkeypatch, tmp_path):
    """As it is installed, pytest finds it by itself; -p no:pymem_bpf is without it."""
    site = str(tmp_path / "site")
    subprocess.run([sys.executable, os.path.join(sessions.PROJECT, "tools", "install-package"), site,
                    str(tmp_path / "bin")], check=True)
    monkeypatch.setenv("PYTHONPATH", site)
    monkeypatch.setenv("PYMEM_BPF_SOCKET", sessions.NO_SOCKET)
    pytester.makepyfile("import pytest\nMIB = 1 << 20\n" + LIMITS)
    pytester.runpytest_subprocess().assert_outcomes(passed=1, failed=2)
    # A run that has the package already, as one with a conftest.py that imports it early.
    pytester.makepyfile(early="import sys, pymem_bpf, pymem_bpf.pytest_plugin, pytest\n"
                        "sys.exit(pytest.main(['-W', 'error::pytest.PytestAssertRewriteWarning', '--collect-only']))\n")
    result = pytester.runpython(pytester.path / "early.py")
    assert result.ret == 0 and "PytestAssertRewriteWarning" not in result.stdout.str()
    pytester.runpytest_subprocess("-p", "no:pymem_bpf").assert_outcomes(passed=3, warnings=3)
    result = pytester.runpytest_subprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.limit_memory(limit): *", "@pytest.mark.limit_leaks(limit, warmups=0)*"])


EVERYWHERE = """
import ast, os, pymem_bpf
from pymem_bpf import _limits, _test_memory
with open(os.path.join(os.path.dirname(pymem_bpf.__file__), "pytest_plugin.py")) as f:
    compile(f.read(), "pytest_plugin.py", "exec")
class Mark:
    name, args, kwargs = "limit_leaks", ("1.5 MB",), {"warmups": 1}
limits = _limits.limits_of([Mark])
assert (limits.memory, limits.leaks.bytes, limits.leaks.warmups) == (None, 3 << 19, 1)
assert _test_memory.refusal() == ""
for kept in (0, 8 << 20):
    measured = _test_memory.Measurement()
    measured.start()
    data = bytearray(40 << 20)
    data = bytearray(kept)
    measured.stop(True)
    assert abs(measured.grown_bytes - (40 << 20) - kept) < 3 << 19, measured.grown_bytes
    assert abs(measured.kept_bytes - kept) < 3 << 19, measured.kept_bytes
    del data
print("fine")
"""


@pytest.mark.parametrize("name, command", sessions.pythons(), ids=lambda v: v if isinstance(v, str) else "")
def test_each_python(name, command):
    stage = sessions.Stage()
    try:
        program = stage.write("everywhere.py", EVERYWHERE)
        assert stage.run(command + [program]) == (0, "fine\n")
    finally:
        stage.close()
