# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The plugin for pytest: limits on what a test takes of resident memory, and a table of the tests that took most.

@pytest.mark.limit_memory("24 MB")   the test fails if the peak of RSS while it runs is further above RSS at its start
@pytest.mark.limit_leaks("1 MB")     the test fails if more stays resident when it has run
pytest --pymem                       a table of the tests by growth; --memory, where that is no one else's

The marks are pytest-memray's (_limits.py), the figures those of _test_memory.py. What is measured is the call of the
test, not its fixtures. Under pytest-xdist each worker measures its own process; the figures travel with the report of
the test, as properties of it.

A test is measured from a hook that runs before all others of its call to one that runs after them. The latter is no
hook wrapper, since it raises, which wrappers could not do well up to pluggy 1.0. So these are two plugin objects. The
figures of tests that raise are taken by a wrapper around both. Reports say nothing of a test's end: subtests make some
while it runs.

PYTEST_DONT_REWRITE
"""
import json
import os
import sys
import warnings

import pytest

from . import _limits

if sys.platform.startswith("linux"):
    from . import _proc  # noqa: F401 - before any test puts something else in place of what it takes from os

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, NoReturn, Tuple

    from ._test_memory import Lines, Measurement

SECTION = "pymem-bpf"
SCHEMA = "pymem-bpf-pytest/1"
TESTS, LINES, TEXT_COLUMNS, LEAST_COLUMNS = 10, 5, 60, 20
START, PEAK, KEPT, UNMEASURED = ["pymem_bpf." + name for name in ("start_bytes", "peak_bytes", "kept_bytes",
                                                                 "unmeasured")]
INTERRUPTED = "interrupted"
PROPERTIES = (START, PEAK, KEPT, UNMEASURED)
MARKERS = (
    'limit_memory(limit): the test fails if resident memory grows by more while it runs, as in limit_memory("24 MB") '
    '(pymem_bpf)',
    'limit_leaks(limit, warmups=0): the test fails if more stays resident when it has run; warmups: it runs so often '
    'before (pymem_bpf)',
    'limit_leaked_objects: pytest-memray\'s; refused (pymem_bpf)')
#: Words that may be anyone's: they are ours where no one else has registered them.
ALIASES = {"--memory": "--pymem", "--memory-tests": "--pymem-tests", "--memory-report": "--pymem-report"}
#: The names of pytest-memray: of its entry point, of its modules, of what it registers.
OTHER_NAMES = ("memray", "pytest_memray", "pytest_memray.plugin", "memray_manager")
OTHER_PLUGIN = ("limit_memory and limit_leaks are pytest-memray's in this run, since it is installed: pymem_bpf checks "
                "no limits. To have pymem_bpf check them: pytest -p no:memray")


def amount(bytes: int) -> str:
    """Bytes in MiB, as text; in KiB below a tenth of one."""
    if bytes == 0:
        return "0"
    return "%.1f MiB" % (bytes / (1 << 20)) if abs(bytes) * 10 >= 1 << 20 else "%.1f KiB" % (bytes / (1 << 10))


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def pytest_addoption(parser: "pytest.Parser") -> None:
    """pytest's hook: the options."""
    group = parser.getgroup("pymem_bpf", "resident memory (pymem_bpf); --memory is --pymem where no one else has it")
    group.addoption("--pymem", action="store_true", dest="pymem_bpf_memory",
                    help="Show the tests that grew resident memory most.")
    group.addoption("--pymem-tests", type=_count, metavar="N", dest="pymem_bpf_tests",
                    help="--pymem with so many tests (default: %d; 0: all)." % TESTS)
    group.addoption("--pymem-report", metavar="FILE", dest="pymem_bpf_report",
                    help="Write the memory of all tests to FILE, as JSON.")


def _renamed(args: "List[str]", unknown: "List[str] | None" = None) -> "List[str]":
    """The words with --pymem… for --memory…; unknown: only for those among these."""
    end = args.index("--") if "--" in args else len(args)
    found = []
    for word in args[:end]:
        name, equals, value = word.partition("=")
        found.append(ALIASES[name] + equals + value if name in ALIASES and (unknown is None or word in unknown)
                     else word)
    return found + args[end:]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: "pytest.Config", parser: "pytest.Parser",
                                  args: "List[str]") -> "Iterator[None]":
    """pytest's hook: --memory… become --pymem… if no one else has them. Were they registered, a conftest.py with an
    option of that name would end each run. What can't be parsed here pytest parses next, and says what is wrong."""
    ours = _renamed(args)
    if ours != args:
        try:
            # FILE of --memory-report FILE is no test, by whose place conftest.py files are found.
            early_config.known_args_namespace.file_or_dir = parser.parse_known_and_unknown_args(ours)[0].file_or_dir
        except Exception:
            pass  # such as --memory=3, which is a conftest.py's then
    yield  # conftest.py files register theirs
    if ours != args:
        try:
            args[:] = _renamed(args, parser.parse_known_and_unknown_args(list(args))[1])
        except Exception:
            pass


def pytest_configure(config: "pytest.Config") -> None:
    """pytest's hook: registers what measures. UsageError: --pymem-report names a file that can't be written."""
    others = any(config.pluginmanager.hasplugin(name) for name in OTHER_NAMES)
    if not others:
        for line in MARKERS:
            config.addinivalue_line("markers", line)
    summary = _Summary(config) if _wanted(config) and not hasattr(config, "workerinput") else None
    tests = _Tests(config, others)
    config.pluginmanager.register(tests, "pymem_bpf_tests")
    config.pluginmanager.register(_Ends(tests, summary), "pymem_bpf_ends")
    config.pluginmanager.register(_Verdict(tests), "pymem_bpf_verdict")
    if summary is not None:
        config.pluginmanager.register(summary, "pymem_bpf_summary")


def _wanted(config: "pytest.Config") -> bool:
    """Are all tests measured, or only those with limits?"""
    return bool(config.getoption("pymem_bpf_memory") or config.getoption("pymem_bpf_report")
                or config.getoption("pymem_bpf_tests") is not None)


class _Run:
    """The call of one test that is measured."""

    def __init__(self, item: "pytest.Item", limits: "_limits.Limits", measured: "Measurement",
                 lines: "Lines | None") -> None:
        self.item, self.limits, self.measured, self.lines = item, limits, measured, lines
        self.text: "List[str]" = []
        self.runs = True

    def end(self, with_kept: bool) -> str:
        """Takes the figures: why they can't be had, or nothing. Once more does nothing."""
        if not self.runs:
            return ""
        self.runs = False
        from ._test_memory import reason_of
        try:
            self.measured.stop(with_kept)
            if self.measured.lost:
                _note(self.item, {UNMEASURED: self.measured.lost})
                return self.measured.lost if self.limits.memory is not None else ""
            _note(self.item, {START: self.measured.start_bytes, PEAK: self.measured.peak_bytes,
                              KEPT: self.measured.kept_bytes})
            return ""
        except Exception as e:  # of whatever kind: the test may have put something else in place of what it takes
            refusal = reason_of(e)
            _note(self.item, {UNMEASURED: refusal})
            return refusal
        finally:
            self.drop()

    def drop(self) -> None:
        """Counts lines no more. Once more does nothing."""
        self.runs = False
        if self.lines is not None:
            self.lines.end()

    def exceeded(self) -> "List[str]":
        """What is over its limit, a sentence each. The section about it is in `text` then."""
        found, rows, measured = [], [], self.measured
        memory, leaks, kept = self.limits.memory, self.limits.leaks, measured.kept_bytes
        if memory is not None and measured.grown_bytes > memory.bytes:
            found.append("Test was limited to %s but resident memory grew by %s"
                         % (amount(memory.bytes), amount(measured.grown_bytes)))
            rows.append(_over(memory, "grew by", measured.grown_bytes))
        if leaks is not None and kept is not None and kept > leaks.bytes:
            found.append("Test was allowed to leave %s resident but left %s" % (amount(leaks.bytes), amount(kept)))
            rows.append(_over(leaks, "left", kept))
        if found:
            rows.append("RSS at the start %s" % amount(measured.start_bytes))
            if not measured.lost:
                rows.append("    peak         %s, by %s" % (amount(measured.peak_bytes), measured.source))
            if kept is not None:
                rows.append("    at the end   %s, garbage collected" % amount(measured.start_bytes + kept))
            try:
                self.text = rows + self._grown_lines()
            except Exception as e:  # the test may have put something else in place of what makes the text
                self.text = rows + ["The lines can't be shown: %s: %s" % (type(e).__name__, e)]
        return found

    def _grown_lines(self) -> "List[str]":
        from . import _helper
        from ._test_memory import source_line
        if self.lines is None:
            return ["%sTo see the lines that grew, start a helper and run the test again:" % (
                        "" if not self.measured.note else "Without the helper: %s\n" % self.measured.note),
                    "  " + _helper.command(), "  pytest %s" % _quoted(_pasted(self.item))]
        if self.lines.reason:
            return ["Lines were not counted: %s" % self.lines.reason]
        rows = self.lines.grown()
        if not rows:
            return ["No line of the test, or of functions that it names, grew"]
        root = _root(self.item.config)
        said = ["Lines that grew most, with what they called:"]
        for bytes_, path, number in rows[:LINES]:
            short = os.path.relpath(path, root) if path.startswith(root + os.sep) else path
            said.append("  %10s  %s:%d  %s" % (amount(bytes_), short, number, source_line(path, number)[:TEXT_COLUMNS]))
        return said + (["  ... and %d more" % (len(rows) - LINES)] if len(rows) > LINES else [])


def _over(limit: "_limits.Limit", verb: str, bytes_: int) -> str:
    return "%s: %s %s, %s over the limit" % (limit.said, verb, amount(bytes_), amount(bytes_ - limit.bytes))


def _quoted(text: str) -> str:
    return "'%s'" % text.replace("'", "'\\''")


def _root(config: "pytest.Config") -> str:
    return str(getattr(config, "rootpath", None) or config.rootdir)  # pytest 6.0 has no rootpath


def _pasted(item: "pytest.Item") -> str:
    """The test as pytest takes it, where pytest was called."""
    path, colons, name = item.nodeid.partition("::")
    called = str(item.config.invocation_params.dir)
    return os.path.relpath(os.path.join(_root(item.config), path), called) + colons + name


def _note(item: "pytest.Item", figures: "Dict[str, Any]") -> None:
    """Leaves figures with the test's report, in place of those of an earlier run of it."""
    item.user_properties[:] = [one for one in item.user_properties if one[0] not in PROPERTIES] + [
        (name, value) for name, value in figures.items() if value is not None]


class _Refused(pytest.fail.Exception):
    """A limit can't be checked: an error, also of a test that is expected to fail."""

    __module__ = "builtins"  # as pytest's own: reports say it without a module


def _fail(text: str) -> "NoReturn":
    raise _Refused("pymem_bpf: " + text, pytrace=False)


def _refusal(with_peak: bool = True) -> str:
    """Why no test can be measured here; empty: they can."""
    if not sys.platform.startswith("linux"):
        return "pymem_bpf reads Linux's /proc, and this is %s" % sys.platform
    from . import _test_memory
    return _test_memory.refusal(with_peak)


def _is_called_by_pytest(item: "pytest.Item") -> bool:
    unittest = sys.modules.get("unittest")
    cls = getattr(item, "cls", None)
    return isinstance(item, pytest.Function) and not (
        unittest is not None and isinstance(cls, type) and issubclass(cls, unittest.TestCase))


class _Tests:
    """Measures the calls of tests that have a limit, or of all."""

    def __init__(self, config: "pytest.Config", others: bool) -> None:
        self.wanted, self.others = _wanted(config), others
        self.run: "_Run | None" = None

    def limits(self, item: "pytest.Item") -> "_limits.Limits":
        """Those of a test. It fails if a mark can't be honoured."""
        if self.others:
            return _limits.NONE
        try:
            return _limits.limits_of(item.iter_markers())
        except _limits.LimitError as e:
            refusal = str(e)
        _fail(refusal)

    def pytest_collection_modifyitems(self, items: "List[pytest.Item]") -> None:
        if self.others and any(item.get_closest_marker(name) for item in items for name in _limits.MARKS[:2]):
            try:
                warnings.warn(pytest.PytestWarning(OTHER_PLUGIN))
            except pytest.PytestWarning as e:  # warnings are errors in this run
                raise pytest.UsageError(str(e)) from None

    def pytest_runtest_setup(self, item: "pytest.Item") -> None:
        """A limit that can't be checked here is an error of the test's before it runs."""
        limits = self.limits(item)
        if not limits:
            return
        refusal = _refusal(limits.memory is not None)
        if refusal:
            _fail("the limit can't be checked: " + refusal)
        if limits.leaks is not None and limits.leaks.warmups and not _is_called_by_pytest(item):
            _fail("limit_leaks(warmups=%d) is for test functions and for methods of plain classes, which pytest calls "
                  "itself: leave it out, and repeat the work in the test" % limits.leaks.warmups)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: "pytest.Item") -> None:
        """Begins to measure."""
        self.drop()
        limits = self.limits(item)
        if not limits and not self.wanted:
            return
        if not sys.platform.startswith("linux"):
            _note(item, {UNMEASURED: _refusal()})  # one with a limit has not come as far as this
            return
        _note(item, {})
        for _ in range(0 if limits.leaks is None else limits.leaks.warmups):
            item.runtest()
        self.run = self._begun(item, limits)

    def _begun(self, item: "pytest.Item", limits: "_limits.Limits") -> "_Run | None":
        from ._test_memory import Lines, Measurement, reason_of
        lines = None
        try:
            measured = Measurement()
            if limits and measured.by_server:
                lines = Lines(getattr(item, "function", None), _root(item.config))
                lines.begin()
            measured.start(limits.memory is not None)
            return _Run(item, limits, measured, lines)
        except Exception as e:
            refusal = reason_of(e)
        if lines is not None:
            lines.end()
        _note(item, {UNMEASURED: refusal})
        if limits:
            _fail("the test can't be measured: " + refusal)
        return None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: "pytest.Item", call: "Any") -> "Iterator[None]":
        """The section goes with the report of the call. A test that still runs has reports of its subtests."""
        run = self.run
        outcome: "Any" = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, _Refused):
            report = outcome.get_result()
            report.outcome = "failed"
            vars(report).pop("wasxfail", None)
        if call.when == "call" and run is not None and run.item is item and not run.runs:
            self.run = None
            if run.text:
                outcome.get_result().sections.append((SECTION, "\n".join(run.text)))

    def drop(self) -> None:
        """Counts the lines of no test any more, if one was left."""
        if self.run is not None:
            self.run.drop()
            self.run = None

    def pytest_unconfigure(self) -> None:
        """What was left of a run that ended within a test."""
        self.drop()


class _Ends:
    """Ends what _Tests began, if the test has raised."""

    def __init__(self, tests: _Tests, summary: "_Summary | None") -> None:
        self.tests, self.summary = tests, summary

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item: "pytest.Item") -> "Iterator[None]":
        """The end of a test that raised. What it left is not known: the traceback holds it."""
        outcome: "Any" = yield
        run = self.tests.run
        if run is None or run.item is not item:
            return
        if run.runs and not run.end(False):
            run.exceeded()
        if outcome.excinfo is not None and issubclass(outcome.excinfo[0], (KeyboardInterrupt, pytest.exit.Exception)):
            self.tests.drop()
            if self.summary is not None:  # no report is made of it
                self.summary.take(item.nodeid, INTERRUPTED, item.user_properties)


class _Verdict:
    """Fails tests that are over their limit."""

    def __init__(self, tests: _Tests) -> None:
        self.tests = tests

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: "pytest.Item") -> None:
        """Comes after the test, and only if that has not raised."""
        run = self.tests.run
        if run is None or run.item is not item or getattr(item, "_excinfo", None):
            return  # _excinfo: a test of unittest has raised, which it keeps for the report
        refusal = run.end(self.tests.wanted or run.limits.leaks is not None)
        if refusal and run.limits:
            _fail("the test can't be measured: " + refusal)
        found = run.exceeded()
        if found:
            pytest.fail("\n".join(found), pytrace=False)


class _Summary:
    """The table and the file, in the process that has the reports of all tests."""

    def __init__(self, config: "pytest.Config") -> None:
        self.path = config.getoption("pymem_bpf_report")
        limit = config.getoption("pymem_bpf_tests")
        self.shown = bool(config.getoption("pymem_bpf_memory")) or limit is not None
        self.limit = TESTS if limit is None else limit
        self.tests: "Dict[str, Dict[str, Any]]" = {}
        self.unmeasured: "Dict[str, str]" = {}
        self.problem = ""
        if self.path is not None:
            try:
                with open(self.path, "a"):
                    pass
            except OSError as e:
                raise pytest.UsageError("--pymem-report: %s: %s" % (self.path, e.strerror or e)) from None

    def pytest_runtest_logreport(self, report: "Any") -> None:
        """Takes the figures of a test; of one that ran more than once, those of its highest growth."""
        if report.when == "call":
            self.take(report.nodeid, report.outcome, report.user_properties, getattr(report, "worker_id", None))

    def take(self, name: str, outcome: str, properties: "Iterable[Tuple[str, Any]]",
             worker: "str | None" = None) -> None:
        """Takes the figures of a test out of its properties."""
        found = {key: value for key, value in properties if key in PROPERTIES}
        if UNMEASURED in found:
            self.unmeasured[name] = found[UNMEASURED]
        if PEAK not in found:
            return
        known = self.tests.get(name)
        grown = found[PEAK] - found[START]
        if known is None or grown >= known["grown_bytes"]:
            self.tests[name] = {
                "test": name, "outcome": outcome, "worker": worker, "start_bytes": found[START],
                "peak_bytes": found[PEAK], "grown_bytes": grown, "kept_bytes": found.get(KEPT)}

    def _sorted(self) -> "List[Dict[str, Any]]":
        return sorted(self.tests.values(), key=lambda one: (-one["grown_bytes"], one["test"]))

    def pytest_sessionfinish(self, session: "pytest.Session") -> None:
        """Writes the file. If that fails, so does the run."""
        if self.path is None:
            return
        try:
            with open(self.path, "w", encoding="ascii") as f:
                json.dump({"schema": SCHEMA, "tests": self._sorted(),
                           "unmeasured": [{"test": name, "reason": self.unmeasured[name]}
                                          for name in sorted(self.unmeasured)]}, f, indent=1)
                f.write("\n")
        except OSError as e:
            self.problem = "%s can't be written: %s" % (self.path, e.strerror or e)
            session.exitstatus = session.exitstatus or 1

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: "Any", config: "pytest.Config") -> None:
        """Prints the table."""
        if self.shown:
            terminalreporter.section("resident memory")
            width = _columns(config)
            for line in self.table(width):
                terminalreporter.write_line(line)
        if self.problem:
            terminalreporter.write_line("pymem_bpf: " + self.problem, red=True)
        elif self.path is not None:
            terminalreporter.write_line("pymem_bpf: memory of %d tests in %s" % (len(self.tests), self.path))

    def table(self, width: "int | None") -> "List[str]":
        """The lines of the table, no longer than `width`; None: as long as they are."""
        rows = self._sorted()
        shown = rows[:self.limit] if self.limit else rows
        said = ["%10s %10s %10s  %s" % ("peak", "kept", "start", "test")] if rows else []
        for one in shown:
            kept = one["kept_bytes"]
            head = "%10s %10s %10s  " % (_signed(one["grown_bytes"]), "-" if kept is None else _signed(kept),
                                         amount(one["start_bytes"]))
            after = " (%s)" % INTERRUPTED if one["outcome"] == INTERRUPTED else ""
            said.append(head + _cut(one["test"], None if width is None else
                                    max(width - len(head) - len(after), LEAST_COLUMNS)) + after)
        said.append("%d of %d tests%s. peak, kept: over RSS at the start of the test" % (
            len(shown), len(rows), "" if len(shown) == len(rows) else ", those that grew most"))
        reasons: "Dict[str, int]" = {}
        for reason in self.unmeasured.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        return said + ["%d tests were not measured: %s" % (reasons[reason], reason) for reason in sorted(reasons)]


def _signed(bytes_: int) -> str:
    return ("+" if bytes_ > 0 else "") + amount(bytes_)


def _cut(text: str, width: "int | None") -> str:
    return text if width is None or len(text) <= width else "..." + text[len(text) - width + 3:]


def _columns(config: "pytest.Config") -> "int | None":
    """Of the terminal, or as $COLUMNS says; None: the output goes elsewhere, where nothing is cut."""
    if "COLUMNS" not in os.environ and not sys.stdout.isatty():
        return None
    return config.get_terminal_writer().fullwidth - 1
