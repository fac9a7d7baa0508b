# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Line by line: which lines of some functions ran how often, and what each changed RSS by.

The figures are those of a helper (counter.py), exact and for each thread. Without a helper they are those of
/proc, for the whole process, and marked as approximate (_estimate.py).

The counting is in C (native/_lines.c). This module decides which code objects are profiled, and asks the
interpreter to report their lines. From 3.12 on it uses local events of sys.monitoring, so other code costs
nothing. Before, it uses a frame evaluation function that runs only frames of profiled code under the C trace
hook (native/_lines_eval.c).

An increment is a sum over a line's runs: what the thread that ran it changed from the run's start to its end,
callees included. So the increments of a function add up to what the function changed, in loops too, and
changes by other threads are not in them.

A function is its code object and those inside it: comprehensions, lambdas, inner functions. If they share a
row, what they changed is on it once.

All threads are profiled, also those that run already, from their next call of a profiled function on; with
own_thread only the thread that enables the profiler.
"""
import collections
import functools
import linecache
import os
import sys
import threading
import types

from ._supported import foreign, has_monitoring, is_free_threaded, require

require()
try:
    _foreign = foreign("_lines", [os.path.dirname(os.path.abspath(__file__))])
    if _foreign is not None:
        raise ImportError("%s is for Python with a GIL" % _foreign)
    from . import _lines
    if hasattr(_lines, "install") == has_monitoring():
        raise ImportError("%s is for another Python" % _lines.__file__)
except ImportError as e:
    raise ImportError("the extension module is not there for this Python (%d.%d%s): build it, in the "
                      "source tree: make python PYTHON=%s; or by pip: %s -m pip install --force-reinstall "
                      "--no-binary pymem-bpf pymem-bpf (%s)" % (
                          sys.version_info[0], sys.version_info[1], "t" * is_free_threaded(),
                          sys.executable, sys.executable, e)) from e
from . import _alone
from ._calls import wrap_calls
from ._counting import Counting
from ._estimate import Estimate, best, insists
from ._functions import code_lines, functions_of, inner_codes
from ._helper import HelperError
from ._hooks import Evaluation, Monitoring
from ._wrapping import decorate, mark
from .memory import choose_metric
from .table import show_results

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple, Type, TypeVar

    from .code_map import CodeMap

    T = TypeVar("T")

__all__ = ["LineProfiler", "LineResult", "FunctionResult", "show_results"]

#: What ran on one line. increment_bytes: net change of RSS; mem_usage_bytes: highest RSS at the
#: end of a run.
if TYPE_CHECKING:
    LineResult = NamedTuple("LineResult", [
        ("occurrences", int), ("increment_bytes", int), ("mem_usage_bytes", int)])
else:
    LineResult = collections.namedtuple("LineResult", "occurrences increment_bytes mem_usage_bytes")

#: One profiled function. calls: 0 if it never ran in this process; cut: the helper ended meanwhile
#: (or this process was forked), so that later changes are not in it; code: its code object; lines:
#: {number: LineResult}, those of comprehensions, lambdas and functions inside it included; untold:
#: some lines ran unseen, as another tool took the trace function (up to 3.11); approximate: the amounts are an
#: estimate; error_bytes: how far from the truth an estimate of one run of a line may be at worst, without
#: other threads' changes.
if TYPE_CHECKING:
    _FunctionFields = NamedTuple("_FunctionFields", [
        ("filename", str), ("name", str), ("first_line", int), ("last_line", int), ("calls", int),
        ("cut", bool), ("code", types.CodeType), ("lines", Dict[int, LineResult]), ("untold", bool),
        ("approximate", bool), ("error_bytes", int)])
else:
    _FunctionFields = collections.namedtuple(
        "FunctionResult",
        "filename name first_line last_line calls cut code lines untold approximate error_bytes")


class FunctionResult(_FunctionFields):
    """One profiled function, as described above. IPython shows its table: as text, in a notebook as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from .table import result_html
        return result_html(self)

    def _repr_pretty_(self, printer: "Any", cycle: bool) -> None:
        from .table import result_text
        printer.text(result_text(self))


_hook: "Monitoring | Evaluation" = Monitoring() if has_monitoring() else Evaluation()
_lock = threading.RLock()


def _after_fork() -> None:
    """In the child: the lock may be held by a thread that is not there."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def _record(recorder: "Any", _: str, code: "types.CodeType", inner: "List[types.CodeType]") -> None:
    """Makes the recorder count a function's lines from now on."""
    for one in [code] + inner:
        lines = code_lines(one)
        known = [line for line in lines if line > 0] + [one.co_firstlineno]
        recorder.add(one, min(known), max(known), one.co_firstlineno, lines.tobytes(), code)


class _Counted:
    """What wrap_calls() does at each call of a function: it enables a profiler."""

    __slots__ = ("profiler",)

    def __init__(self, profiler: "LineProfiler") -> None:
        self.profiler = profiler

    def __call__(self) -> "Counting":
        return Counting(self.profiler)


def _unpickled(cls: "Type[LineProfiler]", include_children: bool, backend: "str | None",
               max_mem: "float | None", own_thread: bool, exact: "bool | None") -> "LineProfiler":
    profiler = cls(include_children=include_children, backend=backend, max_mem=max_mem, own_thread=own_thread,
                   exact=exact)
    profiler._only_process = 0
    return profiler


class LineProfiler:
    """Counts, for the lines of some functions, how often they run and by what they change resident memory,
    while it is enabled.

    functions: as add_function() takes them. counter: where the amounts come from, a Counter or an object with
    its `block` and `fileno()`; None: the process's shared one, opened when profiling first begins.
    include_children: amounts are of the process and its children together. backend: "rss" (None), "pss",
    "uss", or memory_profiler's names for them; PSS and USS are the process's, whichever thread changed them,
    and slow: the kernel looks through all page tables at each line. max_mem: MiB of RSS at
    which the debugger stops, once. own_thread: only the thread that enables it is profiled, else all are. exact:
    True: without a helper it can't be enabled; False: without one the figures are those of /proc, marked as
    approximate; None: as $PYMEM_BPF_EXACT says (unset, empty and 0 are False).

    ValueError: there is no such backend, or it can't be had with children. TypeError: as add_function().
    Its methods may be called from any thread. A copy that is unpickled profiles nothing, as nobody would see
    its figures. As a context manager it is enabled for the block (enable_by_count()).
    """

    def __init__(self, *functions: object, counter: "Any" = None, include_children: bool = False,
                 backend: "str | None" = None, max_mem: "float | None" = None,
                 own_thread: bool = False, exact: "bool | None" = None) -> None:
        self._metric = "rss" if backend == "pymem_bpf" else choose_metric(backend)
        if self._metric != "rss" and include_children:
            raise ValueError("backend %r: with children lines are measured in RSS only" % (backend,))
        self.include_children = include_children
        self.backend = backend
        self.max_mem = max_mem
        self.own_thread = own_thread
        self.exact = exact
        #: The one process that it profiles in; None: any.
        self._only_process: "int | None" = None
        #: Calls so near the limit of recursion that there was no room for counting.
        self.uncounted = 0
        self.enable_count = 0
        #: Whether it was ever enabled.
        self.begun = False
        self._counter = counter
        self._shared = False  # the counter is the process's
        self._owner: "int | None" = None  # process that the recorder was made in
        self._recorder: "_lines.Recorder | None" = None
        # (name, code, inner codes), in the order they were added
        self._functions: "List[Tuple[str, types.CodeType, List[types.CodeType]]]" = []
        self._codes: "List[types.CodeType]" = []
        for function in functions:
            self.add_function(function)

    def __reduce__(self) -> "Tuple[Any, ...]":
        return _unpickled, (LineProfiler, self.include_children, self.backend, self.max_mem, self.own_thread,
                            self.exact)

    def add_function(self, function: object) -> None:
        """Profiles a function from now on: all methods of a class, the functions of a property, the function
        inside a decorated one (__wrapped__) or a partial. TypeError: there is no function in Python in it."""
        for found in functions_of(function):
            # Where the source is, for a module that came from an archive.
            linecache.lazycache(found.__code__.co_filename, found.__globals__)
            self.add_code(found.__code__, getattr(found, "__qualname__", found.__name__))

    @property
    def code_map(self) -> "CodeMap":
        """A CodeMap, a view of the figures as memory_profiler's programs read them, in MiB."""
        from .code_map import CodeMap
        return CodeMap(self.include_children, self.backend, self)

    def add_code(self, code: "types.CodeType", name: "str | None" = None) -> None:
        """Profiles a code object, with those inside it, from now on. name: for its table; None: its own. A
        second call is no error."""
        with _lock:
            if any(code is known for _, known, _ in self._functions):
                return
            inner = list(inner_codes(code))
            self._functions.append((name or code.co_name, code, inner))
            new = [c for c in [code] + inner if not any(c is known for known in self._codes)]
            self._codes += new
            if self._recorder is not None:
                _record(self._recorder, *self._functions[-1])
            if self.enable_count:
                _hook.add(new)

    def asks_for_helper(self) -> bool:
        """Whether enable() would have to get the process's shared Counter first, which takes time (bool)."""
        return ((self._counter is None or self._shared) and
                (self._recorder is None or self._owner != os.getpid()) and not self.idle())

    def prepare(self) -> None:
        """Gets the counter without counting yet, so that enable() need not. HelperError: there is no helper, and an
        estimate is not wanted (exact) or can't be made. OSError: /proc/self/smaps_rollup can't be read (PSS, USS)."""
        if self._recorder is not None and (self._owner == os.getpid() or not self._shared):
            return
        # After a fork the child gets a counter of its own, and counts from 0.
        if self._counter is None or self._shared:
            # PSS and USS are /proc's in any case.
            self._counter = best(self._metric == "rss" and insists(self.exact))
            self._shared = True
        recorder = self._new_recorder()
        if self.max_mem is not None:
            recorder.alarm(int(self.max_mem * (1 << 20)), self._debug)
        for function in self._functions:
            _record(recorder, *function)
        self._recorder, self._owner = recorder, os.getpid()

    def _new_recorder(self) -> "_lines.Recorder":
        counter = self._counter
        estimated = isinstance(counter, Estimate)
        fd = counter.fileno()
        try:
            return _lines.Recorder(counter.block, -1 if fd is None else fd, self.include_children, self.own_thread,
                                   self._metric, estimated)
        except OSError as e:
            if not estimated or self._metric != "rss":
                raise
            raise HelperError("%s\n(nor can it be done without: %s: %s)" % (
                counter.error, e.filename, e.strerror)) from None

    def _debug(self, rss_bytes: int) -> None:
        """Called by the hook from the frame of a line that begins above max_mem."""
        sys.stdout.write("Current memory %.2f MiB exceeded the maximum of %.2f MiB\n"
                         "Stepping into the debugger\n" % (rss_bytes / (1 << 20), self.max_mem or 0.0))
        sys.stdout.flush()
        with _alone.remembered():
            import pdb  # only here: few need it
        pdb.Pdb().set_trace(sys._getframe(1))

    def __call__(self, function: "Any" = None, precision: "int | None" = None) -> "Any":
        """As a decorator: the function, wrapped so that it is profiled whenever it is called; anything else
        comes back as the same kind, with the functions inside it wrapped. What can't be wrapped comes back as it
        is, and stderr says so once. Without a function: itself. precision: not used; memory_profiler takes it."""
        if function is None:
            return self
        return decorate(function, self._add_and_wrap)

    def _add_and_wrap(self, function: "Any") -> "Any":
        self.add_function(function)
        return self.wrap_function(function)

    def wrap_function(self, function: "Callable[..., Any]") -> "Callable[..., Any]":
        """The function in a wrapper that enables the profiler while it runs; of a coroutine or a generator, while
        it is not suspended. The function's own lines are not added. A call that can't be counted runs all the
        same, and stderr says once why."""
        if isinstance(function, types.FunctionType):
            wrapped: "Callable[..., Any]" = mark(wrap_calls(function, _Counted(self)), function)
            return wrapped

        @functools.wraps(function)
        def wrapper(*args: "Any", **kwargs: "Any") -> "Any":
            with Counting(self):
                return function(*args, **kwargs)
        return wrapper

    def runcall(self, function: "Callable[..., T]", *args: "Any", **kwargs: "Any") -> "T":
        """Calls the function, enabled meanwhile, and returns what it returns. Raises what it raises, and what
        enable() does."""
        with self:
            return function(*args, **kwargs)

    def run(self, statement: "str | types.CodeType") -> "LineProfiler":
        """Executes statements in __main__, enabled meanwhile. Returns self. Raises what they raise, SyntaxError
        too, and what enable() does."""
        main = sys.modules["__main__"].__dict__
        return self.runctx(statement, main, main)

    def runctx(self, statement: "str | types.CodeType", globals: "Dict[str, Any]",
               locals: "Mapping[str, Any]") -> "LineProfiler":
        """As run(), with these namespaces for exec()."""
        with self:
            exec(statement, globals, locals)
        return self

    def idle(self) -> bool:
        """Whether it profiles nothing in this process, since it was made for another one (bool)."""
        return self._only_process not in (None, os.getpid())

    def enable(self) -> None:
        """Counts from now on, in all threads or in this one (own_thread). A second call is no error.

        HelperError: as prepare(). RuntimeError: another profiler is enabled with another
        counter, or (from 3.12 on) other tools have all places in sys.monitoring. OSError: as prepare()."""
        if self.idle():
            return
        with _lock:
            if self.enable_count:
                return
            self.prepare()
            recorder = self._recorder
            assert recorder is not None  # or prepare() has raised
            recorder.enable()
            try:
                _hook.begin(self._codes)
            except BaseException:
                recorder.disable()
                raise
            self.enable_count = 1
            self.begun = True

    def disable(self) -> None:
        """Counts no more, however often it was enabled. Lines that run, in any thread, are counted up to now. A
        second call is no error."""
        with _lock:
            if self.enable_count:
                self.enable_count = 0
                try:
                    _hook.end(self._codes)
                finally:
                    if self._recorder is not None:
                        self._recorder.disable()

    def drop_hook(self) -> None:
        """For the child of a fork, whose recorder doesn't count any more: asks for no more lines."""
        with _lock:
            if self.enable_count:
                self.enable_count = 0
                _hook.end(self._codes)

    def enable_by_count(self) -> None:
        """Enables it, unless it is. As many calls of disable_by_count() disable it. Errors: those of enable(); such
        a call does not count."""
        with _lock:
            if self.enable_count:
                self.enable_count += 1
            else:
                self.enable()

    def disable_by_count(self) -> None:
        """Disables it, when it was called as often as enable_by_count(). More calls are no error."""
        with _lock:
            if self.enable_count > 1:
                self.enable_count -= 1
            else:
                self.disable()

    def __enter__(self) -> "LineProfiler":
        self.enable_by_count()
        return self

    def __exit__(self, *_: object) -> None:
        self.disable_by_count()

    @property
    def _estimate(self) -> "Estimate | None":
        if self._recorder is None or self._metric != "rss" or not isinstance(self._counter, Estimate):
            return None
        return self._counter

    @property
    def approximate(self) -> bool:
        """Whether the figures are an estimate (bool): RSS as /proc/self/statm has it, without a helper."""
        return self._estimate is not None

    @property
    def approximate_reason(self) -> str:
        """Why the figures are approximate; empty if they are not, or if the only reason is that no server runs."""
        return "" if self._estimate is None else self._estimate.reason

    @property
    def error_bytes(self) -> int:
        """How far from the truth one run of a line may be at worst (int), other threads' changes aside; 0: it is
        right to the page."""
        return 0 if self._estimate is None else self._estimate.bound.worst_bytes

    @property
    def head(self) -> str:
        """The line above a table that says how far from the truth its figures are, and which command makes them
        exact; empty if they are."""
        return "" if self._estimate is None else self._estimate.head()

    @property
    def unread(self) -> int:
        """How often (int) a figure of /proc could not be read (PSS, USS, or RSS without a helper), and was taken to be
        what it was before."""
        return 0 if self._recorder is None else self._recorder.unread

    @property
    def deep(self) -> int:
        """How often (int) counting stopped in a thread because its calls had used half of its C stack; always 0
        from 3.12 on. Other threads are counted on."""
        return 0 if self._recorder is None else self._recorder.deep

    @property
    def deep_threads(self) -> "Tuple[int, ...]":
        """The native IDs (threading.get_native_id()) of the first eight threads that `deep` is about."""
        return () if self._recorder is None else self._recorder.deep_threads

    @property
    def blind(self) -> bool:
        """Whether other threads may have made calls that were not counted while `deep` stopped counting in
        one (3.11): threads that began meanwhile, or that a debugger or coverage traced."""
        return self._recorder is not None and self._recorder.blind

    @property
    def cut(self) -> bool:
        """Whether the helper ended, or this process was forked, while this was enabled (bool): later changes are
        not in the figures."""
        return self._recorder is not None and self._recorder.cut

    @property
    def forked(self) -> bool:
        """Whether the figures are those of a process that this one was forked from (bool)."""
        return self._recorder is not None and self._recorder.forked

    @property
    def missed(self) -> int:
        """How often (int) a thread found no room among those that the kernel counts one by one: if not 0,
        increments of some threads may be missing."""
        return 0 if self._recorder is None else self._recorder.missed

    def _repr_html_(self) -> "str | None":
        from .table import Tables
        return Tables(self)._repr_html_() or None  # None: nothing but its repr()

    def increments(self) -> "Dict[Tuple[types.CodeType, int], int]":
        """What each line has changed so far, in bytes, by the code object of its function and its number: results()
        without all else, for callers that look often. From any thread."""
        found: "Dict[Tuple[types.CodeType, int], int]" = {}
        recorder = self._recorder
        if recorder is None:
            return found
        for _, code, inner in self._functions:
            for one in [code] + inner:
                for number, (_, change, _) in recorder.results(one, code)[2].items():
                    found[code, number] = found.get((code, number), 0) + change
        return found

    def results(self) -> "List[FunctionResult]":
        """A FunctionResult for each function, in the order they were added; amounts in bytes. It may be
        called while this is enabled, from any thread: runs that have not ended are not in it."""
        return [self._result(*function) for function in self._functions]

    def _result(self, name: str, code: "types.CodeType",
                inner: "List[types.CodeType]") -> "FunctionResult":
        calls, untold = 0, 0
        rows: "Dict[int, LineResult]" = {}
        if self._recorder is not None:
            calls = self._recorder.results(code)[0]
            for one in [code] + inner:
                _, lost, counted = self._recorder.results(one, code)
                untold += lost
                for number, (runs, change, usage) in counted.items():
                    row = rows.get(number, LineResult(0, 0, 0))
                    rows[number] = LineResult(row.occurrences + runs, row.increment_bytes + change,
                                              max(row.mem_usage_bytes, usage))
        lines = [line for c in [code] + inner for line in code_lines(c) if line > 0]
        return FunctionResult(code.co_filename, name, code.co_firstlineno,
                              max(lines + [code.co_firstlineno]), calls, self.cut, code, rows, bool(untold),
                              self.approximate, self.error_bytes)
