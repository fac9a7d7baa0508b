# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""%memit and %mprun for IPython 7 and later, in terminals and in Jupyter kernels.

%memit prints the peak of RSS while a statement ran. The kernel knows the peak, so none is missed and no
privilege is needed: the source is the counters of `pymem-bpf serve` if it runs, else VmHWM. %mprun prints,
line by line, what functions changed: exact with a helper (counter.py), else an estimate that is marked as one
(_estimate.py).

Tables go to the pager where there is a terminal. Elsewhere (notebooks, nbconvert --execute, qtconsole) they are
displayed, as a cell's output that stays with it.

The magics' own errors are IPython's UsageError: one sentence, no traceback. An exception of the measured
statement is raised again, after the figures until then have been printed.
"""
import gc
import os
import signal
import sys
import tempfile
import threading
import time

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope
from IPython.core.page import page
from IPython.display import display

from . import _helper, _proc, memory
from ._children import builtin_profile
from ._compatible import MemitResult
from ._helper import HelperError
from ._options import OptionError, split_options
from ._statement import Statement, caller_scope
from ._streams import fit

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple

    from ._estimate import Estimate
    from .counter import Counter
    from .line_profiler import LineProfiler
    from .run_profiler import RunProfiler

    Options = Dict[str, List[Any]]

SAMPLED = ("NOTE: no helper: the peak of this process is exact, that of its children is the highest of "
           "samples each %g s; for exact ones run: %s")
FROZEN = ("*** the helper ended during the run (%s): what is shown is what was counted until then; "
          "start it again: %s")
REPLACED = "*** the helper ended during the run (%s): the peak is that of VmHWM instead"
SECONDS_LIMIT = 1e8
SOON_SECONDS = 1e-3


class OutOfTime(KeyboardInterrupt):
    """Raised in the statement when the time of -t is over. It is no Exception, so that the statement doesn't
    catch it by accident. It is a KeyboardInterrupt, because an event loop lets that through from anywhere."""


class TimeLimit:
    """A context that raises OutOfTime in its block after so many seconds; None: never.

    It takes SIGALRM and its timer for as long, and gives them back. UsageError: seconds are given and this
    is not the main thread, which alone gets signals."""

    def __init__(self, seconds: "float | None") -> None:
        if seconds is not None and threading.current_thread() is not threading.main_thread():
            raise UsageError("-t works in the main thread only")
        if seconds is not None and signal.getsignal(signal.SIGALRM) is None:
            raise UsageError("-t needs SIGALRM, which a library outside of Python handles in this process")
        self.seconds = seconds

    def __enter__(self) -> None:
        if self.seconds is not None:
            self.handler = signal.signal(signal.SIGALRM, self._raise)
            self.began = time.monotonic()
            self.timer = signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def _raise(self, *_: object) -> None:
        raise OutOfTime

    def __exit__(self, *_: object) -> None:
        if self.seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.handler)
            due, interval = self.timer
            if due:  # the program's own; at once if it was due meanwhile
                signal.setitimer(signal.ITIMER_REAL, max(due - (time.monotonic() - self.began), SOON_SECONDS),
                                 interval)


class TreePeak:
    """The peak of this process and its descendants together, in bytes, without a helper.

    The process's own peak is the kernel's and exact. The sum with its descendants is sampled by another
    process, each `interval` seconds. The higher of the two is the result, since the sum can't have been
    lower than either. For one measurement at a time: VmHWM is the process's."""

    def __init__(self, interval: float) -> None:
        self.interval, self.own = interval, memory.Peak()
        self.sampler: "memory.Sampler | None" = None
        self.frozen = False

    def start(self) -> int:
        """Begins anew. RSS of the process and its descendants now, in bytes. OSError: /proc can't be read, or
        the sampler can't be started."""
        floor = _proc.total_bytes(os.getpid(), "rss", True, _helper.private_pids)
        self.own.start()  # first, since it may be refused; again below, behind the sampler's start
        self.sampler = memory.Sampler(self.interval, "rss", True)
        self.own.start()
        return floor

    def bytes(self) -> int:
        """The peak since start(), in bytes. Ends the sampling. RuntimeError: the sampler had ended."""
        own = self.own.bytes()
        sampled = [] if self.sampler is None else self.sampler.stop()
        return max([own] + [amount for amount, _ in sampled])


def _number(options: "Options", letter: str, kind: "Callable[[Any], Any]", default: float,
            least: float) -> "Any":
    """The last value of an option as a number >= least."""
    text: "Any" = options[letter][-1] if letter in options else default
    try:
        value = kind(text)
        if not least <= value <= SECONDS_LIMIT:
            raise ValueError
    except ValueError:
        raise UsageError("-%s takes a number, at least %s, not %r" % (letter, least, text)) from None
    return value


@magics_class
class MemoryProfilerMagics(Magics):
    """%memit, %%memit, %mprun and %%mprun. What can't be done is a UsageError of IPython's. They measure the
    whole process, so that two of them at once, in two threads, disturb each other."""

    def _options(self, line: str, spec: str) -> "Tuple[Options, str]":
        try:
            return split_options(line, spec)
        except OptionError as e:
            raise UsageError(str(e)) from None

    @classmethod
    def register_magics(cls, shell: "Any") -> None:
        """Registers them with an InteractiveShell, as memory_profiler's class does."""
        shell.register_magics(cls)

    @line_cell_magic
    @needs_local_scope
    def memit(self, line: str = "", cell: "str | None" = None,
              local_ns: "Dict[str, Any] | None" = None) -> "MemitResult | None":
        """Measures the peak of resident memory while a statement runs.

          %memit [options] statement
          %%memit [options] [set-up, which is not measured]
          statements

        prints `peak memory: 100.08 MiB, increment: 61.36 MiB`: the highest RSS of the process, and by
        how much that is above what it was before. Garbage is collected first. The peak is the
        kernel's own, not sampled.

        -r R  run it R times, report the highest
        -t T  interrupt it after T seconds and report what was reached
        -i I  seconds between samples: only for -c without a helper, all else isn't sampled
        -c    add child processes
        -o    return the result as an object
        -q    print nothing
        """
        options, rest = self._options(line, "r:t:i:coq")
        repeat = _number(options, "r", int, 1, 1)
        timeout = _number(options, "t", float, 0, 0) or None
        interval = _number(options, "i", float, 0.1, 1e-4)
        children = "c" in options
        set_up, text = ("", rest) if cell is None else (rest, cell)
        if not text.strip():
            raise UsageError("nothing to measure: %memit statement")
        scope = caller_scope(self.shell, local_ns)
        setup = Statement(self.shell, set_up, scope, keep=True)
        statement = Statement(self.shell, text, scope)
        counter, note = None, ""
        try:
            counter = memory.available_counter(children)
        except HelperError as e:
            note = "NOTE: without the helper: %s" % e
        if counter is None and children:
            note += ("\n" if note else "") + SAMPLED % (interval, _helper.command())
        gc.collect()
        setup.bind().run()
        statement.bind()
        result = MemitResult([], 0.0, repeat, timeout, interval, children, _source(counter, children))
        try:
            self._repeat(result, statement, counter, "q" in options)
        finally:
            if result.mem_usage and "q" not in options:
                print(result)
                if note:
                    print(note)
        return result if "o" in options else None

    def _repeat(self, result: "MemitResult", statement: "Any", counter: "Counter | None",
                quiet: bool) -> None:
        """Runs the statement result.repeat times. Adds the peak of each run to the result, also of one that
        raises."""
        for number in range(result.repeat):
            # Without a counter of the whole tree its peak has to be sampled.
            sampled = result.include_children and counter is None
            peak: "TreePeak | memory.Peak" = (TreePeak(result.interval) if sampled else
                    memory.Peak(counter, result.include_children))
            try:
                before = peak.start()
            except (OSError, HelperError) as e:
                raise UsageError(str(e)) from None
            if number == 0:
                result.baseline = before / memory.MIB
            try:
                with TimeLimit(result.timeout):
                    statement.run()
            except OutOfTime:
                if not quiet:
                    print("*** stopped after %g s" % (result.timeout or 0))
                return
            finally:
                result.mem_usage.append(peak.bytes() / memory.MIB)
                if counter is not None and not counter.alive():
                    if not quiet:
                        print(FROZEN % (counter.where, _helper.command()) if peak.frozen
                              else REPLACED % counter.where)
                    counter = None
                    result.source = _source(None, result.include_children)

    @line_cell_magic
    @needs_local_scope
    def mprun(self, line: str = "", cell: "str | None" = None,
              local_ns: "Dict[str, Any] | None" = None) -> "LineProfiler | None":
        """Runs a statement and prints what each line of some functions changed in resident memory.

          %mprun -f FUNC [options] statement
          %%mprun -f FUNC [options] [statement]
          statements

        -f FUNC  a function, method or class, or any expression that gives one; may be repeated. It may
                 come from a module, a notebook cell or the prompt.
        -T FILE  write the table to a file, too
        -r       return the LineProfiler
        -c       add child processes
        -e       exact figures, or none: without a helper it is an error

        Functions under the decorator @profile, in code that runs meanwhile, are shown too.

        Without a helper the figures are the process's, from /proc. The table says so, how far from the truth
        they may be, and which command makes them exact.
        """
        options, source = self._options(line, "f:T:rce")
        if cell is not None:
            source += "\n" + cell
        if not source.strip():
            raise UsageError("nothing to run: %mprun -f FUNC statement")
        scope = caller_scope(self.shell, local_ns)
        functions = [(text, self._find(text, scope)) for text in options.get("f", [])]
        statement = Statement(self.shell, source, scope).bind()
        counter, profiler = _profiler("c" in options, True if "e" in options else None)
        for text, function in functions:
            try:
                profiler.add_function(function)
            except TypeError as e:
                raise UsageError("-f %s: %s" % (text, e)) from None
        try:
            profiler.hold()  # here, and not by the statement: what this raises isn't the statement's
        except RuntimeError as e:  # HelperError is one
            raise UsageError(str(e)) from None
        try:
            message, raised = self._run(profiler, statement)
        finally:
            profiler.close()
        if not counter.alive():
            message += "\n" + FROZEN % (counter.where, _helper.command())
        self._show(profiler, functions, message.strip(),
                   options["T"][-1] if "T" in options else None)
        if raised is not None:
            raise raised
        return profiler if "r" in options else None

    def _find(self, text: str, scope: "Dict[str, Any] | None") -> "Any":
        try:
            return eval(text, self.shell.user_global_ns, self.shell.user_ns if scope is None else scope)
        except Exception as e:
            raise UsageError("could not find function %r: %s: %s"
                             % (text, type(e).__name__, e)) from None

    def _run(self, profiler: "RunProfiler", statement: "Any") -> "Tuple[str, Exception | None]":
        """(message, exception to be raised again or None)."""
        try:
            with builtin_profile(profiler):
                statement.run()
        except SystemExit:
            return "*** SystemExit exception caught in code being profiled.", None
        except KeyboardInterrupt:
            return "*** KeyboardInterrupt exception caught in code being profiled.", None
        except Exception as e:
            return "*** %s in code being profiled: the table goes as far as that." % type(e).__name__, e
        return "", None

    def _show(self, profiler: "RunProfiler", functions: "List[Tuple[str, Any]]", message: str,
              path: "str | None") -> None:
        from .table import Tables
        tables = Tables(profiler)
        output = str(tables)
        if output and _is_terminal(sys.stdout):
            page(fit(output, sys.stdout))
        elif output:
            display(tables)
        elif not functions and not message:
            message = "*** no function to show: name one with -f, or decorate it with @profile"
        if message:
            print(message)
        if path is not None:
            print(_save(path, output + "\n"))


def _is_terminal(stream: "Any") -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # of no such kind, or closed
        return False


def _save(path: str, table: str) -> str:
    """Writes the table to a file. Returns a message. If the path is wrong, the table goes to a temporary file,
    as it took a run to make."""
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as f:
            f.write(table)
        return "\n*** Profile printout saved to text file %s." % path
    except OSError as e:
        problem = "*** %s can't be written: %s" % (path, e.strerror or e)
    try:
        with tempfile.NamedTemporaryFile("w", prefix="mprun-", suffix=".txt", delete=False,
                                         encoding="utf-8", errors="backslashreplace") as kept:
            kept.write(table)
        return "\n%s\n*** Profile printout saved to text file %s." % (problem, kept.name)
    except OSError:
        return "\n%s\n*** Nor can a file in the folder for temporary files. The table:\n\n%s" % (
            problem, table)


def _source(counter: "Counter | None", children: bool) -> str:
    if counter is not None:
        return "helper"
    return "VmHWM and samples of children" if children else "VmHWM"


def _profiler(children: bool, exact: "bool | None") -> "Tuple[Counter | Estimate, RunProfiler]":
    """(source of the figures, RunProfiler). UsageError: no helper, where an estimate is not wanted or can't be made;
    no extension for this Python."""
    try:
        from .run_profiler import RunProfiler
        from ._estimate import best, insists
        source = best(insists(exact), again=True)
        profiler = RunProfiler(counter=source, include_children=children, exact=exact)
        profiler.prepare()
        return source, profiler
    except (HelperError, ImportError) as e:
        raise UsageError(str(e)) from None


def load_ipython_extension(shell: "Any") -> None:
    """Registers the magics with an InteractiveShell. A second call is no error."""
    from .heap_magics import HeapMagics
    from .plot_magics import PlotMagics
    shell.register_magics(MemoryProfilerMagics, HeapMagics, PlotMagics)
